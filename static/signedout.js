// @ts-check
import {button, clicked, look, prevent, shield, stopImmediate} from './buttons.js'
import {WAITING} from './page.js'
import {Quote} from './quote.js'
import {instant, since} from './time.js'
import {say, speaks} from './words.js'

/** @import {Instant} from './time.js' */
/** @import {Why} from './words.js' */

/** So long a click or a key may have been meant for the page that was there. */
const SURPRISE_MS = 1_000

/**
 * So many times between two looks the dialog comes back on top of what the page opens: a page may
 * do the same.
 */
const MAX_RAISED = 5

/** What hides a root and all that is in it, the dialog too, and what shows it again. */
const HIDES = [
  ['display', 'none', 'block'],
  ['content-visibility', 'hidden', 'visible'],
]

/**
 * Says that and why the session has ended, on a page that is blank. It stays on top of the page
 * until it is removed: nothing closes it, and the page hears no key and no click. It may be shown
 * again.
 */
export class SignedOut {
  #host = document.createElement(WAITING)
  #shadow = this.#host.attachShadow({mode: 'open'})
  #dialog = document.createElement('dialog')
  #title = document.createElement('h2')
  #text = document.createElement('p')
  #quote = new Quote('curfew-quote')
  #first
  /** @type {Instant | undefined} when it appeared; none while it is not shown */
  #shown
  #life = new AbortController()
  #raised = 0
  /** @type {Map<string, [value: string, priority: string]>} what the page itself has set of HIDES */
  #root = new Map()
  #early = false // the last press of a button began too soon
  /** @type {Set<string>} codes of the keys that went down in time and are still held */
  #held = new Set()

  /** @param {() => void} signIn @param {() => void} leave what the buttons do */
  constructor(signIn, leave) {
    const dialog = this.#dialog
    this.#title.id = 'curfew-title'
    this.#text.id = 'curfew-text'
    dialog.setAttribute('aria-labelledby', this.#title.id)
    dialog.setAttribute('aria-describedby', `${this.#text.id} ${this.#quote.element.id}`)
    dialog.setAttribute('closedby', 'none')
    dialog.addEventListener('cancel', event => event.preventDefault())
    dialog.addEventListener('close', () => this.keep())
    this.#first = button('', () => this.#press(signIn))
    const other = button('', () => this.#press(leave))
    speaks(dialog, () => {
      this.#title.textContent = say('page.signedOut')
      this.#first.textContent = say('page.signInAgain')
      other.textContent = say('page.leave')
    })
    this.#first.className = 'first'
    const buttons = document.createElement('div')
    buttons.className = 'buttons foot'
    buttons.append(this.#first, other)
    dialog.append(this.#title, this.#text, this.#quote.element, buttons)
    this.#shadow.adoptedStyleSheets = [look]
    this.#shadow.append(dialog)
  }

  /** @param {Why} why */
  show({sentence, quote}) {
    this.#text.textContent = sentence
    this.#quote.say(quote)
    if (this.#shown) return
    this.#shown = instant()
    this.#life = new AbortController()
    const options = {capture: true, signal: this.#life.signal}
    for (const type of ['toggle', 'fullscreenchange']) {
      document.addEventListener(type, event => this.#covered(event), options)
    }
    window.addEventListener('pointerdown', () => (this.#early = this.#isSurprise), options)
    shield(event => event.isTrusted && event instanceof UIEvent)
    this.#raise()
  }

  remove() {
    if (!this.#shown) return
    this.#shown = undefined
    this.#life.abort()
    this.#held.clear()
    shield(null)
    this.#dialog.close()
    this.#host.remove()
    for (const [name, own] of this.#root) document.documentElement.style.setProperty(name, ...own)
    this.#root.clear()
  }

  /** Shows the root where the page hides it. */
  #showRoot() {
    const root = document.documentElement
    for (const [name = '', hidden, shown = ''] of HIDES) {
      if (getComputedStyle(root).getPropertyValue(name) !== hidden) continue
      this.#root.set(name, [root.style.getPropertyValue(name), root.style.getPropertyPriority(name)])
      root.style.setProperty(name, shown, 'important')
    }
  }

  get #isSurprise() {
    return this.#shown !== undefined && since(this.#shown) < SURPRISE_MS
  }

  /** @param {() => void} deed */
  #press(deed) {
    const early = this.#early || this.#isSurprise
    this.#early = false
    if (!early) deed()
  }

  /** Puts the dialog on top of all that the page has opened. */
  #raise() {
    const root = document.documentElement
    const focused = /** @type {HTMLElement | null} */ (this.#shadow.activeElement)
    this.#showRoot()
    if (this.#host.parentNode !== root) root.append(this.#host)
    this.#dialog.close()
    this.#dialog.showModal()
    ;(focused ?? this.#first).focus()
  }

  /** @param {Event} event the page has opened something */
  #covered(event) {
    if (this.#raised >= MAX_RAISED) return
    if (!(event.target instanceof Element) || !event.target.matches(':is(:modal, :popover-open)')) return
    this.#raised++
    this.#raise()
  }

  /** Looks now and then whether it is still there and on top: what is below a modal dialog takes no focus. */
  keep() {
    if (!this.#shown) return
    this.#raised = 0
    this.#showRoot()
    if (this.#host.parentNode !== document.documentElement || !this.#dialog.open) return this.#raise()
    if (this.#shadow.activeElement) return
    this.#first.focus()
    if (!this.#shadow.activeElement) this.#raise()
  }

  /**
   * The page hears neither keys nor clicks, and the dialog heeds none that was meant for the page:
   * what went down before it, or soon after.
   * @param {KeyboardEvent | MouseEvent} event before the page hears of it
   */
  hear(event) {
    if (!event.isTrusted) return
    stopImmediate.call(event)
    if (!(event instanceof KeyboardEvent)) return clicked(event)
    const {type, code, key, repeat} = event
    if (key === 'Escape') prevent.call(event)
    if (key !== 'Enter' && key !== ' ') return
    if (type === 'keydown' && !repeat && !this.#isSurprise) {
      this.#held.add(code)
      this.#early = false
    } else if (type === 'keydown' || (type === 'keyup' && !this.#held.delete(code))) {
      prevent.call(event)
    }
  }
}
