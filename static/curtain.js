// @ts-check
import style from './curtain.css'
import {ofDocument, OURS, setOfDocument, WAITING} from './page.js'

/**
 * @typedef {object} Held
 * @property {Record<string, string>} styles what holds
 * @property {Record<string, [value: string, priority?: string]>} own what the page itself has set
 */

/**
 * Inline styles that no sheet, layer or transition of a page outdoes. Whoever hears that a style
 * has changed puts them again.
 */
class Hold {
  /** @type {Map<Element, Held>} */
  #held = new Map()

  /** @param {Element} element @param {Record<string, string>} styles */
  pin(element, styles) {
    if (this.#held.has(element) || !styleOf(element)) return
    this.#held.set(element, {styles, own: {}})
    this.mend(element)
  }

  /** What the page has set meanwhile is kept for later. @param {Element} element one that is held, or not */
  mend(element) {
    const held = this.#held.get(element)
    if (!held) return
    const style = styleOf(element)
    for (const [name, value] of Object.entries(held.styles)) {
      if (held.own[name] && isImportant(style, name, value)) continue
      held.own[name] = [style.getPropertyValue(name), style.getPropertyPriority(name)]
      style.setProperty(name, value, 'important')
    }
  }

  mendAll() {
    for (const element of this.#held.keys()) this.mend(element)
  }

  release() {
    this.#giveBack(false)
    for (const element of this.#held.keys()) void getComputedStyle(element).display // settled, before it may move
    this.#giveBack(true)
    for (const element of this.#held.keys()) if (!element.getAttribute('style')) element.removeAttribute('style')
    this.#held.clear()
  }

  /** @param {boolean} isStill whether that which keeps the page still, or all else */
  #giveBack(isStill) {
    for (const [element, {styles, own}] of this.#held) {
      const style = styleOf(element)
      for (const [name, value] of Object.entries(styles)) {
        if ((name === STILL) !== isStill || !isImportant(style, name, value)) continue
        style.setProperty(name, ...(own[name] ?? ['']))
      }
    }
  }
}

/**
 * The inline style of an element; undefined for one of XML. A form may have a field that is called
 * `style`.
 * @param {Element} element
 * @returns {CSSStyleDeclaration}
 */
const styleOf = element =>
  element instanceof HTMLElement
    ? Reflect.get(HTMLElement.prototype, 'style', element)
    : /** @type {SVGElement} */ (element).style

/** @param {CSSStyleDeclaration} style @param {string} name @param {string} value */
const isImportant = (style, name, value) => style.getPropertyValue(name) === value && !!style.getPropertyPriority(name)

/** The property that keeps others from changing slowly. */
const STILL = 'transition-property'

const UNSEEN = {visibility: 'hidden', 'background-image': 'none', [STILL]: 'none'}
const UNSEEN_BODY = {...UNSEEN, 'content-visibility': 'hidden'} // holds text and the page's own modal dialogs, too
const UNRENDERED = {display: 'none', [STILL]: 'none'}

/**
 * So many times in a second the curtain mends at once what the page has changed: an observer of the
 * page may change it again each time, and then nothing else would ever have its turn.
 */
const MAX_MENDED = 200

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
  /** Stands before the page's own title, which is left alone: who observes that hears nothing. */
  #title = document.createElement('title')
  /** @type {string | undefined} what the page has called itself meanwhile */
  #called
  /** Bring back what is not the hold's, the last one first. @type {((() => void) | undefined)[]} */
  #undo = []
  #mended = 0 // in the second that ends then:
  #until = 0
  #timer = 0
  /** The document itself is watched: a script may replace all that is in it. */
  #changes = new MutationObserver(changes => this.#mend(changes))
  #remember

  /** @param {() => (() => void) | undefined} remember notes where the focus is; the result puts it back */
  constructor(remember) {
    this.#remember = remember
  }

  down() {
    if (this.isDown) return
    this.isDown = true
    const {scrollX, scrollY} = window
    this.#undo = [this.#remember(), () => scrollTo({left: scrollX, top: scrollY, behavior: 'instant'})]
    this.#sheet.replaceSync(style)
    this.#title.text = location.host // for an empty one a browser shows the address, and that may tell as much
    this.#hide()
    this.#changes.observe(document, {
      subtree: true,
      childList: true,
      characterData: true,
      attributeFilter: ['style'],
    })
    for (const icon of document.querySelectorAll('link[rel~="icon"]')) this.#takeOut(icon)
  }

  up() {
    if (!this.isDown) return
    this.isDown = false
    this.#changes.disconnect()
    this.#sheet.replaceSync('') // a list of sheets that the page copied meanwhile may still hold it
    disown(this.#sheet)
    this.#hold.release() // after the sheet, which would let the page show itself slowly
    for (const ours of document.querySelectorAll(OURS)) ours.toggleAttribute('blank', false)
    this.#title.remove()
    if (this.#called != null) setOfDocument('title', this.#called)
    this.#called = undefined
    for (const undo of this.#undo.reverse()) undo?.()
  }

  /** @param {MutationRecord[]} changes */
  #mend(changes) {
    const now = performance.now()
    if (now > this.#until) {
      this.#until = now + 1_000
      this.#mended = 0
    }
    if (this.#mended++ > MAX_MENDED) {
      this.#timer ||= setTimeout(() => {
        this.#timer = 0
        this.#hide()
        this.#hold.mendAll()
      })
      return
    }
    for (const {target} of changes) this.#hold.mend(/** @type {Element} */ (target))
    if (changes.some(change => change.type !== 'attributes')) this.#hide()
  }

  #hide() {
    const root = document.documentElement
    if (!root || !this.isDown) return
    if (!ofDocument(SHEETS).includes(this.#sheet)) adopt(this.#sheet)
    this.#hold.pin(root, UNSEEN)
    const body = ofDocument('body')
    for (const child of [...root.children]) {
      if (child.matches(WAITING)) continue
      if (child.matches(OURS)) child.toggleAttribute('blank', true)
      else this.#hold.pin(child, child === body ? UNSEEN_BODY : UNRENDERED)
      // The tree in it may style its host, which weighs more: in the body it is hidden all the same.
      if (child !== body && getComputedStyle(child).display !== 'none') this.#takeOut(child)
    }
    for (const child of body?.children ?? []) this.#hold.pin(child, UNRENDERED)
    this.#hideTitle(root)
  }

  /**
   * The page may go on working behind the curtain: what it makes of its title is kept for later.
   * @param {Element} root
   */
  #hideTitle(root) {
    const title = this.#title
    const {host} = location
    if (root.firstChild !== title) root.prepend(title)
    if (title.text === host) return
    this.#called = title.text
    title.text = host
  }

  /** @param {Element} element */
  #takeOut(element) {
    const place = new Text() // it knows where the element was, whatever the page does around it
    element.replaceWith(place)
    this.#undo.push(() => place.replaceWith(element))
  }

  /**
   * Takes all of the page away, for good. Its scripts may still run: what they add and set is
   * hidden as before.
   */
  forget() {
    // First, since to hide tens of thousands of elements takes longer.
    document.documentElement.replaceChildren(document.createElement('head'), document.createElement('body'))
    this.down()
    this.#hide()
  }
}

const SHEETS = 'adoptedStyleSheets'

/**
 * Adds a sheet that stays while the page sets sheets of its own: no event tells of that.
 * @param {CSSStyleSheet} sheet
 */
function adopt(sheet) {
  Object.defineProperty(document, SHEETS, {
    configurable: true,
    get: () => ofDocument(SHEETS),
    set: sheets => setOfDocument(SHEETS, [...without(sheets, sheet), sheet]),
  })
  document.adoptedStyleSheets = ofDocument(SHEETS) // and the sheet
}

/** @param {CSSStyleSheet} sheet */
function disown(sheet) {
  delete (/** @type {Partial<Document>} */ (document).adoptedStyleSheets) // the shadow: the property itself stays
  document.adoptedStyleSheets = without(document.adoptedStyleSheets, sheet)
}

/** @param {Iterable<CSSStyleSheet>} sheets @param {CSSStyleSheet} sheet */
const without = (sheets, sheet) => [...sheets].filter(other => other !== sheet)
