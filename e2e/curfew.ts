import {type ChildProcess, spawn} from 'node:child_process'
import {createHash} from 'node:crypto'
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {type Browser, type BrowserContext, chromium, expect, type Page, test as base} from '@playwright/test'

/** A Curfew server of our own: the real program, on a free port, with the demo directory. */
export class Server {
  url = ''
  /** Below which path the routes of Curfew are. */
  base = ''
  log = ''
  #process: ChildProcess | undefined
  #port = '0'

  protected constructor(
    readonly folder: string,
    readonly flags: string[],
  ) {}

  static async start(...flags: string[]): Promise<Server> {
    const server = new this(await mkdtemp(join(tmpdir(), 'curfew-e2e-')), flags)
    try {
      await server.run()
    } catch (error) {
      await server.stop() // one that was too slow would stay
      throw error
    }
    return server
  }

  /** Starts the process, on the port that it had before. */
  async run(): Promise<void> {
    const ready = join(this.folder, 'ready')
    await rm(ready, {force: true})
    const tokens = join(this.folder, 'tokens')
    await writeFile(tokens, `e2e:admin:${createHash('sha256').update(TOKEN).digest('hex')}\n`)
    const args = [
      `--api-tokens-file=${tokens}`,
      `--listen=127.0.0.1:${this.#port}`,
      `--data-dir=${join(this.folder, 'data')}`,
      `--ready-file=${ready}`,
      '--testing',
      ...this.flags,
    ]
    const child = spawn(process.env.CURFEW_BIN ?? 'bin/curfew', args, {stdio: ['ignore', 'ignore', 'pipe']})
    this.#process = child
    child.stderr.on('data', data => {
      this.log += data
    })
    await expect(async () => {
      expect(child.exitCode, this.log).toBeNull()
      this.url = (await readFile(ready, 'utf8')).trim()
    }).toPass({intervals: [20], timeout: 10_000})
    this.#port = new URL(this.url).port
  }

  get running(): boolean {
    const child = this.#process
    return !!child && child.exitCode === null && child.signalCode === null
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process
    if (!child || !this.running) return
    const gone = new Promise(resolve => child.once('exit', resolve))
    child.kill(signal)
    await gone
  }

  /** Has it read its settings anew. */
  hangUp(): void {
    this.#process?.kill('SIGHUP')
  }

  async stop(): Promise<void> {
    await this.kill('SIGTERM')
    await rm(this.folder, {recursive: true, force: true})
  }

  /** How the calls below are sent. */
  protected fetch(url: string, init: RequestInit): Promise<Response> {
    return fetch(url, init)
  }

  /** Calls one of the /testing/ routes. */
  async call<T = unknown>(path: string, body?: object): Promise<T> {
    const response = await this.fetch(
      `${this.url}${this.base}/testing/${path}`,
      body ? {method: 'POST', body: JSON.stringify(body)} : {},
    )
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as T
  }

  /** Calls the API as a program does. */
  async api<T = any>(method: string, path: string, body?: object): Promise<T> {
    const response = await this.fetch(`${this.url}${this.base}/api/v1${path}`, {
      method,
      headers: {Authorization: `Bearer ${TOKEN}`},
      ...(body && {body: JSON.stringify(body)}),
    })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as T
  }

  /** Ends sessions as an administrator: {user: 'grace'}, {everyone: true, grace_ms: 30_000}, … */
  forceLogout(order: object): Promise<{id: string; sessions: number; tabs: number}> {
    return this.api('POST', '/logouts', order)
  }

  /** Moves the server's clock. */
  advance(ms: number): Promise<unknown> {
    return this.call('clock', {advance_ms: ms})
  }

  async reset(): Promise<void> {
    await this.call('reset', {})
  }

  /** What the server heard from pages, decided and told them, in words. */
  async story(kind?: 'input' | 'decision' | 'push'): Promise<string[]> {
    const {items} = await this.call<{items: {kind: string; what: string}[]}>('timeline')
    return items.filter(item => !kind || item.kind === kind).map(item => item.what)
  }
}

export const MINUTE = 60_000

/** The bearer token that every server of the tests knows. */
const TOKEN = 'curfew_only-for-tests'

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
  async connected() {
    await expect
      .poll(() => this.page.evaluate(() => (window as any).curfewSeen?.includes('active') ?? false))
      .toBe(true)
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
    await expect.poll(() => shows(this.page)).toEqual(nothing(this.page))
  }
}

/**
 * What a blank page shows: its title is the host, since for an empty one browsers show the address.
 */
export const nothing = (page: Page) => ({text: '', title: new URL(page.url()).host, fields: 0})

/** What a page shows. */
export const shows = (page: Page) => page.evaluate(shown)

/** Of the page that it runs in: its rendered text, its title, and how many rendered fields have a value. */
export const shown = () => ({
  text: document.body?.innerText.trim() ?? '',
  title: document.title,
  fields: [...document.querySelectorAll<HTMLInputElement>('input, textarea, select')].filter(
    f => f.value && f.getClientRects().length > 0,
  ).length,
})

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

/** Notes every event of the client, so that tests can wait for what has happened already. */
const seen = () => {
  const names: string[] = []
  ;(window as any).curfewSeen = names
  for (const name of ['warn', 'active', 'notice', 'expire', 'resume', 'connection'])
    document.addEventListener('curfew:' + name, () => names.push(name))
  document.addEventListener('securitypolicyviolation', event =>
    console.error('CSP violation: ' + event.violatedDirective + ' ' + event.blockedURI),
  )
}

type Fixtures = {
  /** Flags for a server of the test's own. */
  flags: string[]
  /**
   * Whether a breach of the Content-Security-Policy fails the test. Not so where a tool writes
   * styles into the page.
   */
  strictCSP: boolean
  server: Server
  context: BrowserContext
  /** Signs a user in, in the browser of the test or in another one. */
  signIn: (user?: string, context?: BrowserContext) => Promise<void>
  /** Opens a tab and waits until it is connected. */
  openTab: (path?: string, context?: BrowserContext) => Promise<Tab>
  /** Another browser: nothing is shared with the first. */
  otherBrowser: () => Promise<BrowserContext>
  advance: (ms: number) => Promise<unknown>
  /** A Chromium as people have it: tabs are really hidden, and can be frozen. */
  realBrowser: () => Promise<RealBrowser>
}

export interface RealBrowser {
  browser: Browser
  context: BrowserContext
  /** The folder that holds what it keeps. */
  profile: string
  /** The browser's own process: its group has all of them. */
  pid: number
  /** Ends it as a person does: it writes what it keeps. */
  quit: () => Promise<void>
  /** Ends it as a power cut would. */
  kill: () => Promise<void>
  /** Ends it so, and starts it with what it had stored. */
  restart: () => Promise<void>
}

export const test = base.extend<Fixtures, {sharedServer: Server}>({
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
    if (info.status !== info.expectedStatus) {
      await info.attach('server log', {body: own.log.slice(before)})
      const timeline = await own.call('timeline').catch(() => null)
      await info.attach('timeline', {body: JSON.stringify(timeline, null, 1)})
    }
    if (own !== sharedServer) await own.stop()
  },

  context: async ({context, strictCSP}, use, info) => {
    await watch(context)
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

  signIn: async ({server, context}, use) => {
    await use((user = 'ada', where = context) => signInAt(server, user, where))
  },

  openTab: async ({server, context}, use) => {
    await use(async (path = '/', where = context) => {
      const tab = new Tab(await where.newPage(), server)
      await tab.goto(path)
      await tab.connected()
      return tab
    })
  },

  otherBrowser: async ({browser}, use) => {
    const contexts: BrowserContext[] = []
    await use(async () => {
      const context = await browser.newContext()
      contexts.push(context)
      await watch(context)
      return context
    })
    for (const context of contexts) await context.close()
  },

  advance: async ({server}, use) => {
    await use(ms => server.advance(ms))
  },

  realBrowser: async ({}, use) => {
    const started: RealBrowser[] = []
    await use(async () => {
      const real = await startChromium()
      started.push(real)
      return real
    })
    for (const real of started) await real.kill()
  },
})

/** Signs a user in at a server, by the password of the demo and of the tests' directory. */
export async function signInAt(server: {url: string; base?: string}, user: string, context: BrowserContext) {
  const form = {username: user, password: `${user}-demo`}
  const response = await context.request.post(server.url + (server.base ?? '') + '/login', {form, maxRedirects: 0})
  expect(response.status()).toBe(303)
}

async function watch(context: BrowserContext) {
  await context.addInitScript(seen)
}

async function startChromium(): Promise<RealBrowser> {
  const profile = await mkdtemp(join(tmpdir(), 'curfew-chromium-'))
  let [end, started] = await launchChromium(profile)
  const real: RealBrowser = {
    ...started,
    profile,
    restart: async () => {
      await end()
      ;[end, started] = await launchChromium(profile)
      Object.assign(real, started)
    },
    kill: async () => {
      await end()
      for (let tries = 0; tries < 20; tries++) {
        // its helpers may still write
        try {
          return await rm(profile, {recursive: true, force: true})
        } catch {
          await sleep(100)
        }
      }
    },
  }
  return real
}

async function launchChromium(
  profile: string,
): Promise<[() => Promise<void>, Pick<RealBrowser, 'browser' | 'context' | 'quit' | 'pid'>]> {
  const child = spawn(
    '/usr/bin/chromium',
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1',
      'about:blank',
    ],
    {detached: true, stdio: ['ignore', 'ignore', 'pipe']},
  )
  const gone = new Promise(resolve => child.once('exit', resolve))
  const endpoint = await new Promise<string>((resolve, reject) => {
    let text = ''
    child.stderr.on('data', data => {
      text += data
      const found = /DevTools listening on (ws:\S+)/.exec(text)
      if (found) resolve(found[1]!)
    })
    void gone.then(() => reject(new Error('Chromium ended: ' + text)))
  })
  const browser = await chromium.connectOverCDP(endpoint, {noDefaults: true} as object)
  const context = browser.contexts()[0]!
  await watch(context)
  const end = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid!, 'SIGKILL')
      await gone
    }
    await browser.close().catch(() => {})
  }
  const quit = async () => {
    await (await browser.newBrowserCDPSession()).send('Browser.close')
    await gone
  }
  return [end, {browser, context, quit, pid: child.pid!}]
}

/**
 * Goes back as the browser's button does. The page may be gone before a call in it could answer.
 */
export const goBack = (page: Page): Promise<void> =>
  page.evaluate(() => {
    setTimeout(() => history.back())
  })

export {type Browser, expect}
