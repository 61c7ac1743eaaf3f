// @ts-check
import {hasSubmitted, isUntidy, Shelf} from './shelf.js'
import {Tab} from './tab.js'

/**
 * The sign-in page goes on to where it leads once somebody has signed in in this browser, in
 * another tab. Without script it stays, and signs in as it would.
 *
 * <script type="module" src="/static/login.js" data-status="/session/status"></script>
 *
 * It looks when it is shown and when a page of a new session says so; and now and then while it is
 * visible, since cookies may come in other ways.
 */

/** The channel on which a page says that its session is there. */
const CHANNEL = 'curfew.session'

/** The cookie of each sign-in that scripts can read. */
const SEEN = '__Host-curfew-seen'

/** How often a visible page looks: seldom when nobody has touched it for long. */
const SOON_MS = 3_000
const SELDOM_MS = 30_000

/** How long an answer may take. */
const ANSWER_MS = 3_000

const script = /** @type {HTMLScriptElement} */ (document.querySelector('script[type="module"][data-status]'))
const form = /** @type {HTMLFormElement | null} */ (document.querySelector('form'))
/** @param {string} name */
const field = name => /** @type {HTMLInputElement | null | undefined} */ (form?.elements.namedItem(name))
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
    return response.ok ? /** @type {string} */ ((await response.json()).user) : ''
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
  location.replace(to.origin === origin ? to : '/')
}

/** Tells the pages that wait, and closes the window, or says that it can be closed. */
function done() {
  const channel = new BroadcastChannel(CHANNEL)
  channel.postMessage('')
  channel.close()
  const main = /** @type {HTMLElement} */ (document.querySelector('main'))
  const text = document.createElement('p')
  text.role = 'status'
  main.replaceChildren(text)
  text.textContent = 'You are signed in. You can close this window.'
  window.close()
}

/** Signs in without a navigation: a window with a history does not close itself. */
async function signIn() {
  const {action} = /** @type {HTMLFormElement} */ (form)
  const body = new URLSearchParams(/** @type {any} */ (new FormData(/** @type {HTMLFormElement} */ (form))))
  try {
    const response = await fetch(action, {method: 'POST', body, headers: {Accept: 'application/json'}})
    if (response.ok) return done()
    say((await response.json()).message)
  } catch {
    say('The server cannot be reached. Please try again.')
  }
  gone = false
}

/** @param {string} problem */
function say(problem) {
  let text = document.getElementById('problem')
  if (!text) {
    text = document.createElement('p')
    text.id = 'problem'
    text.className = 'problem'
    text.role = 'alert'
    form?.before(text)
  }
  text.textContent = problem
}

async function look() {
  clearTimeout(timer)
  if (gone || document.hidden) return
  const user = await signedIn()
  if (gone) return
  if (user) return open()
  clearTimeout(timer) // two may have looked at once
  timer = setTimeout(look, Math.min(SELDOM_MS, Math.max(SOON_MS, (performance.now() - touched) / 20)))
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
  const fold = (/** @type {string} */ name) => name.normalize('NFKC').trim().toLowerCase()
  const user = await signedIn()
  if (user && fold(user) === fold(field('username')?.value ?? '')) open()
  else if (isWindow) signIn()
  else form?.submit()
}

/**
 * The tab holds what was typed in it while this page is open. What it has submitted was answered by
 * this page, and so is kept.
 */
async function keepDrafts() {
  const tab = new Tab()
  const shelf = new Shelf()
  if (hasSubmitted()) await shelf.settle(tab.id, false)
  if (isUntidy()) await shelf.purge()
}

keepDrafts().catch(() => {}) // storage is turned off: there are none
document.addEventListener('visibilitychange', lookNow)
window.addEventListener('focus', lookNow)
window.addEventListener('pageshow', () => {
  gone = false // where it was kept for Back
  lookNow()
})
form?.addEventListener('submit', submit)
if (!form) done()
new BroadcastChannel(CHANNEL).addEventListener('message', look)
const {cookieStore} = /** @type {any} */ (window)
cookieStore?.addEventListener('change', (/** @type {any} */ event) => {
  if (event.changed.some((/** @type {{name: string}} */ cookie) => cookie.name === SEEN)) look()
})
