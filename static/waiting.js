// @ts-check
import {cookie} from './cookies.js'
import {isHidden, listen} from './page.js'
import {SignedOut} from './signedout.js'
import {instant, LONGEST_TIMEOUT, since} from './time.js'
import {SignInWindow} from './window.js'
import {whyOver} from './words.js'

/** @import {Forms} from './forms.js' */
/** @import {End, HTTP, Own, Status} from './http.js' */

/**
 * What a page that waits wants of the guard.
 * @typedef {object} Keeper
 * @property {(where?: string) => void} leave takes the page away for good, and opens the sign-in page
 * @property {(status: Status) => void} resume the page goes on with the session that there is now
 */

/** What a page may put something else in the place of; see originals.js. */
const {BroadcastChannel, open} = window

/** The channel on which a page or a sign-in window says that somebody has signed in. */
const CHANNEL = 'curfew.session'

/** The cookie of each sign-in that scripts can read. */
const SEEN = '__Host-curfew-seen'

/** How often a visible page looks at that cookie. */
const LOOK_MS = 500

/**
 * How often a visible page asks the server: cookies may come in other ways, and a forced logout
 * takes the page away. Seldom, where nobody has touched it for so long that they have gone home.
 */
const ASK_SOON_MS = 2_500
const ASK_SELDOM_MS = 25_000
const SOON_FOR_MS = 2 * 60 * 60_000

/**
 * So long after a sign-in in the same browser the new session's cookie may take to arrive. A page
 * asks as often as it looks meanwhile.
 */
const COOKIE_MS = 5_000

/** Who signed in last in this browser, and a random number; empty where nobody did. */
const lastSignIn = () => cookie(SEEN)

/**
 * A page whose session has ended waits, blank, for its user to sign in again: it comes back, or is
 * taken away. Then the next session may end in the same way. warning.js has one for the whole life
 * of the page, and calls begin at an end. The server decides; nothing but its word brings the page
 * back.
 */
export class Waiting {
  #guard
  #http
  #forms
  #dialog = new SignedOut(
    () => this.#signIn(),
    () => this.#leave(),
  )
  /** @type {SignInWindow | undefined} */
  #window
  /** The sign-in that the page knows of. */
  #seen = lastSignIn()
  #noticed = instant() // when there was another one
  /** @type {End | undefined} what the page was told of the end; none while it does not wait */
  #end
  #began = instant()
  #keep = 0 // milliseconds, from then on:
  #told = instant()
  #touched = instant()
  #asked = instant()
  #asking = false
  #again = false // somebody has signed in meanwhile
  #timer = 0
  #isListening = false
  /** @type {BroadcastChannel | undefined} */
  #channel

  /** @param {Keeper} guard @param {HTTP} http @param {Forms} forms */
  constructor(guard, http, forms) {
    this.#guard = guard
    this.#http = http
    this.#forms = forms
  }

  /** The session that the page is for. It waits only where it had one. */
  get #own() {
    return /** @type {Own} */ (this.#http.own)
  }

  get #left() {
    return this.#keep - since(this.#told)
  }

  /**
   * The session is over. How it ended is clear, or else the server is asked: where the browser has
   * another session, or where the page slept.
   * @param {End} end
   */
  begin(end) {
    const {reason, keep_ms, handle} = end
    const isClear = keep_ms && !handle
    this.#end = end
    this.#began = this.#touched = instant()
    if (!isClear && !this.#own.keep_ms) return this.#leave(end.location) // whoever is signed in now
    this.#keepFor(isClear ? keep_ms : this.#own.keep_ms)
    this.#listen()
    this.#open()
    if (reason === 'replaced') this.#noticed = instant()
    if (isClear && reason !== 'replaced') this.#dialog.show(whyOver(end))
    else this.#ask()
    this.#count()
  }

  /** @param {number} ms */
  #keepFor(ms) {
    this.#keep = ms
    this.#told = instant()
  }

  /** Once for all times that the page waits. */
  #listen() {
    if (this.#isListening) return
    this.#isListening = true
    const look = () => this.#look()
    for (const type of ['visibilitychange', 'resume']) listen(document, type, look, {})
    for (const type of ['focus', 'online']) listen(window, type, look, {})
    listen(window, 'pointerdown', () => (this.#touched = instant()), {})
    listen(window, 'pagehide', () => this.#close(), {}) // a channel that is open keeps a page out of the cache for Back
    listen(
      window,
      'pageshow',
      () => {
        this.#open()
        this.#look()
      },
      {},
    )
    const {cookieStore} = /** @type {any} */ (window)
    if (cookieStore) listen(cookieStore, 'change', look, {})
  }

  #open() {
    if (!this.#end || this.#channel) return
    this.#channel = new BroadcastChannel(CHANNEL)
    this.#channel.onmessage = () => this.#look()
  }

  #close() {
    this.#channel?.close()
    this.#channel = undefined
  }

  /** Looks whether somebody has signed in. */
  #look() {
    if (!this.#end) return
    const seen = lastSignIn()
    if (seen !== this.#seen) {
      this.#seen = seen
      this.#noticed = instant()
      this.#ask()
    } else if (!isHidden()) {
      this.#ask()
    }
  }

  #count() {
    clearTimeout(this.#timer)
    const end = this.#end
    if (!end) return
    this.#dialog.keep()
    if (end.reason === 'replaced' && end.keep_ms && since(this.#began) >= COOKIE_MS) {
      this.#dialog.show(whyOver(end))
    }
    const isAlert = since(this.#noticed) < COOKIE_MS
    const quiet = isAlert ? 0 : since(this.#touched) < SOON_FOR_MS ? ASK_SOON_MS : ASK_SELDOM_MS
    if (lastSignIn() !== this.#seen) this.#look()
    else if (this.#left <= 0 || ((isAlert || !isHidden()) && since(this.#asked) > quiet)) this.#ask()
    const wait = isAlert || !isHidden() ? 0 : this.#left
    this.#timer = setTimeout(() => this.#count(), Math.min(LONGEST_TIMEOUT, Math.max(wait, LOOK_MS)))
  }

  /** Asks the server how this page's session stands, and which one the browser has. */
  async #ask() {
    if (this.#asking) {
      this.#again = true
      return
    }
    this.#asking = true
    this.#again = false
    this.#asked = instant()
    const end = this.#end
    const answer = await this.#http.look()
    if (answer?.status === 401 && (await this.#isTaken())) answer.body.keep_ms = 0
    this.#asking = false
    if (end === this.#end) this.#heed(answer)
    else this.#again = true
    if (this.#again && this.#end) this.#ask()
  }

  /**
   * Whether another user has signed in in this browser and is signed out again. Any script can write
   * the cookie that says so, and so the server is asked whose the browser's last session was.
   */
  async #isTaken() {
    const {who} = this.#own
    const seen = lastSignIn()
    if (!seen || seen.startsWith(who + '.')) return false
    const last = await this.#http.look('session/status?')
    return last?.status === 401 && !!last.body.who && last.body.who !== who
  }

  /** @param {{status: number, body: any} | undefined} answer */
  #heed(answer) {
    if (!this.#end) return
    if (answer?.status === 200) this.#meet(answer.body)
    else if (answer?.status === 401 && answer.body.reason) this.#over(answer.body)
    else if (this.#left <= 0) this.#leave()
  }

  /** The browser has no session. @param {End} end of this page's own */
  #over(end) {
    const {reason, keep_ms} = end
    if (!keep_ms) return this.#leave(end.location)
    this.#end = end
    this.#keepFor(keep_ms)
    if (reason === 'replaced' && since(this.#began) < COOKIE_MS) return // its cookie is on its way
    this.#dialog.show(whyOver(end))
  }

  /** The browser has a session. @param {Status} status */
  #meet(status) {
    const {who, rights, keep_ms} = this.#own
    const {ended} = status
    const isOver = ended && (ended.revoked || ended.ago_ms >= keep_ms)
    if (status.who !== who || status.rights !== rights || isOver) return this.#leave()
    this.stop()
    this.#seen = lastSignIn()
    this.#http.csrf = status.csrf
    this.#forms.update()
    this.#guard.resume(status)
  }

  /** A click has asked for it, so that no browser holds the window back. */
  #signIn() {
    this.#window ??= new SignInWindow(this.#http.base + 'login?window=1')
    if (!this.#window.show()) this.#leave()
  }

  #leave(where = '') {
    this.stop()
    this.#guard.leave(where)
  }

  /** The page does not wait any more. */
  stop() {
    clearTimeout(this.#timer)
    this.#end = undefined
    this.#window?.forget()
    this.#dialog.remove()
    this.#close()
  }

  /**
   * @param {KeyboardEvent | MouseEvent} event a key or a click, before the page hears of it
   * @returns {boolean} false where the page does not wait
   */
  hear(event) {
    if (!this.#end) return false
    this.#touched = instant()
    this.#dialog.hear(event)
    return true
  }
}
