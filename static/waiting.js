// @ts-check
import {button, look} from './buttons.js'
import {isHidden, listen, WAITING} from './page.js'
import {instant, LONGEST_TIMEOUT, since} from './time.js'
import {LEAVE_PAGE, SIGN_IN_AGAIN, SIGNED_OUT} from './words.js'

/** @import {Forms} from './forms.js' */
/** @import {End, HTTP, Status} from './http.js' */
/** @import {Instant} from './time.js' */

/**
 * What a page that waits wants of the guard.
 * @typedef {object} Keeper
 * @property {(where?: string) => void} leave takes the page away for good, and opens the sign-in page
 * @property {(status: Status) => void} resume the page goes on with the session that there is now
 */

/** The channel on which a page or a sign-in window says that somebody has signed in. */
const CHANNEL = 'curfew.session'

/** The cookie of each sign-in that scripts can read. */
const SEEN = '__Host-curfew-seen='

/** How often a visible page looks at that cookie. */
const SEEN_EVERY_MS = 500

/**
 * How often a visible page asks the server: cookies may come in other ways, and a forced logout
 * takes the page away. Seldom, where nobody has touched it for long.
 */
const ASK_SOON_MS = 2_500
const ASK_SELDOM_MS = 25_000

/** So long after a sign-in in the same browser the new cookie may take to arrive. */
const COOKIE_MS = 5_000

/** So long a click or a key may have been meant for the page that was there. */
const SURPRISE_MS = 1_000

/** Who signed in last in this browser, and a random number; empty where nobody did. */
export const lastSignIn = () =>
  document.cookie
    .split('; ')
    .find(cookie => cookie.startsWith(SEEN))
    ?.slice(SEEN.length) ?? ''

/**
 * A page whose session has ended waits, blank, for its user to sign in again. It lives until the
 * page comes back or is taken away.
 */
export class Waiting {
  #life = new AbortController()
  #guard
  #http
  #forms
  /** The sign-in of which the page knew when its session lived. */
  #seen
  #dialog = new Dialog(
    () => this.#signIn(),
    () => this.#leave(),
  )
  #keep = Infinity // milliseconds, from then on:
  #told = instant()
  #touched = instant()
  #asked = instant()
  #asking = false
  #again = false // somebody has signed in meanwhile
  #timer = 0

  /**
   * @param {Keeper} guard
   * @param {HTTP} http
   * @param {Forms} forms
   * @param {string} seen what lastSignIn said while the session lived
   * @param {End} end
   */
  constructor(guard, http, forms, seen, end) {
    this.#guard = guard
    this.#http = http
    this.#forms = forms
    this.#seen = seen
    const options = {signal: this.#life.signal}
    const look = () => this.#look()
    for (const type of ['visibilitychange', 'resume']) listen(document, type, look, options)
    for (const type of ['focus', 'pageshow', 'online']) listen(window, type, look, options)
    for (const type of ['pointerdown', 'keydown']) listen(window, type, () => (this.#touched = instant()), options)
    const {cookieStore} = /** @type {any} */ (window)
    if (cookieStore) listen(cookieStore, 'change', look, options)
    this.#listenToOthers(look)
    if (end.keep_ms && end.reason !== 'replaced') this.#tell(end)
    else this.#ask()
    this.#count()
  }

  /** A channel that is open keeps a page out of the cache for Back. @param {() => void} look */
  #listenToOthers(look) {
    /** @type {BroadcastChannel | undefined} */
    let channel
    const open = () => {
      channel ??= new BroadcastChannel(CHANNEL)
      channel.onmessage = look
    }
    const close = () => {
      channel?.close()
      channel = undefined
    }
    open()
    listen(window, 'pageshow', open, {signal: this.#life.signal})
    listen(window, 'pagehide', close, {signal: this.#life.signal})
    this.#life.signal.addEventListener('abort', close)
  }

  /** Says why, and how long the page waits. @param {End} end */
  #tell({reason = '', message = '', keep_ms = 0}) {
    this.#keep = keep_ms
    this.#told = instant()
    this.#dialog.show(reason, message)
  }

  get #left() {
    return this.#keep - since(this.#told)
  }

  /** Looks whether somebody has signed in. */
  #look() {
    const seen = lastSignIn()
    if (seen !== this.#seen && seen.split('.')[0] !== this.#http.own?.who) return this.#leave()
    if (seen !== this.#seen || !isHidden()) this.#ask()
  }

  #count() {
    clearTimeout(this.#timer)
    if (this.#life.signal.aborted) return
    const quiet = Math.max(ASK_SOON_MS, Math.min(ASK_SELDOM_MS, since(this.#touched) / 20))
    if (this.#left <= 0) this.#ask()
    else if (lastSignIn() !== this.#seen) this.#look()
    else if (!isHidden() && since(this.#asked) > quiet) this.#ask()
    this.#timer = setTimeout(
      () => this.#count(),
      isHidden() ? Math.min(LONGEST_TIMEOUT, Math.max(this.#left, SEEN_EVERY_MS)) : SEEN_EVERY_MS,
    )
  }

  /** Asks the server how this page's session stands, and which one the browser has. */
  async #ask() {
    if (this.#asking) {
      this.#again = true
      return
    }
    this.#asking = true
    this.#asked = instant()
    const seen = lastSignIn()
    const answer = await this.#http.look()
    this.#asking = false
    if (this.#life.signal.aborted) return
    if (answer?.ok) return this.#meet(answer.body)
    if (answer?.status === 401 && answer.body.reason) this.#over(answer.body)
    else if (this.#left <= 0) this.#leave()
    if (this.#again || lastSignIn() !== seen) {
      this.#again = false
      this.#ask()
    }
  }

  /** There is no session. @param {End} end of this page's own */
  #over(end) {
    if (!end.keep_ms) return this.#leave(end.location)
    if (end.reason === 'replaced' && since(this.#told) < COOKIE_MS) return // its cookie is on its way
    this.#tell(end)
  }

  /** The browser has a session. @param {Status} status */
  #meet(status) {
    const own = /** @type {import('./http.js').Own} */ (this.#http.own)
    const {ended} = status
    const isOver = ended && (ended.revoked || ended.ago_ms >= own.keep_ms)
    if (status.who !== own.who || status.rights !== own.rights || isOver) return this.#leave()
    this.#end()
    this.#http.csrf = status.csrf
    this.#forms.update()
    this.#guard.resume(status)
  }

  /** A click has asked for it, so that no browser holds the window back. */
  #signIn() {
    const url = this.#http.base + 'login?window=1'
    if (!open(url, '_blank', 'popup,width=480,height=640')) this.#leave()
  }

  #leave(where = '') {
    this.#end()
    this.#guard.leave(where)
  }

  #end() {
    clearTimeout(this.#timer)
    this.#life.abort()
    this.#dialog.remove()
  }
}

/** Says that and why the session has ended, on a page that is blank. */
class Dialog {
  #host = document.createElement(WAITING)
  #dialog = document.createElement('dialog')
  #title = document.createElement('h2')
  #text = document.createElement('p')
  #signIn
  /** @type {Instant | undefined} */
  #shown

  /** @param {() => void} signIn @param {() => void} leave */
  constructor(signIn, leave) {
    /** @param {() => void} deed */
    const soon = deed => () => {
      if (this.#shown && since(this.#shown) >= SURPRISE_MS) deed()
    }
    const dialog = this.#dialog
    this.#title.id = 'curfew-title'
    this.#title.textContent = SIGNED_OUT
    this.#text.id = 'curfew-text'
    dialog.setAttribute('aria-labelledby', this.#title.id)
    dialog.setAttribute('aria-describedby', this.#text.id)
    dialog.setAttribute('closedby', 'none')
    dialog.lang = 'en'
    dialog.dir = 'ltr'
    dialog.addEventListener('cancel', event => event.preventDefault())
    this.#signIn = button(SIGN_IN_AGAIN, soon(signIn))
    this.#signIn.className = 'first'
    const buttons = document.createElement('div')
    buttons.className = 'buttons'
    buttons.append(this.#signIn, button(LEAVE_PAGE, soon(leave)))
    dialog.append(this.#title, this.#text, buttons)
    const shadow = this.#host.attachShadow({mode: 'open'})
    shadow.adoptedStyleSheets = [look]
    shadow.append(dialog)
  }

  /** @param {string} reason @param {string} message */
  show(reason, message) {
    this.#text.textContent = message
    if (this.#shown) return
    this.#shown = instant()
    document.documentElement.append(this.#host)
    this.#dialog.showModal()
    this.#signIn.focus()
  }

  remove() {
    this.#host.remove()
  }
}
