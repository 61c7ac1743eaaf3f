import {type Browser, type BrowserContext, test as base, type Page} from '@playwright/test'
import {Browsers, type SignedIn, type Who} from './browsers.js'
import {type RealBrowser, startChromium} from './chromium.js'
import {Curfew, type Fault, type LoggedOut, type Logout, type Moment} from './client.js'
import {freeze, goBackCached} from './lifecycle.js'
import {Server} from './server.js'

/** What stands under `use` in a configuration. */
export interface CurfewOptions {
  /**
   * The server, by the URL that browsers see, with its base path: http://localhost:8080/.curfew. By
   * default what the variable CURFEW_URL says, else the server that the kit starts.
   */
  curfewURL: string
  /** A bearer token of the API, of scope `admin`. Without one, somebody of curfewAdminGroup forces logouts. */
  curfewToken: string
  /** A group whose members may administer: `admins`. */
  curfewAdminGroup: string
}

/** The same, of the server that the kit starts for each worker, where there is no curfewURL. */
export interface CurfewServerOptions {
  /** The path of the program. */
  curfewBinary: string
  /** Its flags, beside address, data and `--testing`; the base path among them, if it is not the default. */
  curfewFlags: string[]
}

export interface CurfewFixtures extends CurfewOptions {
  /** The calls that the fixtures below are made of, and some more. */
  curfew: Curfew
  /**
   * Signs a user in, in the browser of the test or in another one: with `password` as a person does, else
   * without the directory, as a member of `groups`.
   */
  signIn: (who?: string | Who, where?: BrowserContext) => Promise<SignedIn>
  /** Opens a page of baseURL, or else of the server, in a new tab, and waits until its script is connected. */
  openTab: (path?: string, where?: BrowserContext) => Promise<Page>
  /** Another browser: nothing is shared with the first. */
  otherBrowser: () => Promise<BrowserContext>
  /** A Chromium as people have it: tabs behind others are hidden, and can be frozen. */
  realBrowser: () => Promise<RealBrowser>
  /**
   * Moves the time, for all sessions of the server, and in step with it the clocks that were installed in
   * the browsers of the test.
   */
  advance: (ms: number) => Promise<unknown>
  /** The same for one session alone, and the browser that has it: by default the last one that was signed in. */
  age: (ms: number, whom?: SignedIn) => Promise<unknown>
  /** Ends sessions as an administrator: {user: 'grace'}, {everyone: true, grace_ms: 30_000}, … */
  forceLogout: (order: Logout) => Promise<LoggedOut>
  /** Freezes a page of a real browser, as browsers do with tabs that nobody looks at; the result thaws it. */
  freeze: (page: Page) => Promise<() => Promise<void>>
  /** Goes back as the browser's button does, to a page that the browser has kept; fails where it has not. */
  goBackCached: (page: Page) => Promise<void>
  /** Breaks the sockets of all pages until 'none', or the end of the test. */
  fault: (kind: Fault) => Promise<unknown>
  /** @internal */
  curfewBrowsers: Browsers
  /** @internal */
  curfewUsers: Set<string>
}

export interface CurfewWorkerFixtures extends CurfewServerOptions {
  /** The server that the kit has started for this worker, if it has. */
  curfewServer: Server | undefined
}

const options = base.extend<CurfewOptions, CurfewServerOptions>({
  curfewURL: [process.env.CURFEW_URL ?? '', {option: true}],
  curfewToken: ['', {option: true}],
  curfewAdminGroup: ['admins', {option: true}],
  curfewBinary: ['', {option: true, scope: 'worker'}],
  curfewFlags: [[], {option: true, scope: 'worker'}],
})

export const test = options.extend<CurfewFixtures, CurfewWorkerFixtures>({
  curfewServer: [
    async ({curfewBinary, curfewFlags}, use) => {
      const server = curfewBinary ? await Server.start(curfewBinary, ...curfewFlags) : undefined
      await use(server)
      await server?.stop()
    },
    {scope: 'worker'},
  ],

  curfewURL: async ({curfewURL, curfewServer}, use) => {
    const url = curfewURL || (curfewServer && curfewServer.url + curfewServer.base)
    if (!url) throw new Error(NO_SERVER)
    await use(url.replace(/\/+$/, ''))
  },

  curfew: async (
    {curfewURL, curfewToken, curfewAdminGroup, curfewServer, curfewUsers, ignoreHTTPSErrors},
    use,
    info,
  ) => {
    const curfew = new Curfew(curfewURL, {token: curfewToken, adminGroup: curfewAdminGroup, ignoreHTTPSErrors})
    const own = curfewServer && curfewURL.startsWith(curfewServer.url) ? curfewServer : undefined
    if (own) await curfew.reset()
    const before = own?.log.length
    await use(curfew)
    if (info.status === info.expectedStatus) return
    const body = await curfew.timeline().then(
      moments => story(moments, own ? new Set() : curfewUsers),
      error => `It could not be read: ${error.message}`,
    )
    await info.attach("Curfew's timeline", {body, contentType: 'text/plain'})
    if (own) await info.attach("Curfew's log", {body: own.log.slice(before), contentType: 'text/plain'})
  },

  curfewUsers: [async ({}, use) => use(new Set()), {box: true}],

  curfewBrowsers: [async ({curfew, curfewUsers}, use) => use(new Browsers(curfew, curfewUsers)), {box: true}],

  context: async ({context, curfewBrowsers}, use) => {
    await curfewBrowsers.adopt(context)
    await use(context)
  },

  signIn: async ({curfewBrowsers, context}, use) => {
    await use((who = 'ada', where = context) => curfewBrowsers.signIn(who, where))
  },

  openTab: async ({curfewBrowsers, context, baseURL, curfewURL}, use) => {
    await use((path = '/', where = context) => curfewBrowsers.openTab(new URL(path, baseURL ?? curfewURL).href, where))
  },

  otherBrowser: async ({curfewBrowsers, browser}, use) => {
    const contexts: BrowserContext[] = []
    await use(async () => {
      const context = await browser.newContext()
      contexts.push(context)
      await curfewBrowsers.adopt(context)
      return context
    })
    for (const context of contexts) await context.close()
  },

  realBrowser: async ({curfewBrowsers, browserName, launchOptions, ignoreHTTPSErrors}, use) => {
    const {executablePath, args = []} = browserName === 'chromium' ? launchOptions : {}
    const all = ignoreHTTPSErrors ? [...args, '--ignore-certificate-errors'] : args
    const started: RealBrowser[] = []
    await use(async () => {
      const real = await startChromium({executablePath, args: all}, context => curfewBrowsers.adopt(context))
      started.push(real)
      return real
    })
    for (const real of started) await real.kill()
  },

  advance: async ({curfew, curfewBrowsers}, use) => {
    await use(async ms => {
      await curfewBrowsers.moveClocks(ms)
      return curfew.advance(ms)
    })
  },

  age: async ({curfew, curfewBrowsers}, use) => {
    await use(async (ms, whom = curfewBrowsers.last()) => {
      await curfewBrowsers.moveClocks(ms, whom.context)
      return curfew.age(await whom.ref(), ms)
    })
  },

  forceLogout: async ({curfew}, use) => use(order => curfew.forceLogout(order)),

  freeze: async ({}, use) => use(freeze),

  goBackCached: async ({}, use) => use(goBackCached),

  fault: async ({curfew}, use) => {
    let isBroken = false
    await use(kind => {
      isBroken = kind !== 'none'
      return curfew.fault(kind)
    })
    if (isBroken) await curfew.fault('none')
  },
})

/** The timeline as a table. @param users those that it is about; all, if there are none */
function story(moments: Moment[], users: Set<string>): string {
  const about = moments.filter(({user}) => users.size === 0 || users.has(user))
  return about.map(({at, user, session, kind, what}) => [at, user, session, kind, what].join('\t')).join('\n')
}

const NO_SERVER = `Where is Curfew? Say so in playwright.config.ts:
  use: {curfewURL: 'http://localhost:8080/.curfew'}   a server that runs with --testing, with its base path
  use: {curfewBinary: '/usr/bin/curfew'}              or a program that the kit starts for each worker`
