import {createHash} from 'node:crypto'
import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {type Browser, type BrowserContext, type Page, type TestType} from '@playwright/test'
import {connected, logIn} from './kit/src/browsers'
import type {RealBrowser} from './kit/src/chromium'
import {Curfew, expect, MINUTE, Server as Program, test as kit} from './kit/src/index'
import {goBack} from './kit/src/lifecycle'
import {nothing, shown, shows} from './kit/src/look'

// What our own tests add to the kit for others' (e2e/kit).

/** The bearer token that every server of the tests knows. */
const TOKEN = 'curfew_only-for-tests'

/** A Curfew server of our own, and the calls that can be made to it. */
export class Server extends Program {
  static override async start(...flags: string[]): Promise<Server> {
    const folder = await this.newFolder()
    const tokens = join(folder, 'tokens')
    await writeFile(tokens, `e2e:admin:${createHash('sha256').update(TOKEN).digest('hex')}\n`)
    const all = [`--api-tokens-file=${tokens}`, ...flags]
    return new this(process.env.CURFEW_BIN ?? 'bin/curfew', all, folder).started()
  }

  /** The calls of the kit. */
  get calls(): Curfew {
    return new Curfew(this.url + this.base, {token: TOKEN, ignoreHTTPSErrors: true})
  }

  /** Calls one of the /testing/ routes. */
  call<T = unknown>(path: string, body?: object): Promise<T> {
    return this.calls.call(path, body)
  }

  /** Calls the API as a program does. */
  api<T = any>(method: string, path: string, body?: object): Promise<T> {
    return this.calls.api(method, path, body)
  }

  /** Ends sessions as an administrator: {user: 'grace'}, {everyone: true, grace_ms: 30_000}, … */
  forceLogout(order: object): Promise<{id: string; sessions: number; tabs: number}> {
    return this.calls.forceLogout(order)
  }

  /** Moves the server's clock, and no other. */
  advance(ms: number): Promise<unknown> {
    return this.calls.advance(ms)
  }

  reset(): Promise<void> {
    return this.calls.reset()
  }

  /** What the server heard from pages, decided and told them, in words. */
  async story(kind?: 'input' | 'decision' | 'push'): Promise<string[]> {
    const items = await this.calls.timeline()
    return items.filter(item => !kind || item.kind === kind).map(item => item.what)
  }
}

/** One tab, by what a person sees in it. */
export class Tab {
  constructor(
    readonly page: Page,
    readonly server: {url: string},
  ) {}

  get warning() {
    return this.page.getByRole('alertdialog', {name: 'Your session is about to end'})
  }
  get stay() {
    return this.warning.getByRole('button', {name: 'Stay signed in'})
  }
  get signOut() {
    return this.warning.getByRole('button', {name: 'Sign out now'})
  }
  /** What a page shows that waits for its user to sign in again. */
  get waiting() {
    return this.page.getByRole('dialog', {name: 'You have been signed out'})
  }
  get signInAgain() {
    return this.waiting.getByRole('button', {name: 'Sign in to continue'})
  }
  get note() {
    return this.page.getByLabel('For this session only')
  }

  async goto(path = '/') {
    await this.page.goto(this.server.url + path)
  }

  /** Waits until the server has greeted the tab. */
  connected(): Promise<void> {
    return connected(this.page)
  }

  /**
   * The page has gone to the sign-in page. One that had lost the server asks each 4 s at most
   * whether it is back.
   */
  async signedOut(reason: string | RegExp, timeout?: number) {
    await expect(this.page).toHaveURL(/\/login\?next=/, {timeout})
    await expect(this.page.getByText(reason)).toBeVisible()
  }

  /** The page is blank, and waits for its user to sign in again. */
  async waits(reason: string | RegExp = /no activity/) {
    await expect(this.waiting).toContainText(reason)
    // Not toBeFocused: the window of a tab behind another has no focus.
    const isActive = (e: Element) => (e.getRootNode() as ShadowRoot).activeElement === e
    await expect.poll(() => this.signInAgain.evaluate(isActive)).toBe(true)
    await this.blank()
  }

  /** Opens the sign-in window. The first click may come too soon after the dialog: it does nothing. */
  async signInWindow(): Promise<Page> {
    const opened = this.page.waitForEvent('popup')
    let window: Page | undefined
    void opened.then(page => (window = page))
    await expect(async () => {
      await this.signInAgain.click({timeout: 1_000})
      await expect.poll(() => window !== undefined, {timeout: 500}).toBe(true)
    }).toPass({timeout: 10_000})
    await window!.waitForLoadState() // or the form goes before its script is there, and the window has a history
    return window!
  }

  /** Nothing of the page is to be seen. */
  async blank() {
    await expect(this.page).toBeBlank()
  }
}

/** Lets a page report each act at once, and counts them. */
export async function countActs(page: Page): Promise<() => number> {
  let count = 0
  await page.routeWebSocket(/session\/ws/, socket => {
    const upstream = socket.connectToServer()
    upstream.onMessage(message => socket.send(String(message).replace(/"heartbeat_ms":\d+/, '"heartbeat_ms":1')))
    socket.onMessage(message => {
      if (JSON.parse(String(message)).type === 'activity') count++
      upstream.send(message)
    })
  })
  return () => count
}

/** Has pages tell the console of breaches of their policy. */
const tellBreaches = () =>
  document.addEventListener('securitypolicyviolation', event =>
    console.error('CSP violation: ' + event.violatedDirective + ' ' + event.blockedURI),
  )

type Fixtures = {
  /** Flags for a server of the test's own. */
  flags: string[]
  /**
   * Whether a breach of the Content-Security-Policy fails the test. Not so where a tool writes
   * styles into the page.
   */
  strictCSP: boolean
  server: Server
}

const withServers = kit.extend<Fixtures, {sharedServer: Server}>({
  sharedServer: [
    async ({}, use) => {
      const server = await Server.start()
      await use(server)
      await server.stop()
    },
    {scope: 'worker'},
  ],

  flags: [[], {option: true}],
  strictCSP: [true, {option: true}],

  server: async ({flags, sharedServer}, use, info) => {
    const own = flags.length > 0 ? await Server.start(...flags) : sharedServer
    if (own === sharedServer) await own.reset()
    const before = own.log.length
    await use(own)
    if (info.status !== info.expectedStatus) await info.attach('server log', {body: own.log.slice(before)})
    if (own !== sharedServer) await own.stop()
  },

  curfewURL: async ({server}, use) => use(server.url + server.base),
  curfewToken: TOKEN,

  context: async ({context, strictCSP}, use, info) => {
    await context.addInitScript(tellBreaches)
    const violations: string[] = []
    context.on('console', message => {
      if (/CSP|Content.Security.Policy/i.test(message.text())) violations.push(message.text())
    })
    context.on('weberror', error => {
      const text = String(error.error())
      if (!text.includes('establish a connection')) violations.push(text) // Firefox's way to say that a server is gone
    })
    await use(context)
    if (strictCSP && info.status === info.expectedStatus) expect(violations).toEqual([]) // a failure's screenshot breaches it, too
  },

  /** By the password of the demo and of the tests' directory. */
  signIn: async ({signIn}, use) => {
    await use((who = 'ada', where) =>
      signIn(typeof who === 'string' ? {user: who, password: `${who}-demo`} : who, where),
    )
  },
})

type OpensTab = {
  /** Opens a tab and waits until it is connected. */
  openTab: (path?: string, context?: BrowserContext) => Promise<Tab>
}

/** Without the openTab of the kit, whose tabs are bare pages. */
type WithoutTabs = typeof withServers extends TestType<infer T, infer W> ? TestType<Omit<T, 'openTab'>, W> : never

export const test = (withServers as unknown as WithoutTabs).extend<OpensTab>({
  openTab: async ({server, context}, use) => {
    await use(async (path = '/', where = context) => {
      const tab = new Tab(await where.newPage(), server)
      await tab.goto(path)
      await tab.connected()
      return tab
    })
  },
})

/** Signs a user in at a server, by the password of the demo and of the tests' directory. */
export async function signInAt(server: {url: string; base?: string}, user: string, context: BrowserContext) {
  await logIn(server.url + (server.base ?? ''), user, `${user}-demo`, context)
}

export {type Browser, expect, goBack, MINUTE, nothing, type RealBrowser, shown, shows}
