// @ts-check
import {Alarm} from './alarm.js'
import {clicked} from './buttons.js'
import {Warning} from './dialog.js'
import {Forms} from './forms.js'
import {Keeping} from './keeping.js'
import {importer} from './modules.js'
import {rememberFocus} from './page.js'
import {rememberScroll} from './scroll.js'
import {Waiting} from './waiting.js'
import {PresenceWatch} from './watch.js'
import {learn, whyDue} from './words.js'

/** @import {Connection, Message} from './connection.js' */
/** @import {Host} from './display.js' */
/** @import {End, HTTP} from './http.js' */

/**
 * What the script needs once the page is connected: the dialog, notices and lines, what others do,
 * the page's forms. The entry imports it and has one.
 */
export class Screen {
  #guard
  #warning
  #presence
  #http
  #forms
  #waiting
  #keeping
  #alarm

  /** @param {Host} guard @param {Connection} connection @param {HTTP} http */
  constructor(guard, connection, http) {
    this.#http = http
    this.#warning = new Warning()
    this.#warning.onstay = () => guard.stay()
    this.#warning.onleave = () => guard.signOut()
    this.#presence = new PresenceWatch(
      users => connection.isOpen && connection.send({type: 'watch', users}),
      guard.signal,
    )
    this.#guard = guard
    this.#forms = new Forms(http)
    this.#waiting = new Waiting(guard, http, this.#forms)
    this.#keeping = new Keeping(guard, http, this.#warning.panel)
    this.#alarm = new Alarm(guard)
    tellSignInPages()
    importLeaving().catch(() => {}) // the end asks again
  }

  /**
   * @param {string} reason
   * @param {Partial<Message>} due what was told of it
   * @param {() => number} left milliseconds to the end
   */
  show(reason, due, left) {
    this.#warning.show(reason, whyDue({...due, reason}), left)
  }

  hide() {
    this.#warning.hide()
    if (!this.#guard.isOver) return
    this.#warning.panel.statusLine('') // there is no connection to tell of
    this.#storeDrafts() // before the page hears of the end
  }

  /** The sign-in page waits for it. */
  async #storeDrafts() {
    const stored = this.#keeping.flush()
    try {
      const {finishFirst} = await importLeaving()
      finishFirst(stored)
    } catch {} // the page is left without it
  }

  /** @param {KeyboardEvent | MouseEvent} event a key or a click, before the page hears of it */
  hear(event) {
    if (this.#waiting.hear(event)) return
    if (event.type === 'click') clicked(event)
    else this.#warning.key(/** @type {KeyboardEvent} */ (event))
  }

  /** @param {Event} event */
  covers(event) {
    return this.#warning.covers(event)
  }

  /** @param {string} code what has come of a button */
  tell(code) {
    this.#warning.tell(code)
  }

  /** How the connection is, or is again. @param {string} code empty when all is well */
  connection(code) {
    this.#warning.panel.statusLine(code)
    this.#alarm.set() // answers over HTTP may have moved the end
    if (code === 'polling') this.#forms.update()
    if (code) return this.#presence.end()
    this.#presence.begin()
    this.#forms.renew() // the session may be another one than when the page was made
  }

  /** @param {Message} message */
  message(message) {
    const {type, users = {}} = message
    if (type === 'notice') this.#warning.panel.notice(message)
    else if (type === 'presence') this.#presence.update(users)
  }

  /**
   * Remembers where the focus is, and how far all is scrolled, as the page goes blank.
   * @returns {() => void} puts it back
   */
  rememberFocus() {
    closePictures()
    const scroll = rememberScroll()
    const focus = this.#warning.isOpen ? this.#warning.refocus : rememberFocus()
    return () => {
      scroll()
      focus()
    }
  }

  /**
   * Has the page wait for its user, blank as it is.
   * @param {End} end
   * @returns {boolean} false where it has never known a session: nobody would come back to it
   */
  waitFor(end) {
    if (!this.#http.own) return false
    this.#waiting.begin(end)
    return true
  }

  /** Takes all of Curfew's elements away for good. */
  remove() {
    this.#waiting.stop()
    this.#warning.remove()
  }
}

await learn() // before anything is said

/** Has it there when the page needs it: the entry imports the same module. */
const importLeaving = importer('./leaving.js')

/** A page's picture in a window of its own (picture-in-picture) shows what the page has shown. */
function closePictures() {
  const {documentPictureInPicture: pages} = /** @type {any} */ (window)
  pages?.window?.close()
  if (document.pictureInPictureElement) document.exitPictureInPicture().catch(() => {})
}

/** Sign-in pages that stand open in this browser go on by themselves: login.js listens. */
function tellSignInPages() {
  const channel = new BroadcastChannel('curfew.session')
  channel.postMessage('')
  channel.close()
}
