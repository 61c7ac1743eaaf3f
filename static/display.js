// @ts-check
import {importer, VERSION} from './modules.js'
import {listen} from './page.js'
import {Plain} from './plain.js'

/** @import {Connection, Message} from './connection.js' */
/** @import {End, HTTP} from './http.js' */
/** @typedef {import('./warning.js').Screen} Screen */

/**
 * What a display wants of the guard.
 * @typedef {object} Host
 * @property {AbortSignal} signal ends it
 * @property {boolean} isOver whether there is no session any more
 * @property {import('./deadlines.js').Deadlines} deadlines when that will be
 * @property {() => void} stay the person wants to stay signed in
 * @property {() => void} signOut the person wants to sign out
 * @property {(where?: string) => void} leave takes the page away for good, and opens the sign-in page
 * @property {(status: import('./http.js').Status) => void} resume the page goes on with another session
 */

/**
 * So long a warning waits for warning.js, which is mostly there by then: a dialog that is replaced
 * is read out twice.
 */
const WAIT_MS = 200

/**
 * What a person is shown, and the buttons for an answer. warning.js shows all of it. Until that is
 * there, or if it cannot be had, a plain dialog shows the warning; lines and notices wait. A
 * warning that began in the plain dialog stays there: it is not changed under the hands of whoever
 * reads it.
 */
export class Display {
  #import = importer(`./${VERSION}/warning.js`)
  #plain
  #open
  /** @type {Screen | undefined} */
  #screen
  /** @type {Promise<unknown> | undefined} for as long as the import may take */
  #loading
  /**
   * The warning that is to show; a later one, or none, takes its place.
   * @type {object | undefined}
   */
  #due
  #code = ''
  /** @type {Message[]} what waits to be shown */
  #waiting = []

  /** @param {Host} guard @param {Connection} connection @param {HTTP} http */
  constructor(guard, connection, http) {
    this.#plain = new Plain(guard)
    this.#open = (/** @type {typeof import('./warning.js')} */ {Screen}) => {
      if (this.#screen || guard.signal.aborted) return
      this.#screen = new Screen(guard, connection, http)
      this.#screen.connection(this.#code)
      for (const message of this.#waiting) this.#screen.message(message)
    }
    // Heard from here on, before what the page adds until warning.js is there.
    const hear = (/** @type {any} */ event) => {
      this.#plain.hear(event)
      this.#screen?.hear(event)
    }
    for (const type of 'keypress keydown keyup click'.split(' ')) {
      listen(window, type, hear, {capture: true, signal: guard.signal})
    }
  }

  /** Imports warning.js, where that has not been done. Each new connection tries. */
  load() {
    if (this.#screen) return
    this.#loading = new Promise(resolve => {
      setTimeout(resolve, WAIT_MS)
      this.#import().then(this.#open).then(resolve, resolve)
    })
  }

  /**
   * Shows the warning, or tells it anew.
   * @param {string} reason
   * @param {Partial<Message>} due what was told of it
   * @param {() => number} left milliseconds to the end
   */
  async warn(reason, due, left) {
    this.#due = due
    await this.#loading
    if (this.#due !== due) return
    const plain = this.#plain
    if (plain.reason !== reason) plain.hide()
    ;((!plain.reason && this.#screen) || plain).show(reason, due, left)
  }

  hide() {
    this.#due = undefined
    this.#plain.hide()
    this.#screen?.hide()
  }

  /**
   * Whether an event only works the dialog. All events are asked about: a warning must not take
   * keys of who types.
   * @param {Event} event
   */
  covers(event) {
    return this.#plain.isOpen || this.#screen?.covers(event)
  }

  /** Tells what has come of a button. @param {string} code */
  tell(code) {
    this.#plain.tell(code)
    this.#screen?.tell(code)
  }

  /** Tells how the connection is, or is again. @param {string} code empty when all is well */
  connection(code) {
    this.#code = code
    this.#screen?.connection(code)
  }

  /** Shows what a message brings. @param {Message} message */
  message(message) {
    if (this.#screen) this.#screen.message(message)
    else this.#waiting.push(message)
  }

  /** Remembers where the focus is, without warning.js only roughly. @returns {() => void} puts it back */
  rememberFocus() {
    const element = /** @type {HTMLElement | null} */ (document.activeElement)
    return this.#screen?.rememberFocus() ?? (() => element?.focus({preventScroll: true}))
  }

  /**
   * Has the page wait for its user to sign in again.
   * @param {End} end
   * @returns {Promise<boolean | undefined>} whether it waits: it cannot where warning.js is not to
   *   be had
   */
  async waitFor(end) {
    await this.#import().then(this.#open, () => {})
    return this.#screen?.waitFor(end)
  }

  /** Takes all of it away for good. */
  remove() {
    this.hide()
    this.#screen?.remove()
  }
}
