// @ts-check
/**
 * Curfew's browser client. One script tag is all it needs:
 *
 *   <script type="module" src="/static/curfew.js" data-socket="/session/ws"></script>
 *
 * It holds a socket to the server, reports that a person acts, shows the warning, and blanks the
 * page at the end. The server decides and this page shows: a deadline known here only blanks the
 * page until the server has said more. It dispatches curfew:warn, curfew:active, curfew:notice,
 * curfew:expire and curfew:connection on document, and keeps data-state and a text on every element
 * marked data-curfew-presence="USER".
 *
 * A page that never knew a session is left alone, or goes to the sign-in page where the tag has
 * data-required. In a frame the script rests below a page of the same origin that has it, which
 * guards its frames as well.
 *
 * The server joins this file and what it imports into one, so that what must be there first comes
 * with one request. What is not needed before the page is connected it imports then, from modules
 * of its own version: warning.js, which imports presence.js where the page shows any. In frames,
 * and in browsers that do not tell of navigations, it imports frames.js and links.js at once.
 */
import {Acts} from './acts.js'
import {Connection} from './connection.js'
import {Curtain} from './curtain.js'
import {Deadlines} from './deadlines.js'
import {Departure} from './departure.js'
import {Display} from './display.js'
import {HTTP} from './http.js'
import {importer, VERSION} from './modules.js'
import {COPY, isHidden, listen, TAG, WORK} from './page.js'
import {Reporter} from './reporter.js'

/** @import {Message} from './connection.js' */
/** @import {End, Own, Status} from './http.js' */

/**
 * Guards this page. It is made once there is a page to guard, and puts the parts together: what one
 * of them hears the others do. It lives until the session is over, or until it is clear that there
 * never was one.
 */
class Guard {
  /** Aborting it removes every listener of this page. */
  #life = new AbortController()
  signal = this.#life.signal
  /** There is no session: the page waits, or is taken away. */
  isOver = false
  #announced = false // what curfew:connection told last
  #curtain = new Curtain(() => this.#display?.rememberFocus())
  #http
  #connection
  /** @type {Deadlines} */
  deadlines
  #reporter
  #display
  #departure

  /** @param {string} address of the socket @param {boolean} required whether to have no session is an end */
  constructor(address, required) {
    const socket = new URL(address, origin)
    socket.protocol = socket.protocol.replace('http', 'ws')
    socket.searchParams.set('path', location.pathname)
    if (navigator.serviceWorker?.controller) this.#curtain.down() // the page may be older than the session's end
    this.#http = new HTTP(this, origin + socket.pathname.slice(0, -10), required) // without session/ws
    this.#connection = new Connection(this, socket, this.#http)
    this.deadlines = new Deadlines(this, this.#curtain, this.#connection)
    this.#reporter = new Reporter(this, this.#connection, this.#http, this.deadlines)
    new Acts(event => this.#acted(event), this.signal) // before the display, which keeps its keys to itself
    this.#display = new Display(this, this.#connection, this.#http)
    this.#departure = new Departure(this, this.#curtain, this.#connection, this.deadlines, this.#reporter)
    listen(document, WORK, () => this.act(), this)
    this.#connection.connect()
  }

  // ---- what the server says

  arriving() {
    if (this.#connection.isOpen && this.deadlines.remaining <= 0) this.deadlines.check() // it has not had its turn yet
  }

  /** @param {Message} message */
  heard(message) {
    this.#reporter.heard(message)
  }

  recall() {
    this.#reporter.recall()
    // Nobody says how it stands: the page waits no longer than it would have been told.
    if (this.deadlines.remaining <= -(/** @type {Own} */ (this.#http.own)?.keep_ms)) this.end()
  }

  blank() {
    this.#curtain.down()
  }

  wasLost() {
    this.#reporter.recall()
    if (this.#http.own) this.#display.connection('lost')
    this.#announce(false)
  }

  /**
   * @param {Message} message
   * @returns {Promise<void> | void} a promise where it will be done a moment later
   */
  heed(message) {
    switch (message.type) {
      case 'hello':
        return this.#greet(message)
      case 'active':
        this.#setDeadlines(message)
        return this.#clearWarning(message)
      case 'warn':
        this.#setDeadlines({...message, warn_in_ms: 0})
        return this.warn(message)
      case 'expire':
        return this.end(message)
      default:
        this.#display.message(message)
    }
  }

  /** @param {Message} message the first of a connection */
  #greet(message) {
    const told = /** @type {Message & Own} */ (message)
    if (this.#http.isOther(told)) return this.end(told)
    this.#http.know(told)
    this.#connection.greeted()
    this.#display.load()
    this.#display.connection('')
    this.#announce(true)
    this.#setDeadlines(message)
    if (/** @type {number} */ (message.warn_in_ms) > 0) this.#clearWarning(message) // else the warning itself follows
    if (isHidden()) this.#connection.send({type: 'visibility', hidden: true})
    this.#reporter.report()
  }

  /** Takes over what the server answered over HTTP. @param {Status} status @param {boolean} [isLasting] */
  applyStatus(status, isLasting) {
    if (this.isOver) return
    if (!this.#http.own) this.#display.load()
    this.#http.know(status)
    this.#setDeadlines(status)
    const {warnedOf: warned} = this.deadlines
    const {reason = 'idle'} = status
    if (status.warn_in_ms > 0) {
      if (warned) this.#clearWarning(status)
    } else if (warned !== reason) {
      this.warn({...status, reason})
    }
    if (isLasting) this.#display.connection('polling')
    this.#reporter.report()
  }

  /** Takes over deadlines and rules. @param {Partial<Message>} message */
  #setDeadlines(message) {
    this.#reporter.set(message)
    this.deadlines.set(message)
  }

  /** @param {Partial<Message>} message */
  #clearWarning(message) {
    this.deadlines.warnedOf = ''
    this.#reporter.warningChanged()
    this.#display.hide()
    dispatch('active', {warnInMs: message.warn_in_ms, expireInMs: message.expire_in_ms})
  }

  /**
   * Shows a warning. By default it is the one that the page finds due by itself.
   * @param {Partial<Message>} due
   */
  warn(due = {}) {
    const {reason = 'idle', message = ''} = due
    const deadlines = this.deadlines
    if (deadlines.warnedOf !== reason) this.#reporter.warningChanged()
    deadlines.warnedOf = reason
    const shown = this.#display.warn(reason, due, () => deadlines.remaining)
    dispatch('warn', {reason, message, expireInMs: deadlines.remaining})
    return shown
  }

  /** The end is past, and the server has not spoken yet. */
  past() {
    this.#display.hide()
  }

  /** @param {boolean} connected */
  #announce(connected) {
    if (this.#announced === connected) return
    this.#announced = connected
    dispatch('connection', {connected})
  }

  // ---- what the person does

  /** @param {Event} event */
  #acted(event) {
    if (!this.#display.covers(event)) this.act()
  }

  /** Notes that the person acted now. */
  act() {
    if (!this.#curtain.isDown) this.#reporter.act()
  }

  async stay() {
    this.#display.tell('wait')
    if (this.#connection.send({type: 'confirm'})) return this.#connection.expectAnswer()
    if (await this.#http.ask()) {
      const after = await this.#http.post('session/extend', {})
      if (after) return this.applyStatus(after)
    }
    this.#display.tell('stillTrying')
    this.#connection.sync()
  }

  async signOut() {
    this.#display.tell('wait')
    if ((await this.#http.ask()) && (await this.#http.signOut())) this.end()
    else this.#display.tell('notSignedOut')
  }

  // ---- the end

  /**
   * The session is over, or the browser has another one than this page: it is blank before anything
   * else happens. Then it waits, or the sign-in page is opened.
   * @param {End} [end]
   * @returns {Promise<undefined>}
   */
  async end(end = {}) {
    if (this.isOver) return
    this.isOver = true
    const {reason = '', message = ''} = end
    // A page that slept may have been told of an end that its user has signed in after.
    const mayWait = end.keep_ms || end.handle || this.#connection.isDoubted
    if (mayWait) this.#curtain.down()
    else this.#curtain.forget()
    this.#display.hide()
    this.deadlines.warnedOf = ''
    dispatch('expire', {reason, message})
    if (!mayWait || !(await this.#display.waitFor(end))) this.leave(end.location)
  }

  /**
   * Takes the page away for good, and opens the sign-in page.
   * @param {string} [where] its address, where the server has said so
   */
  leave(where) {
    this.#curtain.forget()
    this.#display.remove()
    this.#life.abort()
    const {base} = this.#http
    importer(`./${VERSION}/leaving.js`)().then(
      ({leaveFor}) => leaveFor(base, where, this.#departure),
      () => location.replace(base + 'login'),
    )
  }

  /** A page that waited goes on with another session of its user. @param {Status} status */
  resume(status) {
    this.isOver = false
    this.#reporter.drop()
    this.#connection.part('navigate')
    this.applyStatus(status)
    dispatch('resume', {csrf: status.csrf})
    this.#connection.connect()
  }

  /** There is no session, and this page never knew of one: it is none of Curfew's. */
  rest() {
    if (this.isOver) return
    this.isOver = true
    this.#life.abort()
    this.#connection.part('navigate')
    this.#curtain.up()
    this.#display.remove()
  }
}

/** @param {string} name @param {object} detail */
function dispatch(name, detail) {
  document.dispatchEvent(new CustomEvent('curfew:' + name, {detail}))
}

// ---- start

/**
 * Guards this page, unless another copy of this script, by another address, has begun already. In a
 * frame of a page of this origin that page may be the one that guards.
 */
async function begin() {
  if (!document.dispatchEvent(new CustomEvent(COPY, {cancelable: true}))) return
  listen(document, COPY, event => event.preventDefault(), {})
  try {
    if (frameElement && (await (await importer(`./${VERSION}/frames.js`)()).rest())) return
  } catch {} // without it the frame guards itself
  const {socket} = /** @type {HTMLElement | null} */ (document.querySelector(TAG))?.dataset ?? {}
  if (socket) new Guard(socket, !!document.querySelector(TAG + '[data-required]'))
}

/** When it is known who guards this page. */
const begun = /** @type {any} */ (document).prerendering
  ? new Promise(resolve => document.addEventListener('prerenderingchange', resolve, {once: true})).then(begin)
  : begin()

/** Tells Curfew of work that is neither mouse nor keyboard: a gamepad, a voice. */
export async function activity() {
  await begun
  document.dispatchEvent(new CustomEvent(WORK))
}
