// @ts-check
import {instant, since} from './time.js'

/** @import {Connection, Listener, Message} from './connection.js' */
/** @import {Deadlines} from './deadlines.js' */
/** @import {HTTP} from './http.js' */
/** @import {Instant} from './time.js' */

/** Reports that the person acted, as often as the server wants to know. */
export class Reporter {
  /** How often the server wants to know, in ms. */
  heartbeat = 15_000
  #extendOn = 'activity'
  #guard
  #connection
  #http
  #deadlines
  /** @type {Instant | null} the last act that the server was not told */
  #acted = null
  /** @type {Instant | null} when the server was told last */
  #reported = null
  /**
   * @type {Instant | null} the last act that the server was told, until it has spoken since: it may
   *   have been lost
   */
  #unsure = null
  /** The number of the socket over which it was told; 0: over none. */
  #toldOver = 0
  #toldInWarning = false
  #timer = 0

  /**
   * @param {Pick<Listener, 'isOver' | 'applyStatus'>} guard told of the answer to a report over
   *   HTTP
   * @param {Connection} connection
   * @param {HTTP} http
   * @param {Deadlines} deadlines
   */
  constructor(guard, connection, http, deadlines) {
    this.#guard = guard
    this.#connection = connection
    this.#http = http
    this.#deadlines = deadlines
  }

  /** Takes over what the server says of heartbeats. @param {Partial<Message>} message */
  set(message) {
    if (message.heartbeat_ms) this.heartbeat = message.heartbeat_ms
    if (message.extend_on) this.#extendOn = message.extend_on
  }

  /**
   * Notes that the person acted now. The first act in a warning that acts withdraw is reported at
   * once.
   */
  act() {
    this.#acted = instant()
    if (this.#deadlines.warnedOf === 'idle' && this.#extendOn === 'activity' && !this.#toldInWarning) {
      this.#toldInWarning = this.report(true)
    } else {
      this.report()
    }
  }

  /** Another warning stands now, or none: the next act may withdraw it. */
  warningChanged() {
    this.#toldInWarning = false
  }

  /**
   * Reports what is to be reported, now or when it is time.
   * @param {boolean} [atOnce]
   * @returns {boolean} whether now
   */
  report(atOnce) {
    if (!this.#acted || this.#guard.isOver) return false
    const wait = this.#reported && !atOnce ? this.heartbeat - since(this.#reported) : 0
    clearTimeout(this.#timer)
    if (wait > 0) {
      this.#timer = setTimeout(() => this.report(), wait)
      return false
    }
    const idle = Math.round(since(this.#acted))
    if (this.#connection.send({type: 'activity', idle_ms: idle})) {
      this.#toldOver = this.#connection.number
      if (atOnce && this.#deadlines.warnedOf) this.#connection.expectAnswer() // the warning depends on it
    } else {
      this.#toldOver = 0
      if (!this.#http.csrf || this.#connection.isOpen) return false // it goes out with the next connection
      this.#post(idle)
    }
    this.#reported = instant()
    this.#unsure = this.#acted
    this.#acted = null
    return true
  }

  /** @param {number} idle */
  async #post(idle) {
    const answer = await this.#http.post('session/activity', {idle_ms: String(idle)})
    if (!answer) return this.recall()
    this.#unsure = null
    this.#guard.applyStatus(answer)
  }

  /**
   * The server has spoken: what it was told has arrived, but for what went over an earlier socket.
   * @param {Message} message
   */
  heard(message) {
    if (message.type === 'hello' && this.#toldOver !== this.#connection.number) this.recall()
    this.#unsure = null
  }

  /** What was done in a session that is over tells nothing of the next one. */
  drop() {
    this.#acted = this.#unsure = null
  }

  /** What was told last may have been lost: it is told again, at once when that can be. */
  recall() {
    if (!this.#unsure) return
    this.#acted ??= this.#unsure
    this.#unsure = null
    this.#reported = null
  }
}
