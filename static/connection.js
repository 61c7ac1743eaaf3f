// @ts-check
import {ANSWER_MS} from './http.js'
import {isHidden} from './page.js'
import {instant, jitter, since} from './time.js'

/** @import {HTTP, Status} from './http.js' */
/** @import {Instant} from './time.js' */

/**
 * @typedef {{type: string, seq: number, user?: string, who?: string, rights?: string, reason?: string, message?: string, text?: string,
 *   location?: string, handle?: string, keep_ms?: number, warn_in_ms?: number, expire_in_ms?: number, heartbeat_ms?: number,
 *   extend_on?: string, id?: string, kind?: string, data?: Record<string, string>, users?: Record<string, string>}} Message
 */

/**
 * What a connection tells the guard.
 * @typedef {object} Listener
 * @property {boolean} isOver there is no session: nothing is sent, asked or heard any more
 * @property {() => void} arriving a message is there; deadlines that have passed come first
 * @property {(message: Message) => void} heard the server has spoken, if only to repeat itself
 * @property {(message: Message) => Promise<void> | void} heed a message is to be acted upon; when
 *   it is, it is acked
 * @property {(status: Status, isLasting?: boolean) => void} applyStatus an answer over HTTP has come;
 *   isLasting says that no socket could be had for a while
 * @property {() => void} recall the server did not answer
 * @property {() => void} wasLost the socket was lost or refused
 * @property {() => void} blank the session is over, and how the server will say
 */

/** Close codes after which the page comes back soon: too slow, server restarting, overloaded. */
const COME_BACK = [4101, 1012, 1013]
const ENDED = 4001
const LEFT = 4000

/**
 * The tabs of a server that stops come back so much later, within so long a time: there may be ten
 * thousand of them.
 */
const COME_BACK_MS = 500
const COME_BACK_WITHIN_MS = 4_000
/** The server ticks every 25 s; after two missed ones the socket is doubted. */
const SILENCE_MS = 55_000
/**
 * How often the server is asked where no socket can be had: the page must be blank within a second
 * of the end.
 */
const POLL_MS = 800

/**
 * The way to the server: a socket, and requests over HTTP while there is none. It opens the socket
 * anew whenever it is lost, until it is ended. It knows nothing of what the messages mean.
 */
export class Connection {
  /** Whether the server has greeted this page over the socket. */
  isOpen = false
  /** The number of the socket that there was last. */
  number = 0
  #url
  #http
  #guard
  /** @type {WebSocket | null} */
  #socket = null
  /**
   * @type {WebSocket | null} one whose messages may have waited: only an end is believed from it
   */
  #doubted = null
  #seq = 0
  #failures = 0 // sockets that were lost or refused, one after the other
  #misses = 0 // the same of questions over HTTP
  #lostAt = instant()
  #retryIn = 0 // how long after that a socket is tried again
  /** When the server was last asked for the truth. @type {Instant | null} */
  #asked = null
  #polling = false
  #retryTimer = 0
  #pollTimer = 0
  #silenceTimer = 0
  #answerTimer = 0

  /** @param {Listener} guard @param {URL} url of the socket @param {HTTP} http */
  constructor(guard, url, http) {
    this.#url = url
    this.#http = http
    this.#guard = guard
  }

  get hasSocket() {
    return !!this.#socket
  }

  /** Whether messages of this socket may have waited while the page slept. */
  get isDoubted() {
    return !!this.#socket && this.#socket === this.#doubted
  }

  /** Milliseconds since the server was last asked for the truth. */
  get sinceAsked() {
    return this.#asked ? since(this.#asked) : Infinity
  }

  connect() {
    clearTimeout(this.#retryTimer)
    if (this.#guard.isOver || this.#socket) return
    const socket = new WebSocket(this.#url, 'curfew.v1')
    this.#socket = socket
    this.number++
    this.expectAnswer()
    const isCurrent = () => socket === this.#socket && !this.#guard.isOver
    socket.addEventListener('message', event => {
      if (isCurrent()) this.#received(JSON.parse(event.data))
    })
    socket.addEventListener('close', event => {
      if (isCurrent()) this.#lost(event.code)
    })
  }

  /** @param {Message} message */
  async #received(message) {
    const {type, seq} = message
    const socket = this.#socket
    this.#guard.arriving() // may open a new socket: this message is an old one then
    if (type !== 'expire' && (socket !== this.#socket || this.isDoubted)) return
    this.#guard.heard(message)
    this.#answered()
    clearTimeout(this.#silenceTimer)
    this.#silenceTimer = setTimeout(() => this.#silent(), SILENCE_MS)
    if (type === 'hello') this.#seq = 0
    if (seq > this.#seq) {
      this.#seq = seq
      await this.#guard.heed(message)
    }
    if (type !== 'hello' && socket === this.#socket) this.send({type: 'ack', seq})
  }

  #silent() {
    if (this.#guard.isOver) return
    if (isHidden()) this.#silenceTimer = setTimeout(() => this.#silent(), SILENCE_MS)
    else this.sync() // the timer may have slept as long as the socket: ask before giving up
  }

  /** The server has greeted this page. */
  greeted() {
    this.isOpen = true
    this.#failures = 0
    clearTimeout(this.#pollTimer)
  }

  /** @param {number} code */
  #lost(code) {
    this.#socket = null
    clearTimeout(this.#silenceTimer)
    this.#answered()
    if (code === ENDED) this.#guard.blank()
    this.#failures++
    this.#lostAt = instant()
    this.isOpen = false
    this.#guard.wasLost()
    if (COME_BACK.includes(code)) {
      this.#connectIn(COME_BACK_MS + Math.random() * COME_BACK_WITHIN_MS)
      return
    }
    this.#retryIn = jitter(Math.min(15_000, 500 * 2 ** (this.#failures - 1)))
    this.#poll()
  }

  /** @param {number} ms */
  #connectIn(ms) {
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(() => this.connect(), ms)
  }

  /** Gives up a socket that does not answer. */
  #drop() {
    const socket = this.#socket
    if (!socket || this.#guard.isOver) return
    this.#lost(1006)
    socket.close()
  }

  /**
   * Closes the socket, saying why; nothing that it still delivers is heard.
   * @param {'navigate' | 'close'} why
   */
  part(why) {
    const socket = this.#socket
    this.#socket = null
    this.isOpen = false
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#silenceTimer)
    this.#answered()
    socket?.close(LEFT, why)
  }

  /**
   * Parts as a page that goes elsewhere, and connects again a moment later: it may yet stay.
   * @param {number} ms
   */
  partFor(ms) {
    this.part('navigate')
    this.#connectIn(ms)
  }

  /**
   * Asks for the truth where messages may have waited while the page slept: only a new connection's
   * are fresh.
   */
  renew() {
    this.#asked = instant()
    this.part('navigate')
    this.connect()
  }

  /** What the socket that there is now still delivers may be old. */
  doubt() {
    this.#doubted = this.#socket
  }

  /** @param {object} message @returns {boolean} whether it is on its way */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false
    this.#socket.send(JSON.stringify(message))
    return true
  }

  /** Gives the server so long to say anything; who asks again meanwhile does not make it longer. */
  expectAnswer() {
    this.#answerTimer ||= setTimeout(() => this.#drop(), ANSWER_MS)
  }

  #answered() {
    clearTimeout(this.#answerTimer)
    this.#answerTimer = 0
  }

  /** Asks the server for the truth, by whatever way there is. */
  sync() {
    this.#asked = instant()
    if (this.send({type: 'sync'})) this.expectAnswer()
    else if (!this.#socket) {
      if (!this.#failures) this.connect()
      this.#poll()
    }
  }

  /** Asks the server over HTTP until there is a socket again. */
  async #poll() {
    clearTimeout(this.#pollTimer)
    if (this.#guard.isOver || this.isOpen || this.#polling) return
    this.#polling = true
    const answer = await this.#http.ask()
    this.#polling = false
    if (this.#guard.isOver || this.isOpen) return
    let wait = POLL_MS
    if (answer) {
      this.#misses = 0
      this.#reconnect()
      this.#guard.applyStatus(answer, this.#failures > 1)
    } else {
      this.#misses++
      clearTimeout(this.#retryTimer)
      wait = jitter(Math.min(4_000, 1_000 * this.#misses))
      this.#guard.recall()
    }
    this.#pollTimer = setTimeout(() => this.#poll(), wait)
  }

  /**
   * Opens a socket when it is time to, now that the server answers: Firefox waits the longer the
   * more were refused.
   */
  #reconnect() {
    if (!this.#socket) this.#connectIn(this.#retryIn - since(this.#lostAt))
  }
}
