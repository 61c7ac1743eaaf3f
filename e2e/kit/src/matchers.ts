import {type ExpectMatcherState, expect as base, type MatcherReturnType, type Page} from '@playwright/test'
import {type Look, look, serverOf} from './look.js'

/** Why a session ends. */
export type Reason = 'idle' | 'lifetime' | 'logout' | 'admin' | 'directory' | 'browser-closed' | 'replaced' | 'policy'

/** How long a matcher waits, in milliseconds; without it as long as all others. */
export interface Patience {
  timeout?: number
}

/** What the server says of the session of a browser. */
interface Status {
  /** 401: there is none, and `reason` says why if it has ended. */
  status: number
  user?: string
  reason?: Reason
}

/** What is known of a page. */
interface Known {
  /** Undefined while the page is on its way to another. */
  look: Look | undefined
  /** Undefined where it was not asked for, or the server cannot be reached. */
  status: Status | undefined
}

/** What a matcher wants to be so, in words and in code. */
interface Wish {
  name: string
  argument?: string | undefined
  /** What is so where the wish is met. */
  is: string
  /** Whether the server is asked, too. */
  asks?: boolean
  met: (look: Look, status: Status | undefined) => boolean
}

/** How long it is until a page is looked at again, in ms: the last one from then on. */
const WAITS = [10, 20, 50, 100]

/** So long the server may take for an answer, though the time is up, in ms. */
const LEAST_MS = 1_000

/** Looks at a page until a wish is met, or not met with `.not`, or the time is up. */
async function until(
  state: ExpectMatcherState,
  page: Page,
  wish: Wish,
  patience: Patience,
): Promise<MatcherReturnType> {
  const timeout = patience.timeout ?? state.timeout
  const end = performance.now() + (timeout || Infinity)
  let known: Known
  let pass: boolean
  let isKnown: boolean
  for (let tries = 0; ; tries++) {
    known = {look: await look(page), status: wish.asks ? await ask(page, end - performance.now()) : undefined}
    // On the way a page is nothing yet, and a server that cannot be asked has said nothing.
    isKnown = !!known.look && (!wish.asks || [200, 401].includes(known.status?.status ?? 0))
    pass = isKnown ? wish.met(known.look!, known.status) : state.isNot
    if (isKnown && pass !== state.isNot) break
    const left = end - performance.now()
    if (left <= 0) break
    await new Promise(resolve => setTimeout(resolve, Math.min(left, WAITS[tries] ?? WAITS.at(-1)!)))
  }
  const {name, argument = '', is} = wish
  if (pass === state.isNot && !known.status) known.status = await ask(page, LEAST_MS).catch(() => undefined)
  const message = () =>
    [
      state.utils.matcherHint(name, 'page', argument, {isNot: state.isNot, promise: state.promise}),
      '',
      `Expected: the page ${state.isNot ? 'not ' : ''}${is}`,
      `Timeout:  ${timeout} ms`,
      ...describe(known, page),
    ].join('\n')
  return {name, pass, message, timeout}
}

/** Asks for the session of the page's browser, which is no activity. */
async function ask(page: Page, left: number): Promise<Status | undefined> {
  const url = serverOf(page) + '/session/status'
  const options = {maxRedirects: 0, headers: {Accept: 'application/json'}, timeout: Math.max(left, LEAST_MS)}
  try {
    const answer = await page.context().request.get(url, options)
    const {user, reason} = await answer.json()
    return {status: answer.status(), user, reason}
  } catch (error) {
    if (page.isClosed()) throw error
    return undefined
  }
}

/** How much of a page's text stands in a message. */
const MAX_TEXT = 300

function describe({look, status}: Known, page: Page): string[] {
  if (!look) return [`Page:     on its way from ${page.url()}`]
  const {text, title, fields, isBlank, isWarned, isWaiting, seen} = look
  const short = text.length > MAX_TEXT ? text.slice(0, MAX_TEXT) + '…' : text
  const dialogs = [isWarned && 'the warning shows', isWaiting && 'it waits for its user to sign in again']
  return [
    `Page:     ${look.url}`,
    `          ${isBlank ? 'is blank' : `title ${JSON.stringify(title)}, fields with a value: ${fields}, text: ${JSON.stringify(short)}`}`,
    `          ${dialogs.filter(Boolean).join(', ') || 'no dialog of Curfew shows'}`,
    `          its script said: ${seen ? seen.events.join(', ') || 'nothing' : 'not noted'}${seen?.reason ? ` (ended: ${seen.reason})` : ''}`,
    `Session:  ${session(status)}`,
  ]
}

function session(status: Status | undefined): string {
  if (!status) return 'the server cannot be asked'
  if (status.status === 200) return `${status.user} is signed in`
  return status.reason ? `ended: ${status.reason}` : `none (${status.status})`
}

const isSignIn = (page: Page, {url}: Look) => {
  const server = new URL(serverOf(page))
  const {origin, pathname} = new URL(url)
  return origin === server.origin && pathname === server.pathname.replace(/\/$/, '') + '/login'
}

/** Playwright's `expect`, with matchers for pages behind Curfew. They retry, and take a `timeout`. */
export const expect = base.extend({
  /** Nothing of the page is to be seen: no text, no value of a field; its title is its host. */
  toBeBlank(page: Page, patience: Patience = {}) {
    return until(this, page, {name: 'toBeBlank', is: 'shows nothing of its own', met: look => look.isBlank}, patience)
  },

  /** The warning shows, that the session is about to end. */
  toBeWarned(page: Page, patience: Patience = {}) {
    return until(this, page, {name: 'toBeWarned', is: 'shows the warning', met: look => look.isWarned}, patience)
  },

  /** The page is blank, and waits for its user to sign in again. */
  toBeWaiting(page: Page, patience: Patience = {}) {
    const met = (look: Look) => look.isWaiting && look.isBlank
    return until(this, page, {name: 'toBeWaiting', is: 'is blank and waits for its user', met}, patience)
  },

  /** The session of the page has ended, for this reason if one is given: it waits, or is the sign-in page. */
  toHaveEnded(page: Page, reason?: Reason, patience: Patience = {}) {
    const wish: Wish = {
      name: 'toHaveEnded',
      argument: reason && JSON.stringify(reason),
      is: `waits, or is the sign-in page, since its session has ended${reason ? `: ${reason}` : ''}`,
      asks: true,
      met: (look, status) => {
        const why = look.seen?.reason || (status?.status === 401 ? status.reason : undefined)
        const isOver = (look.isWaiting && look.isBlank) || isSignIn(page, look)
        return isOver && !!why && (!reason || why === reason)
      },
    }
    return until(this, page, wish, patience)
  },

  /** The page shows itself, and its browser has a live session, of this user if one is given. */
  toBeSignedIn(page: Page, user?: string, patience: Patience = {}) {
    const wish: Wish = {
      name: 'toBeSignedIn',
      argument: user && JSON.stringify(user),
      is: `shows itself, to a user who is signed in${user ? `: ${user}` : ''}`,
      asks: true,
      met: (look, status) =>
        status?.status === 200 &&
        (!user || status.user === user) &&
        new URL(look.url).origin === new URL(serverOf(page)).origin &&
        !look.isBlank &&
        !look.isWaiting &&
        !isSignIn(page, look),
    }
    return until(this, page, wish, patience)
  },
})
