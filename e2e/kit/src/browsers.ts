import {type APIResponse, type BrowserContext, type Clock, expect, type Page} from '@playwright/test'
import type {Curfew} from './client.js'
import {guardedBy, look, note} from './look.js'

/** Who is to be signed in. */
export interface Who {
  user: string
  /** That of the directory. With it the sign-in page is used, which knows nothing of `groups`. */
  password?: string
  /** Without a password: the groups that the user is in. */
  groups?: string[]
}

/** A session, and the browser that has it. */
export interface SignedIn {
  user: string
  context: BrowserContext
  /** What it is called in the API. */
  ref: () => Promise<string>
}

/** The browsers of a test. */
export class Browsers {
  readonly #curfew: Curfew
  readonly #users: Set<string>
  readonly #contexts = new Set<BrowserContext>()
  /** Of the contexts in which a clock was installed. */
  readonly #clocks = new Set<BrowserContext>()
  #last: SignedIn | undefined

  /** @param users is told who was signed in */
  constructor(curfew: Curfew, users: Set<string>) {
    this.#curfew = curfew
    this.#users = users
  }

  /** Has the pages of a context note what their script says, and notices when a clock is installed in them. */
  async adopt(context: BrowserContext): Promise<void> {
    if (this.#contexts.has(context)) return
    this.#contexts.add(context)
    guardedBy(context, this.#curfew.url)
    const install = context.clock.install.bind(context.clock)
    context.clock.install = (async options => {
      await install(options)
      this.#clocks.add(context)
    }) satisfies Clock['install']
    await context.addInitScript(note)
  }

  /**
   * Moves the clocks that were installed, before the server's: what pages then think of the time the
   * server confirms, and not the other way round.
   */
  async moveClocks(ms: number, only?: BrowserContext): Promise<void> {
    for (const context of only ? [only] : this.#clocks) {
      if (this.#clocks.has(context)) await context.clock.fastForward(ms)
    }
  }

  async signIn(who: string | Who, context: BrowserContext): Promise<SignedIn> {
    await this.adopt(context)
    const {user, password, groups = []} = typeof who === 'string' ? ({user: who} as Who) : who
    const ref = password === undefined ? await this.#mint(user, groups, context) : undefined
    if (password !== undefined) await logIn(this.#curfew.url, user, password, context)
    this.#users.add(user)
    this.#last = {user, context, ref: async () => ref ?? (await this.#ownRef(context))}
    return this.#last
  }

  /** Brings the cookies of a session into a browser that nobody has signed in to. */
  async #mint(user: string, groups: string[], context: BrowserContext): Promise<string> {
    const {cookie, seen, ref} = await this.#curfew.mint(user, groups)
    const common = {domain: new URL(this.#curfew.url).hostname, path: '/', secure: true, sameSite: 'Lax' as const}
    await context.addCookies(
      [cookie, seen].map((pair, i) => {
        const at = pair.indexOf('=')
        return {...common, name: pair.slice(0, at), value: pair.slice(at + 1), httpOnly: i === 0}
      }),
    )
    return ref
  }

  /** What the session of a browser is called, as its account page has it in the first form. */
  async #ownRef(context: BrowserContext): Promise<string> {
    const page = await context.request.get(this.#curfew.url + '/account', {maxRedirects: 0})
    const ref = /name="ref" value="([^"]+)"/.exec(await page.text())?.[1]
    if (!ref) throw new Error(`This browser has no session any more: ${page.url()} answers with ${page.status()}.`)
    return ref
  }

  /** The session that was signed in last. */
  last(): SignedIn {
    if (!this.#last) throw new Error('Nobody was signed in by signIn(): whose session is to age?')
    return this.#last
  }

  async openTab(url: string, context: BrowserContext): Promise<Page> {
    await this.adopt(context)
    const page = await context.newPage()
    await page.goto(url)
    await connected(page)
    return page
  }
}

/** Signs a user in as the sign-in page does. */
export async function logIn(
  url: string,
  user: string,
  password: string,
  context: BrowserContext,
): Promise<APIResponse> {
  const form = {username: user, password}
  const answer = await context.request.post(url + '/login', {form, maxRedirects: 0})
  if (answer.status() !== 303) throw new Error(`${user} cannot sign in: POST ${url}/login: ${answer.status()}`)
  return answer
}

/** Waits until the server has greeted the script of a page. */
export async function connected(page: Page): Promise<void> {
  const state = async () => {
    const found = await look(page)
    if (found?.seen?.events.includes('active')) return 'connected'
    return `${found?.url ?? page.url()}, ${JSON.stringify(found?.title)}: no word of Curfew's script`
  }
  await expect.poll(state, {message: 'Has the page a session, and the script tag?'}).toBe('connected')
}
