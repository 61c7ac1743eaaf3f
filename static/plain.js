// @ts-check
import style from './plain.css'

/** @import {Message} from './connection.js' */

// The few words that are needed without warning.js.
const TITLE = 'Your session is about to end'
const STAY = 'Stay signed in'
const CONTINUE = 'Continue working'
const SIGN_OUT = 'Sign out now'
const UNREACHABLE = 'The server cannot be reached.'

/**
 * The warning without warning.js: a dialog with both buttons and the time that is left. Nothing but
 * its buttons and Escape withdraws the warning. A dialog that the page opens may come above it, and
 * a page that keeps clicks to itself may keep those, too.
 */
export class Plain {
  /** The reason of the warning that stands; empty for none. */
  reason = ''
  #host = document.createElement('curfew-plain')
  #dialog = document.createElement('dialog')
  #guard
  #text
  #count
  #first
  #outcome
  #timer = 0
  /** The key that went down in the dialog. */
  #pressed = ''

  /** @param {{stay: () => void, signOut: () => void}} guard does what the buttons say */
  constructor(guard) {
    this.#guard = guard
    const dialog = this.#dialog
    /** @template {keyof HTMLElementTagNameMap} N @param {N} name */
    const add = (name, text = '') => {
      const element = document.createElement(name)
      element.textContent = text
      dialog.append(element)
      return element
    }
    dialog.role = 'alertdialog'
    dialog.ariaLabel = TITLE
    dialog.lang = 'en'
    dialog.dir = 'ltr'
    dialog.tabIndex = -1
    dialog.closedBy = 'none'
    add('h2', TITLE)
    this.#text = add('p')
    this.#count = add('p')
    this.#count.ariaHidden = 'true' // else some readers speak it each second
    this.#first = add('button')
    add('button', SIGN_OUT).onclick = () => guard.signOut()
    this.#outcome = add('p')
    this.#outcome.role = 'status'
    dialog.setAttribute('aria-describedby', (this.#text.id = 'curfew-text'))
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(style)
    const shadow = this.#host.attachShadow({mode: 'open'})
    shadow.adoptedStyleSheets = [sheet]
    shadow.append(dialog)
  }

  get isOpen() {
    return this.#dialog.open
  }

  /**
   * @param {string} reason
   * @param {Partial<Message>} due what was told of it
   * @param {() => number} left milliseconds to the end
   */
  show(reason, {message = ''}, left) {
    const isIdle = reason === 'idle'
    const isNew = reason !== this.reason
    this.reason = reason
    this.#first.textContent = isIdle ? STAY : CONTINUE
    this.#first.onclick = () => (isIdle ? this.#guard.stay() : this.#dialog.close())
    this.tell('')
    const count = () => {
      clearTimeout(this.#timer)
      this.#timer = setTimeout(count, 1000)
      return (this.#count.textContent = `${Math.ceil(left() / 1000)}`)
    }
    this.#text.textContent = `${message} You will be signed out in ${count()} seconds.`
    if (!isNew) return
    document.documentElement.append(this.#host)
    this.#dialog.showModal()
    ;(isIdle ? this.#first : this.#dialog).focus() // a key that was meant for the page presses nothing else
  }

  hide() {
    clearTimeout(this.#timer)
    this.reason = ''
    this.#dialog.close()
  }

  /**
   * The page hears no key of the dialog. A button is pressed when its key is let go, so that no
   * repetition gets to the page.
   * @param {KeyboardEvent} event
   */
  hear(event) {
    const {key, type, repeat} = event
    if (!this.isOpen || !key) return // a click
    event.stopImmediatePropagation()
    if (key !== 'Enter' && key !== 'Escape') return
    event.preventDefault()
    if (type === 'keyup' && key === this.#pressed) {
      if (key === 'Enter') /** @type {HTMLElement} */ (event.composedPath()[0]).click()
      else if (this.reason === 'idle') this.#guard.stay()
    }
    if (!repeat) this.#pressed = type === 'keydown' ? key : ''
  }

  /** Tells what has come of a button. @param {string} code */
  tell(code) {
    this.#outcome.textContent = code && code !== 'wait' ? UNREACHABLE : ''
  }
}
