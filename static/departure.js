// @ts-check
import {importer, VERSION} from './modules.js'
import {isHidden, listen} from './page.js'
import {instant, since} from './time.js'

/** @import {Connection} from './connection.js' */
/** @import {Curtain} from './curtain.js' */
/** @import {Deadlines} from './deadlines.js' */
/** @import {Reporter} from './reporter.js' */
/** @import {Instant} from './time.js' */

/**
 * How long a navigation may take from its start until it takes the page away: one that has not by
 * then was a download.
 */
const NAVIGATION_MS = 8_000
/**
 * Firefox closes the sockets of a page as a navigation begins, also where that turns out to be a
 * download.
 */
const CLOSES_BY_ITSELF = /Gecko\//.test(navigator.userAgent)
/** How long after that a new socket is opened, which Firefox leaves alone until the page goes. */
const REOPEN_MS = 50

/** How the page comes and goes: hidden, frozen, kept for Back, led elsewhere, closed. */
export class Departure {
  #connection
  #reporter
  #signal
  /** @type {Instant | null} when a navigation elsewhere began */
  #leaving = null

  /**
   * @param {{signal: AbortSignal}} guard
   * @param {Curtain} curtain
   * @param {Connection} connection
   * @param {Deadlines} deadlines
   * @param {Reporter} reporter
   */
  constructor(guard, curtain, connection, deadlines, reporter) {
    this.#connection = connection
    this.#reporter = reporter
    this.#signal = guard.signal
    const wake = () => deadlines.wake(reporter.heartbeat)
    this.#on(document, 'visibilitychange', () => {
      connection.send({type: 'visibility', hidden: isHidden()})
      if (!isHidden()) wake()
    })
    this.#on(document, 'freeze', () => {
      curtain.down()
      connection.doubt()
    })
    this.#on(document, 'resume', wake)
    this.#on(window, 'focus', wake)
    this.#on(window, 'online', wake)
    this.#on(window, 'pagehide', () => {
      curtain.down() // should the page be kept and shown again, it is blank until the server has spoken
      connection.part(this.isLeaving ? 'navigate' : 'close') // one that is kept would look alive to the server
    })
    this.#on(window, 'pageshow', event => {
      this.stays()
      if (event.persisted) wake()
    })
    const {navigation} = /** @type {any} */ (window)
    if (navigation) this.#noticeNavigations(navigation)
    else this.#noticeLinks()
  }

  /** @param {EventTarget} target @param {string} type @param {(event: any) => void} listener */
  #on(target, type, listener) {
    listen(target, type, listener, {signal: this.#signal})
  }

  get isLeaving() {
    return !!this.#leaving && since(this.#leaving) < NAVIGATION_MS
  }

  leaves() {
    this.#leaving = instant()
  }

  stays() {
    this.#leaving = null
  }

  /**
   * A closed tab and a followed link look alike in pagehide: what came before tells them apart.
   * @param {EventTarget} navigation
   */
  #noticeNavigations(navigation) {
    this.#on(navigation, 'navigate', event => {
      if (event.destination.sameDocument || event.hashChange || event.downloadRequest != null) return
      if (!/^(https?|about|blob|data):/.test(event.destination.url)) return // a mail program opens, this page stays
      this.leaves()
      if (CLOSES_BY_ITSELF) this.#closeFirst()
    })
    for (const type of ['navigatesuccess', 'navigateerror']) this.#on(navigation, type, () => this.stays())
  }

  /**
   * Says that the page goes elsewhere before the browser closes the socket, and connects again: it
   * may yet stay.
   */
  #closeFirst() {
    if (!this.#connection.hasSocket) return
    this.#reporter.report(true)
    this.#connection.partFor(REOPEN_MS)
  }

  /** In browsers that do not tell of navigations, links and forms do. */
  #noticeLinks() {
    importer(`./${VERSION}/links.js`)().then(
      ({noticeLinks}) => noticeLinks(this, this.#signal),
      () => {},
    )
  }
}
