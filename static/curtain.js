// @ts-check
import style from './curtain.css'
import {OURS, rememberFocus} from './page.js'

/**
 * @typedef {object} Held
 * @property {Record<string, string>} styles what holds
 * @property {Record<string, [value: string, priority?: string]>} page what the page itself has set
 */

/**
 * Inline styles that no sheet, layer or transition of a page outdoes, and that come back when a
 * script takes them away.
 */
class Hold {
  /** @type {Map<HTMLElement, Held>} */
  #held = new Map()
  #watch = new MutationObserver(changes => {
    for (const {target} of changes) this.#put(/** @type {HTMLElement} */ (target))
  })

  /** @param {Element} element @param {Record<string, string>} styles */
  put(element, styles) {
    const styled = /** @type {HTMLElement} */ (element)
    if (!styled.style || this.#held.has(styled)) return
    this.#held.set(styled, {styles, page: {}})
    this.#put(styled)
    this.#watch.observe(styled, {attributeFilter: ['style']})
  }

  /** What the page has set meanwhile is kept for later. @param {HTMLElement} element */
  #put(element) {
    const held = this.#held.get(element)
    for (const [name, value] of Object.entries(held?.styles ?? {})) {
      if (held?.page[name] && isImportant(element, name, value)) continue
      if (held) held.page[name] = [element.style.getPropertyValue(name), element.style.getPropertyPriority(name)]
      element.style.setProperty(name, value, 'important')
    }
  }

  release() {
    this.#watch.disconnect()
    this.#giveBack(false)
    for (const element of this.#held.keys()) void getComputedStyle(element).display // settled, before it may move
    this.#giveBack(true)
    for (const element of this.#held.keys()) if (!element.getAttribute('style')) element.removeAttribute('style')
    this.#held.clear()
  }

  /** @param {boolean} isStill whether that which keeps the page still, or all else */
  #giveBack(isStill) {
    for (const [element, {styles, page}] of this.#held) {
      for (const [name, value] of Object.entries(styles)) {
        if ((name === STILL) !== isStill || !isImportant(element, name, value)) continue
        element.style.setProperty(name, ...(page[name] ?? ['']))
      }
    }
  }
}

/** @param {HTMLElement} element @param {string} name @param {string} value */
const isImportant = (element, name, value) =>
  element.style.getPropertyValue(name) === value && element.style.getPropertyPriority(name) === 'important'

/** The property that keeps others from changing slowly. */
const STILL = 'transition-property'

const UNSEEN = {visibility: 'hidden', 'background-image': 'none', [STILL]: 'none'}
const UNSEEN_BODY = {...UNSEEN, 'content-visibility': 'hidden'} // holds text and the page's own modal dialogs, too
const UNRENDERED = {display: 'none', [STILL]: 'none'}

/**
 * Hides the page: no text, no title, no field is rendered, and all of it can come back. Curfew's
 * own elements get the attribute `blank` instead, and hide themselves. It is down from the deadline
 * that the page knows, and whenever the browser keeps the page for Back or freezes it
 * (departure.js), until the server has spoken.
 */
export class Curtain {
  isDown = false
  #sheet = new CSSStyleSheet()
  #hold = new Hold()
  #title = ''
  /** Bring back what is not the hold's, the last one first. @type {(() => void)[]} */
  #undo = []
  /** The document itself is watched: a script may replace all that is in it. */
  #changes = new MutationObserver(() => this.#hide())

  down() {
    if (this.isDown) return
    this.isDown = true
    const {scrollX, scrollY} = window
    this.#undo = [rememberFocus(), () => scrollTo(scrollX, scrollY)]
    this.#sheet.replaceSync(style)
    adopt(this.#sheet)
    this.#title = document.title
    this.#hide()
    this.#changes.observe(document, {subtree: true, childList: true, characterData: true})
    for (const icon of document.querySelectorAll('link[rel~="icon"]')) {
      const place = new Text() // it knows where the icon was, whatever the page does around it
      icon.replaceWith(place)
      this.#undo.push(() => place.replaceWith(icon))
    }
  }

  up() {
    if (!this.isDown) return
    this.isDown = false
    this.#changes.disconnect()
    this.#hold.release()
    this.#sheet.replaceSync('') // a list of sheets that the page copied meanwhile may still hold it
    disown(this.#sheet)
    for (const ours of document.querySelectorAll(OURS)) ours.toggleAttribute('blank', false)
    document.title = this.#title
    for (const undo of this.#undo.reverse()) undo()
  }

  #hide() {
    const root = document.documentElement
    if (!root) return
    this.#hold.put(root, UNSEEN)
    for (const child of root.children) {
      if (child.matches(OURS)) child.toggleAttribute('blank', true)
      else this.#hold.put(child, child === document.body ? UNSEEN_BODY : UNRENDERED)
    }
    for (const child of document.body?.children ?? []) this.#hold.put(child, UNRENDERED)
    this.#hideTitle()
  }

  /**
   * The page may go on working behind the curtain: what it makes of its title is kept for later.
   */
  #hideTitle() {
    if (document.title === location.host) return
    this.#title = document.title
    document.title = location.host // for an empty one a browser shows the address, and that may tell as much
  }

  /**
   * Takes all of the page away, for good. Its scripts may still run: what they add and set is
   * hidden as before.
   */
  forget() {
    this.down()
    for (const field of document.querySelectorAll('input, textarea')) /** @type {HTMLInputElement} */ (field).value = ''
    document.documentElement.replaceChildren(document.createElement('head'), document.createElement('body'))
    this.#hide()
  }
}

/**
 * Adds a sheet that stays while the page sets sheets of its own: no event tells of that.
 * @param {CSSStyleSheet} sheet
 */
function adopt(sheet) {
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]
  const own = Object.getOwnPropertyDescriptor(Document.prototype, 'adoptedStyleSheets')
  if (!own?.get || !own.set) return
  const {get, set} = own
  Object.defineProperty(document, 'adoptedStyleSheets', {
    configurable: true,
    get: () => get.call(document),
    set: sheets => set.call(document, [...Array.from(sheets).filter(other => other !== sheet), sheet]),
  })
}

/** @param {CSSStyleSheet} sheet */
function disown(sheet) {
  delete (/** @type {Partial<Document>} */ (document).adoptedStyleSheets) // the shadow: the property itself stays
  document.adoptedStyleSheets = document.adoptedStyleSheets.filter(other => other !== sheet)
}
