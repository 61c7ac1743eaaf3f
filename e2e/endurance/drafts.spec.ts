import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import type {BrowserContext} from '@playwright/test'
import {expect, MINUTE, Server, signInAt, Tab, test as base} from '../curfew'
import {Slapd} from '../slapd'
import {stored} from '../stored'
import {isMarked, mark} from '../waits'
import {ROUNDS, timeFor} from './rounds'

// What is typed into a form is back once its user has signed in again, whatever has ended the session:
// no page waits here, so each text comes from what the browser has stored.

/** Waits for something that comes soon. */
const until = <T>(what: () => T | Promise<T>) => expect.poll(what, {intervals: [20]})

const USER = 'grace'
const LIFETIME = 12 * MINUTE

/** A Curfew with a directory and settings that can change. */
class Site {
  private constructor(
    readonly slapd: Slapd,
    readonly settings: string,
    readonly server: Server,
  ) {}

  static async start(): Promise<Site> {
    const slapd = await Slapd.start()
    const settings = join(slapd.folder, 'curfew.yaml')
    await write(settings, LIFETIME)
    const flags = ['--config', settings, '--keep-page', '0', '--max-sessions', '1', ...slapd.flags]
    return new Site(slapd, settings, await Server.start(...flags))
  }

  /** Has all sessions end at another age. */
  async setLifetime(ms: number): Promise<void> {
    await write(this.settings, ms)
    this.server.hangUp()
  }

  async stop(): Promise<void> {
    await this.server.stop()
    await this.slapd.stop()
  }
}

const write = (settings: string, lifetime: number) => writeFile(settings, `max-lifetime: ${lifetime / MINUTE}m\n`)

interface Scene {
  site: Site
  server: Server
  context: BrowserContext
  /** Where a text was typed, and where it has to be. */
  tab: Tab
  elsewhere: BrowserContext
}

interface Way {
  /** Of the end; none where the server is gone. */
  reason?: string
  /** What passes before the person types. */
  before?: number
  end: (scene: Scene) => Promise<unknown>
  /** What has to be done before the user can sign in again. */
  after?: (scene: Scene) => Promise<unknown>
}

const openTab = async ({context, server}: Scene): Promise<Tab> => {
  const tab = new Tab(await context.newPage(), server)
  await tab.goto()
  return tab
}

const graceIsOver = async ({server}: Scene, count: number) => {
  await until(async () => countOf(await server.story('decision'), 'last tab closed')).toBe(count + 1)
  await server.advance(20_000)
}

const countOf = (story: string[], what: string) => story.filter(one => one === what).length

const ways: Record<string, Way> = {
  idle: {reason: 'idle', end: ({server}) => server.advance(11 * MINUTE)},
  lifetime: {reason: 'lifetime', before: 6 * MINUTE, end: ({server}) => server.advance(6 * MINUTE)},
  logout: {
    reason: 'logout',
    end: async scene => {
      const other = await openTab(scene)
      await other.page.getByRole('button', {name: 'Sign out'}).click()
      await expect(other.page.getByLabel('User name')).toBeVisible() // a close while it loads may hang
      await other.page.close()
    },
  },
  admin: {reason: 'admin', end: ({server}) => server.forceLogout({user: USER})},
  directory: {
    reason: 'directory',
    end: ({site}) => site.slapd.lock(USER),
    after: ({site}) => site.slapd.unlock(USER),
  },
  policy: {
    reason: 'policy',
    before: 4 * MINUTE,
    end: ({site}) => site.setLifetime(3 * MINUTE),
    after: ({site}) => site.setLifetime(LIFETIME),
  },
  'browser-closed': {
    reason: 'browser-closed',
    end: async scene => {
      const count = countOf(await scene.server.story('decision'), 'last tab closed')
      await scene.tab.page.close()
      await graceIsOver(scene, count)
      scene.tab = await openTab(scene)
    },
  },
  'browser-closed, in a tab that was brought back': {
    reason: 'browser-closed',
    end: async scene => {
      const count = countOf(await scene.server.story('decision'), 'last tab closed')
      await scene.tab.page.goto('about:blank')
      await graceIsOver(scene, count)
      await scene.tab.goto()
    },
  },
  'replaced, in this browser': {
    reason: 'replaced',
    end: ({server, context}) => signInAt(server, USER, context), // its page is loaded anew at once
  },
  'replaced, elsewhere': {reason: 'replaced', end: ({server, elsewhere}) => signInAt(server, USER, elsewhere)},
  'lost server': {
    end: async ({server, context, tab}) => {
      await server.kill()
      await server.run()
      await signInAt(server, USER, context) // whatever the clock of the test has made of the session
      await tab.goto()
    },
  },
}

const test = base.extend<{}, {site: Site}>({
  site: [
    async ({}, use) => {
      const site = await Site.start()
      await use(site)
      await site.stop()
    },
    {scope: 'worker'},
  ],
  server: async ({site}, use) => {
    await site.server.reset()
    await use(site.server)
  },
})

/** Notes when a person has typed last, before anybody else hears of it. */
const noteTyping = () =>
  addEventListener('input', ({isTrusted}) => isTrusted && ((window as any).typedAt = Date.now()), true)

/** Types a text as a person does, until the server knows of the act and the browser has stored the text. */
async function type({tab, server}: Scene, text: string): Promise<void> {
  const acts = async () => countOf(await server.story('input'), 'activity')
  const before = await acts()
  await tab.note.selectText()
  await tab.note.pressSequentially(text)
  const typedAt = await tab.page.evaluate(() => (window as any).typedAt as number)
  await until(() => stored(tab.page).then(({newest}) => newest)).toBeGreaterThanOrEqual(typedAt)
  await until(acts).toBeGreaterThan(before)
}

/** The newest end of a session, as the audit trail has it. */
const lastEnd = async (server: Server): Promise<{number: number; reason: string} | undefined> =>
  (await server.api('GET', '/audit?event=session-end&limit=1')).items[0]

/** One round. @returns whether the text has come back */
async function isBack(scene: Scene, {reason, before, end, after}: Way, text: string): Promise<boolean> {
  const {server} = scene
  const last = await lastEnd(server)
  if (before) await server.advance(before)
  await type(scene, text)
  await mark(scene.tab)
  await end(scene)
  if (reason) {
    await until(async () => (await lastEnd(server))?.number).not.toBe(last?.number)
    expect((await lastEnd(server))?.reason).toBe(reason)
  }
  await after?.(scene)
  await until(() => isMarked(scene.tab).catch(() => true)).toBe(false)
  const {page, note} = scene.tab
  const name = page.getByLabel('User name')
  await expect(name.or(note)).toBeVisible()
  if (await name.isVisible()) {
    await name.fill(USER)
    await page.getByLabel('Password').fill(`${USER}-demo`)
    await page.getByRole('button', {name: 'Sign in'}).click()
  }
  await expect(note).toBeVisible()
  await scene.tab.connected()
  try {
    await expect(note).toHaveValue(text)
    await expect(page.getByText('What you typed is back.')).toBeVisible() // it is no doing of the browser's
    return true
  } catch {
    return false
  }
}

// A hundred rounds of one reason are a test; a single one of each is another.
const walks = ROUNDS > 1 ? Object.keys(ways).map(name => [name]) : [Object.keys(ways)]
for (const names of walks) {
  test(`what was typed is back: ${names.join('; ')}`, async ({site, server, context, signIn, otherBrowser}) => {
    test.setTimeout(timeFor(names.length * 5_000))
    await context.addInitScript(noteTyping)
    await signIn(USER)
    const scene: Scene = {site, server, context, tab: null!, elsewhere: await otherBrowser()}
    scene.tab = await openTab(scene)
    await scene.tab.connected()
    const lost: string[] = []
    let texts = 0 // none is typed twice
    for (const name of names) {
      let back = 0
      for (let round = 0; round < ROUNDS; round++) {
        if (await isBack(scene, ways[name]!, `text ${texts++}`)) back++
        else lost.push(`${name}, round ${round}`)
      }
      console.log(`drafts, ${name}: ${back} of ${ROUNDS} back`)
    }
    expect(lost).toEqual([])
  })
}
