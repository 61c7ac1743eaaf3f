// @ts-check
// How a page that is over makes room for the sign-in page. warning.js imports it in time, so that it
// is there when the server cannot be reached.

/**
 * How long a navigation that is under way at the end may take before the sign-in page is opened
 * instead.
 */
const UNDER_WAY_MS = 1_000

/**
 * So much later a blank page opens the sign-in page: the session's other pages are blank before
 * that slows them down.
 */
const OTHERS_FIRST_MS = 150

/** How often a page looks whether the server can be reached again, and how long an answer may take. */
const LOOK_MS = 3_000

/** So long the page may take to store what was typed into it. */
const STORING_MS = 1_000

/** @type {Promise<unknown>} what has to be done before the page goes */
let first = Promise.resolve()

/** Has the page wait with its going for what has begun already. @param {Promise<unknown>} deed */
export const finishFirst = deed => (first = deed)

/**
 * Opens the sign-in page, to which this page will return, in the place of a page that is over.
 * @param {string} base where Curfew's routes are
 * @param {string | undefined} where the sign-in page's address as the server has told it, if it has
 * @param {{isLeaving: boolean, stays: () => void}} departure
 */
export async function leaveFor(base, where, departure) {
  if (departure.isLeaving) {
    // the person is on the way elsewhere already
    departure.stays()
    await new Promise(resolve => setTimeout(resolve, UNDER_WAY_MS))
  }
  const signIn = new URL(where || base + 'login', origin)
  if (signIn.origin !== origin) signIn.href = base + 'login'
  if (location.pathname === signIn.pathname) {
    signIn.search = location.search
    await forgetWorker()
  } else {
    signIn.searchParams.set('next', location.pathname + location.search + location.hash)
  }
  if (!where) await reachable(base)
  setTimeout(() => {
    const late = new Promise(resolve => setTimeout(resolve, STORING_MS))
    Promise.race([first, late]).finally(() => replacePage(signIn))
  }, OTHERS_FIRST_MS)
}

/**
 * Waits for the server: the browser's own page that it is out of reach would stay.
 * @param {string} base
 */
async function reachable(base) {
  for (;;) {
    const next = new Promise(resolve => setTimeout(resolve, LOOK_MS))
    try {
      const signal = AbortSignal.timeout(LOOK_MS)
      if ((await fetch(base + 'session/status', {cache: 'no-store', signal})).status < 500) return
    } catch {}
    await next
  }
}

/**
 * A page that stands where the sign-in page should was answered by a service worker of the
 * application, which answers every navigation so. Nobody could ever sign in. The application
 * registers it anew.
 */
async function forgetWorker() {
  try {
    await (await navigator.serviceWorker.getRegistration())?.unregister()
  } catch {}
}

/**
 * Opens url in the place of a page that is over. Nothing of the page's own comes between: no
 * question (`beforeunload`), no router that takes the navigation for its own.
 * @param {URL} url
 */
function replacePage(url) {
  try {
    document.open() // takes away all listeners of the page, on the window too
    document.close()
  } catch {
    window.onbeforeunload = null // not of XHTML: its listeners ask in vain
  }
  const {BeforeUnloadEvent, NavigateEvent} = /** @type {any} */ (window)
  const nothing = () => {}
  Event.prototype.preventDefault = nothing
  Object.defineProperty(BeforeUnloadEvent.prototype, 'returnValue', {set: nothing})
  if (NavigateEvent) NavigateEvent.prototype.intercept = nothing
  location.replace(url)
}
