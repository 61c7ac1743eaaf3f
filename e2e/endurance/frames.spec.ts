import type {BrowserContext, CDPSession, Page} from '@playwright/test'
import {expect, goBack, MINUTE, nothing, type RealBrowser, type Server, shows, Tab, test as base} from '../curfew'
import {Site} from '../site'
import {ROUNDS, timeFor} from './rounds'
import {Screencast, secret} from './screencast'

// What a page shows when it comes to life again past its deadline, frame by frame: nothing of what it
// was. Each way back is first walked with a session that lives, where its frames must show the text.

const page = (title: string, body: string): [string, string, string] => [
  'text/html',
  `<!doctype html><html lang="en"><head><title>${title}</title></head><body><h1>${title}</h1>${body}</body></html>`,
  'max-age=60', // so that Chromium keeps it for Back
]

const test = base.extend<{}, {site: Site}>({
  site: [
    async ({}, use) => {
      const site = await Site.start(
        {
          '/secret': page(
            'Secret',
            '<script type="module" src="/static/curfew.js" data-socket="/session/ws"></script><script src="/secret.js"></script>',
          ),
          '/secret.js': ['text/javascript', secret],
          '/plain': page('Plain', ''),
        },
        '--close-grace',
        '0',
      )
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

/** A way in which a page sleeps, and comes back. What happens meanwhile is the test's. */
type Way = (scene: Scene, meanwhile: () => Promise<unknown>) => Promise<unknown>

interface Scene {
  real: RealBrowser
  context: BrowserContext
  page: Page
  other: Page
  cast: Screencast
}

const freeze = (cdp: CDPSession, state: 'frozen' | 'active') => cdp.send('Page.setWebLifecycleState', {state})

const ways: Record<string, Way> = {
  'a page that thaws': async ({page, other, cast}, meanwhile) => {
    await cast.drowse(page)
    await other.bringToFront()
    await freeze(cast.cdp, 'frozen')
    expect(await shows(page)).toEqual(nothing(page))
    await meanwhile()
    cast.clear()
    await page.bringToFront()
    await freeze(cast.cdp, 'active')
  },
  'a page to which Back leads': async ({page, cast}, meanwhile) => {
    await cast.drowse(page)
    await page.evaluate(() => {
      location.href = '/plain'
    })
    await expect(page).toHaveTitle('Plain')
    await meanwhile()
    cast.clear()
    await goBack(page)
  },
}

/** Opens the secret page, signed in, and films it. */
async function open(real: RealBrowser, server: Server, path = '/secret'): Promise<Scene> {
  const {context} = real
  const page = context.pages()[0]!
  const tab = new Tab(page, server)
  await tab.goto(path)
  await tab.connected()
  await page.locator('curfew-warning').waitFor({state: 'attached'}) // all modules are there
  await page.waitForLoadState('networkidle')
  const other = await context.newPage()
  await page.bringToFront()
  const cast = await Screencast.start(context, page)
  await expect.poll(() => cast.frames).toBeGreaterThan(0)
  return {real, context, page, other, cast}
}

for (const [what, way] of Object.entries(ways)) {
  test(`${what} past its deadline paints no frame of what it was`, async ({realBrowser, signIn, server}) => {
    test.setTimeout(timeFor(10_000))
    const real = await realBrowser()
    await signIn('ada', real.context)
    const scene = await open(real, server)
    const {page, cast} = scene
    let painted = 0
    for (let round = 0; round < ROUNDS; round++) {
      await way(scene, async () => {})
      await expect.poll(() => cast.secrets).toBeGreaterThan(0)
      await way(scene, () => server.advance(11 * MINUTE))
      await new Tab(page, server).waits()
      await expect.poll(() => cast.frames).toBeGreaterThan(0)
      expect(cast.secrets, `round ${round}`).toBe(0)
      expect(await page.evaluate('firstBody')).toBe('hidden')
      painted += cast.frames
      await signIn('ada', real.context)
      await expect.poll(() => cast.secrets).toBeGreaterThan(0) // it is back
    }
    console.log(`${what}: ${painted} frames in ${ROUNDS} rounds, none of them with old text`)
  })
}

/** The processes that run pages. */
async function renderers({browser}: RealBrowser): Promise<number[]> {
  const cdp = await browser.newBrowserCDPSession()
  const {processInfo} = await cdp.send('SystemInfo.getProcessInfo')
  await cdp.detach()
  return processInfo.filter(({type}) => type === 'renderer').map(({id}) => id)
}

/** Counts how often a callback in a frame is asked for. Runs in the page, before all scripts. */
function countFrames(): void {
  const {requestAnimationFrame: ask} = window
  window.requestAnimationFrame = callback => {
    asks.count++
    return ask(callback)
  }
  const asks = Object.assign(window, {count: 0, nextFrame: () => new Promise(ask)})
}

/** How many were asked for while a page that shows nothing new, or so many texts, had some frames. */
const asksIn = (page: Page, changes: number): Promise<number> =>
  page.evaluate(async changes => {
    const asks = window as unknown as {count: number; nextFrame: () => Promise<number>}
    const before = asks.count
    for (let i = 0; i < changes; i++) document.body.append('text')
    for (let i = 0; i < 5; i++) await asks.nextFrame()
    return asks.count - before
  }, changes)

base.describe('in real seconds', () => {
  base.use({flags: ['--warn-after', '3s', '--expire-after', '5s', '--close-grace', '0']})

  // Its processes stand still, as on a machine that sleeps, and it has heard nothing when it goes on.
  // All timers are due then, the page's own as well, whose text changes a hundred times a second, and
  // a frame for what it changed last.
  base('a page that wakes past its deadline paints no frame of what it was', async ({realBrowser, signIn, server}) => {
    base.setTimeout(timeFor(20_000))
    const real = await realBrowser()
    const ends = async () => (await server.story('decision')).filter(what => what === 'end idle').length
    await signIn('ada', real.context)
    const page = real.context.pages()[0]!
    const tab = new Tab(page, server)
    await page.addInitScript(countFrames)
    await tab.goto()
    await tab.connected()
    await page.locator('curfew-warning').waitFor({state: 'attached'}) // all modules are there
    await expect.poll(() => asksIn(page, 0)).toBe(0) // at rest nothing looks
    expect(await asksIn(page, 3)).toBe(1) // and once, however much has changed
    await page.evaluate(secret)
    const cast = await Screencast.start(real.context, page)
    const sleep = async (meanwhile: () => Promise<unknown>) => {
      const asleep = await renderers(real)
      await cast.drowse(page)
      for (const pid of asleep) process.kill(pid, 'SIGSTOP')
      await meanwhile()
      cast.clear()
      for (const pid of asleep) process.kill(pid, 'SIGCONT')
    }
    const aSecond = () => new Promise(done => setTimeout(done, 1_000))
    let painted = 0
    for (let round = 0; round < ROUNDS; round++) {
      await sleep(aSecond)
      await expect.poll(() => cast.secrets).toBeGreaterThan(0)
      await sleep(async () => {
        await expect.poll(ends, {timeout: 10_000}).toBe(round + 1)
        await aSecond() // the page's own end is later, by the time that the server's word took to it
      })
      await tab.waits()
      await expect.poll(() => cast.frames).toBeGreaterThan(0)
      expect(cast.secrets, `round ${round}`).toBe(0)
      painted += cast.frames
      await signIn('ada', real.context)
      await expect(tab.page.getByRole('heading', {name: 'Hello'})).toBeVisible()
    }
    console.log(`a page that wakes: ${painted} frames in ${ROUNDS} rounds, none of them with old text`)
  })
})
