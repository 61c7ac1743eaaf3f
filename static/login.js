// @ts-check
import {hasSubmitted, isUntidy, Shelf} from './shelf.js'
import {Tab} from './tab.js'
import {speaker} from './texts.js'

/** @import {Text} from './texts.js' */

/**
 * The sign-in page goes on to where it leads once somebody has signed in in this browser, in
 * another tab. Without script it stays, and signs in as it would.
 *
 * <script type="module" src="/static/login.js" data-status="/session/status"></script>
 *
 * It looks when it is shown and when a page of a new session says so; and now and then while it is
 * visible, since cookies may come in other ways.
 *
 * With `data-window` it is the window that a page has opened that waits. It closes itself then, or
 * says that it can be closed, and nothing is loaded in it: a window with a history does not close.
 *
 * It shows the password to whoever asks for that, and counts down while too many attempts have
 * failed. Its words stand in the page, in its language.
 */

/** The channel on which a page says that its session is there. */
const CHANNEL = 'curfew.session'

/** The channel on which sign-in windows hear of the pages that have opened them: see window.js. */
const WINDOWS = 'curfew.windows'

/** The cookie of each sign-in that scripts can read. */
const SEEN = '__Host-curfew-seen'

/** How often a visible page looks: seldom when nobody has touched it for long. */
const SOON_MS = 3_000
const SELDOM_MS = 30_000

/** How long an answer may take. */
const ANSWER_MS = 3_000

/** How long a sign-in may take. The server gives up before that. */
const SIGN_IN_MS = 60_000

/**
 * So long the window stays once somebody is signed in: password managers learn of a sign-in by script
 * when its form goes, and screen readers read out what came of it.
 */
const CLOSE_MS = 500

/** So long a status is there before its text is. */
const SAY_MS = 100

/** @type {Record<string, Text>} */
const words = JSON.parse(document.getElementById('words')?.textContent ?? '{}')
const say = speaker(document.documentElement.lang, words)

const script = /** @type {HTMLScriptElement} */ (document.querySelector('script[type="module"][data-status]'))
const form = /** @type {HTMLFormElement | null} */ (document.querySelector('form'))
/** @param {string} name */
const field = name => /** @type {HTMLInputElement | null | undefined} */ (form?.elements.namedItem(name))
const button = /** @type {HTMLButtonElement | null | undefined} */ (form?.querySelector('.primary'))
/** A page that waits has opened this window. */
const isWindow = script.dataset.window !== undefined

let timer = 0
let touched = performance.now()
let gone = false // on the way elsewhere, or about to sign in: nothing may come between

/** Who is signed in in this browser; empty for nobody, or where it cannot be known. */
async function signedIn() {
  try {
    const response = await fetch(new URL(script.dataset.status ?? '', origin), {
      cache: 'no-store',
      credentials: 'same-origin',
      headers: {Accept: 'application/json'},
      signal: AbortSignal.timeout(ANSWER_MS),
    })
    const {user} = await response.json() // read it all: to the browser a page that leaves some is still loading
    return response.ok ? /** @type {string} */ (user) : ''
  } catch {
    return ''
  }
}

/** Opens the page that the person wanted. The window of a page that waits closes itself. */
function open() {
  gone = true
  clearTimeout(timer)
  if (isWindow) return done()
  const to = new URL(field('next')?.value ?? '/', origin)
  kept.finally(() => location.replace(to.origin === origin ? to : '/'))
}

async function look() {
  clearTimeout(timer)
  if (gone || (document.hidden && !isWindow)) return // a window is in the way, even of who does not see it
  const user = await signedIn()
  if (gone) return
  if (user) return open()
  clearTimeout(timer) // two may have looked at once
  const quiet = document.hidden ? SELDOM_MS : (performance.now() - touched) / 20
  timer = setTimeout(look, Math.min(SELDOM_MS, Math.max(SOON_MS, quiet)))
}

/** Somebody is here: the page looks now, and sooner again for a while. */
function lookNow() {
  touched = performance.now()
  look()
}

/**
 * A sign-in would end the session that somebody has begun in another tab meanwhile, and what they
 * typed there with it. The same person goes on; anybody else signs in.
 */
async function submit(/** @type {SubmitEvent} */ event) {
  event.preventDefault()
  if (gone) return
  gone = true
  clearTimeout(timer)
  showPassword(false) // browsers keep what was typed as text
  const fold = (/** @type {string} */ name) => name.normalize('NFKC').trim().toLowerCase()
  const user = await signedIn()
  if (user && fold(user) === fold(field('username')?.value ?? '')) open()
  else if (isWindow) signIn()
  else form?.submit()
}

/**
 * The tab holds what was typed in it while this page is open. What it has submitted was answered by
 * this page, and so is kept. A window has a copy of what the tab of its opener holds.
 */
async function keepDrafts() {
  const tab = new Tab()
  const shelf = new Shelf()
  if (hasSubmitted()) await shelf.settle(tab.id, false)
  if (isUntidy()) await shelf.purge()
}

const late = new Promise(resolve => setTimeout(resolve, ANSWER_MS))

/** Settled before another page loads, or after a while. Where storage is turned off there are none. */
const kept = isWindow ? Promise.resolve() : Promise.race([keepDrafts(), late]).catch(() => {})

// ---- the window of a page that waits

/** Signs in without a navigation. What is wrong is said as the page would say it. */
async function signIn() {
  unsay()
  const {action} = /** @type {HTMLFormElement} */ (form)
  const body = new URLSearchParams(/** @type {any} */ (new FormData(/** @type {HTMLFormElement} */ (form))))
  const text = button?.textContent ?? ''
  if (button) button.textContent = say('login.signingIn')
  const {problem, quote, wait} = await send(action, body)
  if (!problem) return done()
  if (button) button.textContent = text
  fail(problem, quote)
  if (wait > 0) holdOff(wait)
  gone = false
  look()
}

/**
 * @param {string} action
 * @param {URLSearchParams} body
 * @returns {Promise<{problem: string, quote?: string, wait: number}>} what was wrong, empty for
 * nothing; what an administrator has written about it; and for how many seconds it stays so, 0 where
 * nobody knows
 */
async function send(action, body) {
  try {
    const response = await fetch(action, {
      method: 'POST',
      body,
      headers: {Accept: 'application/json'},
      signal: AbortSignal.timeout(SIGN_IN_MS),
    })
    const {said, message, text} = await response.json()
    const wait = response.status === 429 ? Number(response.headers.get('Retry-After')) : 0
    if (!response.ok) return {problem: said || message || say('login.unreachable'), quote: text, wait}
  } catch {
    return {problem: say('login.unreachable'), wait: 0}
  }
  const isKept = document.cookie.includes(SEEN + '=') || (await signedIn())
  return {problem: isKept ? '' : say('login.dropped'), wait: 0}
}

/** Says what was wrong. @param {string} problem @param {string} [quote] of an administrator, about it */
function fail(problem, quote) {
  tellPerson(problem, 'problem', 'alert')
  if (quote) form?.before(quotation(quote))
  const password = field('password')
  if (!password) return
  password.value = ''
  password.focus()
}

/**
 * Says something above the form. A new element is read out even where the text is the same. One that
 * is no alert has to be there before its text.
 * @param {string} said
 * @param {string} look the class
 * @param {string} role
 */
function tellPerson(said, look, role) {
  unsay()
  const text = document.createElement('p')
  text.id = 'problem'
  text.className = look
  text.setAttribute('role', role)
  form?.before(text)
  sayIn(text, said, role === 'alert')
  for (const name of ['username', 'password']) field(name)?.setAttribute('aria-describedby', text.id)
}

/**
 * What an administrator has written, as the page has it that comes without script: read out, too.
 * @param {string} text
 */
function quotation(text) {
  const figure = document.createElement('figure')
  const from = document.createElement('figcaption')
  const said = document.createElement('blockquote')
  figure.id = 'quote'
  figure.className = 'quote'
  from.className = 'said-by'
  from.textContent = say('login.fromAdmin')
  said.className = 'said'
  said.dir = 'auto'
  said.setAttribute('role', 'alert')
  said.textContent = text
  figure.append(from, said)
  return figure
}

/** @param {HTMLElement} element @param {string} text @param {boolean} atOnce */
function sayIn(element, text, atOnce) {
  if (atOnce) element.textContent = text
  else setTimeout(() => (element.textContent = text), SAY_MS)
}

function unsay() {
  for (const id of ['problem', 'quote']) document.getElementById(id)?.remove()
  for (const name of ['username', 'password']) {
    field(name)?.removeAttribute('aria-describedby')
    field(name)?.removeAttribute('aria-invalid')
  }
}

// ---- showing the password, and waiting after too many failures

const shows = /** @type {HTMLButtonElement | null} */ (document.getElementById('show'))

/** Shows the password, or hides it. What is selected in it, and the focus, stay. @param {boolean} isShown */
function showPassword(isShown) {
  const password = field('password')
  if (!password || (password.type === 'text') === isShown) return
  const {selectionStart, selectionEnd, selectionDirection} = password
  password.type = isShown ? 'text' : 'password'
  password.setSelectionRange(selectionStart, selectionEnd, selectionDirection ?? undefined)
  shows?.setAttribute('aria-pressed', String(isShown))
}

/**
 * Counts down until another attempt makes sense. The text was read out once, and is not each second.
 * @param {number} seconds
 */
function holdOff(seconds) {
  const text = document.getElementById('problem')
  const began = {at: Date.now(), mark: performance.now()}
  if (!text) return
  const show = () => {
    // Either clock may stand still while the computer sleeps, or be set.
    const passed = Math.max(Date.now() - began.at, performance.now() - began.mark)
    const left = Math.ceil(seconds - passed / 1000)
    if (button) button.disabled = left > 0 && text.isConnected
    if (!text.isConnected) return // it says something else by now
    if (left <= 0) return tellPerson(say('login.waitOver'), 'notice', 'status')
    if (left < seconds) text.setAttribute('aria-live', 'off')
    text.textContent = say('login.wait', {Count: left})
    setTimeout(show, 1000 - (passed % 1000))
  }
  show()
}

if (shows) {
  shows.hidden = false
  shows.addEventListener('mousedown', event => event.preventDefault()) // the caret stays where it is
  shows.addEventListener('click', () => showPassword(field('password')?.type === 'password'))
}
const {wait} = document.getElementById('problem')?.dataset ?? {}
if (wait) holdOff(Number(wait))

/** Tells the pages that wait, and closes the window, or says that it can be closed. */
function done() {
  tell(CHANNEL, '')
  if (form) {
    const title = document.createElement('h1')
    const text = document.createElement('p')
    title.textContent = say('login.signedIn')
    text.setAttribute('role', 'status')
    document.querySelector('main')?.replaceChildren(title, text)
    sayIn(text, say('login.closeWindow'), false)
  }
  setTimeout(() => window.close(), CLOSE_MS)
}

/** @param {string} name @param {unknown} message */
function tell(name, message) {
  const channel = new BroadcastChannel(name)
  channel.postMessage(message)
  channel.close()
}

/** Makes room for another window of the same page, which has lost sight of this one. */
function makeRoom() {
  const id = Math.random()
  const channel = new BroadcastChannel(WINDOWS)
  channel.addEventListener('message', ({data}) => {
    if (data.replaced === id && !gone) window.close()
  })
  channel.postMessage({opened: id})
}

document.addEventListener('visibilitychange', lookNow)
window.addEventListener('focus', lookNow)
window.addEventListener('pageshow', event => {
  if (event.persisted) gone = false // kept for Back
  lookNow()
})
form?.addEventListener('submit', submit)
new BroadcastChannel(CHANNEL).addEventListener('message', look)
const {cookieStore} = /** @type {any} */ (window)
cookieStore?.addEventListener('change', (/** @type {any} */ event) => {
  if (event.changed.some((/** @type {{name: string}} */ cookie) => cookie.name === SEEN)) look()
})
if (isWindow && form) makeRoom()
else if (isWindow) open()
