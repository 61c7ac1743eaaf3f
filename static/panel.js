// @ts-check
import {button, look} from './buttons.js'
import {Line} from './line.js'
import {dismissedNotices, dismissNotice, MAX_NOTICES} from './notices.js'
import {focused, WAITING} from './page.js'
import {controlsIn, covered, placeFor} from './place.js'
import {Quote} from './quote.js'
import {canSay, list, noticeText, say, speaks} from './words.js'

/** @import {Message} from './connection.js' */

/**
 * The application's modal dialog that has the page to itself: nothing outside of it takes a click.
 * On a page that waits it is Curfew's own, which goes when the page comes back.
 */
function topmostModal() {
  if (document.querySelector(WAITING)) return null
  for (
    let node = /** @type {any} */ (focused());
    node;
    node = node.parentNode ?? node.host ?? node.defaultView?.frameElement
  ) {
    if (node instanceof HTMLDialogElement && node.matches(':modal')) return node
  }
  return Array.from(document.querySelectorAll('dialog:modal')).at(-1) ?? null
}

/** How long after a page has moved or changed the stack looks where it lies, in ms. */
const MOVED_MS = 150
const CHANGED_MS = 1_000

/**
 * Notices, the line that tells of a lost connection, and the one of a warning that was put aside,
 * in one stack. It lies above the page, and within its modal dialog where one is open, beside the
 * controls there, and takes clicks on its buttons and notices only.
 */
export class Panel {
  #host = document.createElement('curfew-panel')
  shadow = this.#host.attachShadow({mode: 'open'})
  #life = new AbortController()
  #box = document.createElement('div')
  #stack = document.createElement('div')
  #notices = document.createElement('div')
  #lines = document.createElement('div')
  #line = document.createElement('p')
  #aside = document.createElement('div')
  #count = document.createElement('bdi')
  #spoken = document.createElement('p')
  /** @type {Set<string>} ids of the notices that were shown */
  #shown = new Set()
  #retired = false
  #isUnder = false
  /** Whether the person wants to see all of the notices, whatever they cover. */
  #isWhole = false
  #connection = new Line(code => this.#tell(code))
  #timer = 0
  #changed = 0
  /** What the button of the line does; set by the warning. */
  onreopen = () => {}
  /** What modules say that are fetched later: they have no words of their own. */
  text = say
  list = list

  constructor() {
    this.#box.className = 'panel'
    this.#notices.className = 'notices'
    this.#notices.setAttribute('role', 'log')
    this.#stack.className = 'stack'
    this.#lines.className = 'lines'
    this.#line.className = 'line quiet'
    this.#line.setAttribute('role', 'status')
    this.#aside.className = 'line aside'
    this.#aside.hidden = true
    this.#count.setAttribute('aria-hidden', 'true')
    this.#count.dir = 'ltr'
    this.#spoken.className = 'spoken'
    this.#spoken.setAttribute('aria-live', 'assertive')
    const text = document.createElement('p')
    text.setAttribute('role', 'status')
    const show = button('', () => this.onreopen())
    speaks(this.#box, () => {
      this.#notices.setAttribute('aria-label', say('page.notices'))
      text.replaceChildren(say('page.signedOutSoon') + ' ', this.#count)
      show.textContent = say('page.show')
    })
    this.#aside.append(text, this.#spoken, show)
    this.#lines.append(this.#line, this.#aside)
    this.#stack.append(this.#notices, this.#lines)
    this.#box.append(this.#stack)
    this.shadow.adoptedStyleSheets = [look]
    this.shadow.append(this.#box)
    const {signal} = this.#life
    document.addEventListener('toggle', event => this.#moved(event), {capture: true, signal})
    document.addEventListener('close', event => this.#moved(event), {capture: true, signal})
    for (const type of ['resize', 'scroll', 'focusin']) {
      window.addEventListener(type, () => this.#look(), {capture: true, passive: true, signal})
    }
    // A modal dialog of the page that goes takes what is in it along.
    const changes = new MutationObserver(() => {
      if (this.#isEmpty) return
      if (!this.#host.isConnected) this.arrange()
      else this.#changed ||= setTimeout(() => this.#place(), CHANGED_MS)
    })
    changes.observe(document, {subtree: true, childList: true})
    signal.addEventListener('abort', () => changes.disconnect())
  }

  /** Takes the panel away for good. */
  retire() {
    this.#retired = true
    this.#life.abort()
    this.#connection.end()
    this.#host.remove()
  }

  get #isEmpty() {
    const lines = this.#lines.childElementCount > 2 // what is offered
    return this.#retired || (this.#aside.hidden && !this.#line.textContent && !this.#notices.firstChild && !lines)
  }

  /** @param {Event} event */
  #moved(event) {
    if (event.target instanceof HTMLDialogElement && !this.#isEmpty) this.arrange()
  }

  /**
   * Puts the panel where it can be seen and used, but under the warning.
   * @param {boolean} [isUnder] whether the warning shows now
   */
  arrange(isUnder = this.#isUnder) {
    this.#isUnder = isUnder
    if (this.#retired) return
    const above = !this.#isEmpty && !this.#isUnder
    const place = (above && topmostModal()) || document.documentElement
    if (this.#host.parentNode !== place) place.append(this.#host)
    const popover = above ? 'manual' : null
    if (this.#box.popover !== popover) this.#box.popover = popover
    if (above && this.#box.showPopover && !this.#box.matches(':popover-open')) this.#box.showPopover()
    if (this.#isEmpty)
      this.#stack.removeAttribute('style') // the next one begins at the bottom
    else this.#place()
  }

  /** The page has moved: the stack looks where it lies once that has come to rest. */
  #look() {
    clearTimeout(this.#timer)
    if (!this.#isEmpty) this.#timer = setTimeout(() => this.#place(), MOVED_MS)
  }

  /**
   * Puts the stack where no control of the page lies under it, unless it lies well already. It does
   * not move away from the hand or the focus of somebody who uses it. Where there is no room for
   * it, notices show their beginnings only.
   */
  #place() {
    clearTimeout(this.#changed)
    this.#changed = 0
    const {width, height} = this.#box.getBoundingClientRect()
    if (this.#isUnder || this.#isEmpty || !width) return
    const stack = this.#stack.getBoundingClientRect()
    const root = this.#host.parentNode === document.documentElement ? document : this.#host.parentElement
    const controls = controlsIn(root ?? document, {width, height})
    const isInside = stack.top >= 0 && stack.left >= 0 && stack.bottom <= height && stack.right <= width
    const isUsed = this.#stack.matches(':hover, :focus-within')
    const isPlaced = this.#stack.style.left !== ''
    if (isPlaced && isInside && (isUsed || !covered(stack, controls, 1))) return
    const isRightToLeft = this.#box.dir === 'rtl'
    const best = (/** @type {boolean} */ isSmall) => {
      this.#stack.toggleAttribute('data-small', isSmall)
      return placeFor(this.#stack.getBoundingClientRect(), {width, height}, controls, isRightToLeft)
    }
    let place = best(false)
    if (place.covers && !this.#isWhole && this.#notices.firstChild) place = best(true)
    this.#stack.style.left = `${place.left}px`
    // What is added later grows away from the edge that is near.
    const isLow = place.top + this.#stack.offsetHeight / 2 > height / 2
    this.#stack.style.top = isLow ? 'auto' : `${place.top}px`
    this.#stack.style.bottom = isLow ? `${height - place.top - this.#stack.offsetHeight}px` : 'auto'
  }

  /** Tells of the connection. @param {string} code empty when all is well */
  statusLine(code) {
    this.#connection.set(code)
  }

  /** @param {string} code */
  #tell(code) {
    const text = canSay('connection.' + code) ? say('connection.' + code) : ''
    if (this.#line.textContent === text) return
    this.#line.textContent = text
    this.arrange()
  }

  /** Shows the line of a warning that was put aside. @param {boolean} shown */
  aside(shown) {
    if (this.#aside.hidden !== shown) return
    this.#aside.hidden = !shown
    this.#spoken.textContent = ''
    this.arrange()
  }

  /**
   * @param {string} text the time that is left
   * @param {boolean} soon whether it is the last minute
   */
  count(text, soon) {
    this.#count.textContent = text
    this.#aside.classList.toggle('soon', soon)
  }

  /**
   * Shows a line with buttons, until it is taken away.
   * @param {string} message plain text
   * @param {[text: string, deed: () => void][]} choices
   * @returns {() => void} takes it away
   */
  offer(message, choices) {
    const line = document.createElement('div')
    line.className = 'line aside'
    line.setAttribute('role', 'group')
    line.setAttribute('aria-label', message)
    const text = document.createElement('p')
    text.setAttribute('role', 'status')
    line.append(text, ...choices.map(choice => button(...choice)))
    this.#lines.append(line)
    text.textContent = message // it is read out, since it was empty
    this.arrange()
    return () => {
      line.remove()
      this.arrange()
    }
  }

  /** @param {string} text what is spoken at once */
  say(text) {
    this.#spoken.textContent = text
  }

  /**
   * Shows what an administrator has to say, or the server, until the person dismisses it. What this
   * tab has shown it shows no more.
   * @param {Message} message
   */
  notice({id = '', message = '', kind = '', data = {}}) {
    if (this.#shown.has(id) || dismissedNotices().includes(id)) return
    this.#shown = new Set([...this.#shown, id].slice(-MAX_NOTICES))
    const box = document.createElement('div')
    box.className = 'notice'
    const show = button(say('page.show'), () => {
      this.#showWhole()
      dismiss.focus({preventScroll: true}) // this button is gone
    })
    show.className = 'whole'
    const dismiss = button(say('page.dismiss'), () => {
      box.remove()
      if (!this.#notices.firstChild) this.#isWhole = false
      this.arrange()
      dismissNotice(id)
    })
    box.append(kind ? this.#own(noticeText(kind, data) || message) : this.#quoted(message), show, dismiss)
    this.#notices.append(box)
    if (this.#notices.childElementCount > MAX_NOTICES) this.#notices.firstElementChild?.remove()
    this.arrange()
    document.dispatchEvent(new CustomEvent('curfew:notice', {detail: {id, message}}))
  }

  /** @param {string} text of Curfew's own */
  #own(text) {
    const element = document.createElement('p')
    element.textContent = text
    return element
  }

  /** @param {string} text an administrator's */
  #quoted(text) {
    const quote = new Quote()
    quote.say(text)
    return quote.element
  }

  #showWhole() {
    this.#isWhole = true
    this.#stack.removeAttribute('data-small')
  }
}
