// @ts-check
import {button, deeds, look, prevent, shield, stopImmediate} from './buttons.js'
import {FRAMES, focused, rememberFocus} from './page.js'
import {Panel} from './panel.js'
import {Quote} from './quote.js'
import {instant, since} from './time.js'
import {canSay, countdown, say, soon, speaks, timeLeft} from './words.js'

/** @import {Instant} from './time.js' */
/** @import {Why} from './words.js' */

/** Keys that work the buttons of the warning, and so do not withdraw it by themselves. */
const BUTTON_KEYS = new Set(['Tab', 'Shift', 'Enter', ' ', 'ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight'])

/** Keys that press a button of the warning: Escape means 'Stay signed in'. */
const PRESSING_KEYS = new Set(['Enter', ' ', 'Escape'])

/**
 * So long no key presses a button of a warning that has come while somebody types: the key was
 * meant for the page.
 */
const TYPING_MS = 1_000

/**
 * The time left is spoken at every minute, then at 40 and 20 seconds: this is the last of these
 * steps.
 * @param {number} seconds
 */
const spokenStep = seconds => (seconds <= 20 ? 20 : seconds <= 40 ? 40 : Math.ceil(seconds / 60) * 60)

/**
 * So often in a second the warning comes back on top of what the page opens: a page may do the
 * same.
 */
const MAX_RAISED = 5

/**
 * The warning: a dialog, out of reach of the page's own style, which may be put aside where it
 * cannot be withdrawn. Its element is no custom element: the names of these are the page's.
 */
export class Warning {
  #host = document.createElement('curfew-warning')
  #shadow = this.#host.attachShadow({mode: 'open'})
  #life = new AbortController()
  #dialog = document.createElement('dialog')
  #title = document.createElement('h2')
  #text = document.createElement('p')
  #quote = new Quote('curfew-quote')
  #count = document.createElement('bdi')
  #spoken = document.createElement('p')
  #outcome = document.createElement('p')
  #stay = button('', () => this.onstay())
  #continue = button('', () => this.#putAside())
  #leave = button('', () => this.onleave())
  panel = new Panel()
  /** The reason of the warning that stands; empty for none. */
  #reason = ''
  #aside = false
  #timer = 0
  #step = 0 // the last one that was spoken
  #raised = 0 // in this second
  /** @type {() => number} */
  #left = () => 0
  /** What an administrator said last. */
  #said = ''
  /** @type {Instant | null} when the person typed last */
  #typed = null
  /** @type {Instant | null} since when a key may have been meant for the page */
  #surprise = null
  /** @type {Set<string>} codes of the keys that were pressed in the dialog and are still held */
  #held = new Set()
  #waits = false
  /** @type {() => void} */
  #refocus = () => {}
  /** What the buttons do. */
  onstay = () => {}
  onleave = () => {}

  constructor() {
    this.#title.id = 'curfew-title'
    this.#title.tabIndex = -1
    this.#text.id = 'curfew-text'
    this.#dialog.setAttribute('role', 'alertdialog')
    this.#dialog.setAttribute('aria-modal', 'true')
    this.#dialog.setAttribute('aria-labelledby', this.#title.id)
    this.#dialog.setAttribute('aria-describedby', `${this.#text.id} ${this.#quote.element.id}`)
    this.#dialog.setAttribute('closedby', 'none')
    speaks(this.#dialog, () => {
      this.#title.textContent = say('page.title')
      this.#stay.textContent = say('page.stay')
      this.#continue.textContent = say('page.continue')
      this.#leave.textContent = say('page.signOut')
    })
    this.#count.dir = 'ltr'
    const count = document.createElement('p')
    count.className = 'count'
    count.setAttribute('aria-hidden', 'true')
    count.append(this.#count)
    this.#spoken.className = 'spoken'
    this.#spoken.setAttribute('aria-live', 'assertive')
    this.#outcome.className = 'outcome'
    this.#outcome.setAttribute('role', 'status')
    this.#stay.className = this.#continue.className = 'first'
    const buttons = document.createElement('div')
    buttons.className = 'buttons'
    buttons.append(this.#stay, this.#continue, this.#leave)
    const foot = document.createElement('div')
    foot.className = 'foot'
    foot.append(buttons, this.#outcome)
    this.#dialog.append(this.#title, this.#text, this.#quote.element, count, this.#spoken, foot)
    this.#shadow.adoptedStyleSheets = [look]
    this.#shadow.append(this.#dialog)
    this.panel.onreopen = () => this.#reopen()
    this.#watch()
    this.#attach()
  }

  #watch() {
    this.#dialog.addEventListener('cancel', event => event.preventDefault())
    this.#dialog.addEventListener('close', () => {
      if (!this.#dialog.open) this.#raise()
    })
    const options = {capture: true, signal: this.#life.signal}
    document.addEventListener('toggle', event => this.#covered(event), options)
    document.addEventListener('fullscreenchange', event => this.#covered(event), options)
  }

  /** Puts the element into the page, where a script may have taken it out. */
  #attach() {
    if (this.#host.isConnected) return
    document.documentElement.append(this.#host)
    this.#raise()
    this.panel.arrange()
  }

  /** Takes all of Curfew's elements away for good. */
  remove() {
    this.#end()
    this.#life.abort()
    this.panel.retire()
    this.#host.remove()
  }

  /** Puts the focus back to where it was before the dialog. */
  get refocus() {
    return this.#refocus
  }

  /** Whether the dialog shows. */
  get isOpen() {
    return this.#reason !== '' && !this.#aside
  }

  /**
   * Shows the warning, or tells it anew. One that was put aside stays there while its reason and
   * its text are the same: an earlier end is spoken, and a dialog in the last seconds would only be
   * in the way of saving.
   * @param {string} reason
   * @param {Why} why
   * @param {() => number} left milliseconds to the end
   */
  show(reason, {sentence, quote}, left) {
    const canStay = reason === 'idle'
    const anew = reason !== this.#reason || (quote !== this.#said && this.#aside)
    const seconds = Math.ceil(left() / 1000)
    this.#left = left
    this.#said = quote
    this.#text.textContent = `${sentence} ${soon(seconds, canStay)}`.trim()
    this.#quote.say(quote)
    this.#stay.hidden = !canStay
    this.#continue.hidden = canStay
    this.#outcome.textContent = ''
    this.#attach()
    if (this.#reason === '') this.#step = seconds === spokenStep(seconds) ? Infinity : spokenStep(seconds)
    else if (seconds > this.#step + 1) this.#step = spokenStep(seconds) // moved away, by more than a message takes
    if (anew) this.#open(reason)
    this.#countDown()
  }

  /** @param {string} reason */
  #open(reason) {
    this.#waits = false
    if (!this.isOpen && focused()?.getRootNode() !== this.panel.shadow) this.#refocus = rememberFocus()
    this.#reason = reason
    this.#aside = false
    // Who is idle types nothing, but for the one who comes back in this moment. All others may be
    // at work.
    const typing = this.#typed !== null && since(this.#typed) < TYPING_MS
    this.#surprise = reason !== 'idle' || typing ? instant() : null
    this.panel.aside(false)
    this.#raise()
    this.#focus()
  }

  /**
   * The first focus is on no button that signs out, nor on one that a space would press by chance.
   */
  #focus() {
    if (this.#reason === 'idle') this.#stay.focus()
    else this.#title.focus()
  }

  hide() {
    if (this.#reason === '') return
    const wasOpen = this.isOpen
    this.#end()
    if (wasOpen) this.#focusBack()
  }

  /**
   * A key that is still held would go on in a frame, where this window does not hear it: there the
   * focus waits for its end.
   */
  #focusBack() {
    this.#refocus()
    const frame = /** @type {HTMLElement | null} */ (document.activeElement)
    this.#waits = this.#held.size > 0 && !!frame?.matches(FRAMES)
    if (this.#waits) frame?.blur()
  }

  /**
   * Puts the warning aside, to a line that goes on counting, so that the page can be used until the
   * end.
   */
  #putAside() {
    this.#aside = true
    this.#close()
    this.panel.aside(true)
    this.#countDown()
    this.#focusBack()
  }

  #reopen() {
    this.#open(this.#reason)
    this.#surprise = null // the person has asked for it
    this.#countDown()
  }

  #end() {
    this.#reason = ''
    this.#aside = false
    clearTimeout(this.#timer)
    this.#spoken.textContent = ''
    this.#close()
    this.panel.aside(false)
  }

  #close() {
    shield(null)
    this.#dialog.close()
    this.panel.arrange(false)
  }

  /**
   * Puts the dialog on top of all that the page has opened, where it has been hidden or closed by
   * anything but a button.
   */
  #raise() {
    if (!this.isOpen || !this.#host.isConnected) return
    const element = focused()
    const inside = this.#dialog.open && this.#shadow.activeElement
    const isElsewhere = this.#dialog.open && !inside && element !== document.body // in a dialog of the page's own
    if (isElsewhere) this.#refocus = rememberFocus()
    this.panel.arrange(true)
    this.#dialog.close()
    this.#dialog.showModal()
    shield(event => event.isTrusted && this.#isOurs(event))
    if (inside && element instanceof HTMLElement) element.focus()
    else this.#focus()
  }

  /** @param {Event} event the page has opened something */
  #covered(event) {
    if (!this.isOpen || this.#raised >= MAX_RAISED) return
    if (!(event.target instanceof Element) || !event.target.matches(':is(:modal, :popover-open)')) return
    this.#raised++
    this.#raise()
  }

  /** Whether another dialog makes this one inert. */
  get #isCovered() {
    const {left, right, top, bottom} = this.#dialog.getBoundingClientRect()
    const there = document.elementFromPoint((left + right) / 2, (top + bottom) / 2)
    return !this.#dialog.open || (there !== null && there !== this.#host)
  }

  /** Tells what has come of a button. @param {string} code */
  tell(code) {
    this.#outcome.textContent = canSay('outcome.' + code) ? say('outcome.' + code) : ''
  }

  #countDown() {
    clearTimeout(this.#timer)
    const left = Math.max(0, this.#left())
    const seconds = Math.ceil(left / 1000)
    const count = countdown(seconds)
    this.#count.textContent = count
    this.panel.count(count, seconds <= 60)
    if (seconds > 0 && spokenStep(seconds) < this.#step) {
      // a page that was busy is a little late, and not silent
      this.#step = spokenStep(seconds)
      const text = timeLeft(seconds)
      if (this.#aside) this.panel.say(text)
      else this.#spoken.textContent = text
    }
    this.#raised = 0
    if (this.isOpen) this.#attach()
    if (this.isOpen && !this.#host.hasAttribute('blank') && this.#isCovered) this.#raise()
    if (seconds > 0) this.#timer = setTimeout(() => this.#countDown(), left - (seconds - 1) * 1000 + 5)
  }

  /**
   * Whether an event is for the dialog: one in it, or a key while nothing has the focus.
   * @param {Event} event
   */
  #isOurs(event) {
    const path = event.composedPath()
    if (path.includes(this.#dialog)) return true
    const target = path[0]
    return event.type.startsWith('key') && (target === document.body || target === document.documentElement)
  }

  /**
   * The page hears no key of the dialog, and the dialog heeds none that was meant for the page.
   * @param {KeyboardEvent} event
   */
  key(event) {
    if (!event.isTrusted) return
    const {type, code, key, repeat} = event
    const pressing = PRESSING_KEYS.has(key)
    if (!this.isOpen || (!this.#isOurs(event) && key !== 'Escape')) {
      const held = this.#held.has(code) && (type !== 'keydown' || repeat)
      if (held) this.#swallow(event) // still held from the dialog: it means nothing to the page behind
      if (type === 'keyup' || (type === 'keydown' && !repeat)) this.#held.delete(code)
      if (this.#waits && this.#held.size === 0) this.#focusBack()
      return
    }
    stopImmediate.call(event)
    if (type === 'keyup') {
      if (pressing && !this.#held.delete(code)) this.#swallow(event) // it went down in the page, or too early
    } else if (type === 'keydown' && pressing) {
      if (repeat || (key !== 'Escape' && this.#isSurprised)) return this.#swallow(event)
      this.#held.add(code)
      if (key !== 'Escape') return
      this.#swallow(event)
      if (this.#reason === 'idle') this.onstay()
    } else if (type === 'keydown' && key.length === 1) {
      if (this.#surprise) this.#surprise = instant() // they type on
    }
  }

  /** @param {Event} event */
  #swallow(event) {
    prevent.call(event)
    stopImmediate.call(event)
  }

  get #isSurprised() {
    return this.#surprise !== null && since(this.#surprise) < TYPING_MS
  }

  /** Says that an event only works the warning itself. @param {Event} event */
  covers(event) {
    const {type, key, code} = /** @type {KeyboardEvent} */ (event)
    const isKey = type.startsWith('key') // of whatever frame, so that it is an instance of another window's class
    if (isKey && type !== 'keydown' && this.#held.has(code)) return true // let go of after the dialog has gone
    if (isKey && !this.isOpen) this.#typed = instant()
    if (!this.isOpen) return false
    if (isKey && key === 'Escape') return true // means: stay
    if (isKey) return BUTTON_KEYS.has(key) && this.#isOurs(event)
    if (event.composedPath().some(target => deeds.has(target))) return true
    const point = event instanceof MouseEvent ? event : /** @type {TouchEvent} */ (event).touches?.[0]
    if (!point || !/move$/.test(type)) return false
    const box = this.#dialog.getBoundingClientRect()
    return (
      point.clientX >= box.left && point.clientX <= box.right && point.clientY >= box.top && point.clientY <= box.bottom
    )
  }
}
