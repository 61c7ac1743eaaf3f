// @ts-check
import {instant, jitter, LONGEST_TIMEOUT, since} from './time.js'

/** @import {Connection, Message} from './connection.js' */
/** @import {Curtain} from './curtain.js' */

/**
 * What deadlines tell the guard.
 * @typedef {object} Timekeeper
 * @property {boolean} isOver there is no session, and so no deadline
 * @property {() => void} warn the idle warning is due, and there is no server to say so
 * @property {() => void} past the end is past, and the server has not spoken yet
 */

/** How long after its own time the page waits for the server's word before it asks. */
const WORD_MS = 150
/**
 * How long a page whose time is up waits before it asks again: an answer may have changed nothing.
 */
const AGAIN_MS = 1_000

/**
 * When the session warns and ends, by what the server said last. The server decides: a deadline
 * that passes here makes the page ask, and the end blanks it until the server has said more.
 */
export class Deadlines {
  /** The reason of the warning that stands; empty for none. */
  warnedOf = ''
  #guard
  #curtain
  #connection
  #told = instant()
  #warnIn = Infinity
  #expireIn = Infinity
  #timer = 0

  /** @param {Timekeeper} guard @param {Curtain} curtain @param {Connection} connection */
  constructor(guard, curtain, connection) {
    this.#guard = guard
    this.#curtain = curtain
    this.#connection = connection
  }

  /** Milliseconds to the end that the page knows of. */
  get remaining() {
    return this.#expireIn - since(this.#told)
  }

  /**
   * Takes over what the server says. While the session lives the page may show itself.
   * @param {Partial<Message>} message
   */
  set(message) {
    this.#told = instant()
    this.#warnIn = message.warn_in_ms ?? 0
    this.#expireIn = message.expire_in_ms ?? 0
    if (this.remaining > 0) this.#curtain.up()
    this.check()
  }

  /** Acts when a deadline has come: asks, and is blank until the server has answered. */
  check() {
    clearTimeout(this.#timer)
    if (this.#guard.isOver || this.#expireIn === Infinity) return
    const {remaining: left} = this
    const toWarning = this.#warnIn - since(this.#told) + WORD_MS
    if (left <= 0) {
      this.#curtain.down()
      this.#guard.past()
      this.warnedOf = '' // should the server still warn, it is shown anew
      if (this.#connection.isOpen) this.#connection.doubt()
      return this.#askPastEnd(-left)
    }
    if (!this.warnedOf && toWarning <= 0) {
      if (!this.#connection.isOpen) this.#guard.warn()
      else if (this.#connection.sinceAsked >= AGAIN_MS) this.#connection.sync()
    }
    this.#checkIn(this.warnedOf ? left : Math.min(left, toWarning > 0 ? toWarning : AGAIN_MS))
  }

  /**
   * Asks, a moment after the end, since the server's word is on its way, and once a second at most.
   * Pages whose time is up together do not all ask together.
   * @param {number} late in ms
   */
  #askPastEnd(late) {
    const wait = Math.max(jitter(AGAIN_MS) - late, AGAIN_MS - this.#connection.sinceAsked)
    if (wait > 0) this.#checkIn(wait)
    else if (this.#connection.isOpen) this.#connection.renew()
    else this.#connection.sync()
  }

  /** @param {number} ms */
  #checkIn(ms) {
    this.#timer = setTimeout(() => this.check(), Math.min(LONGEST_TIMEOUT, ms))
  }

  /**
   * After sleep, a freeze or the back/forward cache: time may have passed unseen.
   * @param {number} fresh in ms: what was said within it needs no new question
   */
  wake(fresh) {
    const connection = this.#connection
    if (this.remaining > 0 && !this.#guard.isOver) {
      if (this.#curtain.isDown && connection.isDoubted) connection.renew()
      else if (this.#curtain.isDown || !connection.hasSocket || since(this.#told) > fresh) connection.sync()
    }
    this.check()
  }
}
