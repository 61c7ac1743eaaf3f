import {inflateSync} from 'node:zlib'
import type {BrowserContext, CDPSession} from '@playwright/test'
import {expect, goBack, MINUTE, nothing, type Server, shows, Tab, test as base} from './curfew'
import {Site} from './site'
import {addSession, events, heading, isBack, isGone, mark} from './waits'

// Every state that a tab may be in when its session ends, while it waits, and when somebody signs
// in: the page is blank first, asks, and then shows itself, waits or goes.

const HOUR = 60 * MINUTE
const script = '<script type="module" src="/static/curfew.js" data-socket="/session/ws"></script>'
const page = (title: string, rest: string): [string, string, string] => [
  'text/html',
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body><h1>${title}</h1>${rest}</body></html>`,
  'max-age=60',
]

const test = base.extend<{}, {site: Site}>({
  site: [
    async ({}, use) => {
      const site = await Site.start({
        '/kept': page('Kept', script + '<input id="text"><p>Жёлудь</p>'),
        '/elsewhere': page('Elsewhere', ''),
        '/around': page('Around', '<iframe title="Frame" src="/kept"></iframe>'),
      })
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

/** A tab behind another one, in a browser where it is hidden indeed. */
class BackgroundTab extends Tab {
  private constructor(
    page: Tab['page'],
    server: Server,
    readonly cdp: CDPSession,
    readonly front: Tab['page'],
  ) {
    super(page, server)
  }

  static async open(context: BrowserContext, server: Server) {
    const page = context.pages()[0]!
    const tab = new BackgroundTab(page, server, await context.newCDPSession(page), await context.newPage())
    await tab.goto('/kept')
    await tab.connected()
    await mark(tab)
    return tab
  }

  async hide() {
    await this.front.bringToFront()
    await expect.poll(() => this.page.evaluate(() => document.hidden)).toBe(true)
  }

  async freeze() {
    await this.hide()
    await this.cdp.send('Page.setWebLifecycleState', {state: 'frozen'})
    await this.page.evaluate(() => void ((window as any).curfewKit.events.length = 0))
  }

  async thaw() {
    expect(await shows(this.page)).toEqual(nothing(this.page))
    await this.cdp.send('Page.setWebLifecycleState', {state: 'active'})
    await this.page.bringToFront()
  }
}

async function signOut(server: Server, context: BrowserContext) {
  const status = await context.request.get(server.url + '/session/status')
  const {csrf} = await status.json()
  const left = await context.request.post(server.url + '/logout', {form: {csrf}, maxRedirects: 0})
  expect(left.status()).toBe(303)
}

test(
  'a hidden page comes back before it is shown, and one that knows nothing asks first',
  {tag: '@chromium'},
  async ({realBrowser, signIn, server}) => {
    const {context} = await realBrowser()
    await signIn('ada', context)
    const tab = await BackgroundTab.open(context, server)
    await tab.hide()
    await server.advance(11 * MINUTE)
    await tab.waits()
    await signIn('ada', context)
    await isBack(tab)
    expect(await tab.page.evaluate(() => document.hidden)).toBe(true)
    await server.advance(11 * MINUTE)
    await tab.waits()
    await tab.page.evaluate(() => {
      document.addEventListener(
        'visibilitychange',
        () => ((window as any).shown = getComputedStyle(document.body).visibility),
        {once: true},
      )
    })
    await addSession(server, context, 'ada', ['staff', 'admins'], 'cookie')
    await tab.page.bringToFront()
    await isBack(tab)
    expect(await tab.page.evaluate(() => (window as any).shown)).toBe('hidden')
  },
)

test(
  'a frozen page thaws blank, asks, and then shows itself, waits or goes',
  {tag: '@chromium'},
  async ({realBrowser, signIn, server}) => {
    const {context} = await realBrowser()
    await signIn('ada', context)
    const tab = await BackgroundTab.open(context, server)
    await test.step('its user has signed out, and in again: it comes back', async () => {
      await tab.freeze()
      await signOut(server, context)
      await signIn('ada', context)
      await tab.thaw()
      await isBack(tab)
      expect(await events(tab)).toEqual(expect.arrayContaining(['expire', 'resume']))
    })
    await test.step('its session ended by time: it waits, even frozen, and comes back', async () => {
      await tab.freeze()
      await server.advance(11 * MINUTE)
      await tab.thaw()
      await tab.waits()
      await tab.freeze()
      await signIn('ada', context)
      await tab.thaw()
      await isBack(tab)
    })
    await test.step('its user signed out of a later session: it goes', async () => {
      await tab.freeze()
      await server.advance(11 * MINUTE)
      await signIn('ada', context)
      await signOut(server, context)
      await tab.thaw()
      await isGone(tab)
    })
    await signIn('ada', context)
    for (const why of ['a forced logout', 'keep_ms over', 'another user']) {
      await test.step(`${why}: it is loaded anew`, async () => {
        await expect(tab.page).toHaveURL(server.url + '/kept') // the sign-in page goes on by itself
        await tab.connected()
        await mark(tab)
        await tab.freeze()
        if (why === 'a forced logout') await server.forceLogout({user: 'ada'})
        if (why === 'keep_ms over') await server.advance(5 * HOUR)
        await signIn(why === 'another user' ? 'grace' : 'ada', context)
        await tab.thaw()
        await isGone(tab, server.url + '/kept')
        await tab.connected()
        await expect(heading(tab)).toBeVisible()
      })
    }
  },
)

test(
  'a page kept for Back comes back, waits or goes',
  {tag: '@chromium'},
  async ({signIn, openTab, goBackCached, server, context}) => {
    await signIn()
    const tab = await openTab('/kept')
    await tab.page.locator('#text').fill('typed')
    await mark(tab)
    const elsewhere = async () => {
      await tab.page.evaluate(() => {
        location.href = '/elsewhere'
      })
      await expect(tab.page).toHaveTitle('Elsewhere')
    }
    await elsewhere()
    await server.advance(11 * MINUTE)
    await signIn()
    await goBackCached(tab.page)
    await expect(tab.page).toHaveURL(/kept/)
    await isBack(tab)
    await expect(tab.page.locator('#text')).toHaveValue('typed')
    await elsewhere()
    await server.advance(11 * MINUTE)
    await goBackCached(tab.page)
    await tab.waits()
    await elsewhere() // while it waits
    await signIn()
    await goBackCached(tab.page)
    await isBack(tab)
    await elsewhere()
    await signOut(server, context)
    await goBack(tab.page)
    await isGone(tab)
  },
)

test('a page that was asleep or offline, or whose clock was set, believes the server', async ({
  signIn,
  openTab,
  server,
  context,
}) => {
  await signIn()
  const tab = await openTab('/kept')
  const {page} = tab
  await page.clock.install()
  await page.reload()
  await tab.connected()
  await mark(tab)
  const day = 24 * HOUR
  for (const jump of [HOUR, day]) {
    await page.clock.fastForward(jump) // its time is up by all that it knows
    await isBack(tab)
  }
  for (const ms of [day, -day]) {
    await page.clock.setSystemTime(Date.now() + ms)
    await page.evaluate(() => window.dispatchEvent(new Event('focus')))
    await isBack(tab)
  }
  await context.setOffline(true)
  await server.advance(11 * MINUTE)
  await page.clock.fastForward(11 * MINUTE)
  await tab.blank()
  await expect(tab.waiting).toBeHidden() // nobody has said so yet
  await context.setOffline(false)
  await tab.waits()
  for (const ms of [day, -day]) {
    await page.clock.setSystemTime(Date.now() + ms)
    const asked = page.waitForResponse(/session\/status/)
    await page.clock.fastForward(3_000)
    await asked
    await tab.waits()
  }
  await context.setOffline(true)
  await signIn()
  await page.clock.fastForward(3_000)
  await tab.waits()
  await context.setOffline(false)
  await isBack(tab)
})

test('what a page changes in the first frame after its end is not painted', async ({signIn, openTab}) => {
  await signIn()
  const tab = await openTab('/kept')
  await tab.page.waitForLoadState('networkidle')
  // At rest; it sleeps past its end, and its own callback is the first to run.
  const painted = await tab.page.evaluate(async ms => {
    const frame = () => new Promise(requestAnimationFrame)
    for (let i = 0; i < 5; i++) await frame()
    return new Promise(resolve => {
      requestAnimationFrame(() => {
        const {now} = Date
        Date.now = () => now() + ms
        document.body.append('old text')
      })
      requestAnimationFrame(() => resolve(getComputedStyle(document.body).visibility))
    })
  }, 11 * MINUTE)
  expect(painted).toBe('hidden')
})

/** The characters that a PDF has text of: its fonts map their glyphs to them. */
function charactersOf(pdf: Buffer): Set<string> {
  const found = new Set<string>()
  const text = pdf.toString('latin1')
  for (const match of text.matchAll(/stream\r?\n/g)) {
    const start = match.index + match[0].length
    let map = ''
    try {
      map = inflateSync(pdf.subarray(start, text.indexOf('endstream', start))).toString('latin1')
    } catch {
      continue // an image
    }
    if (!map.includes('beginbfchar') && !map.includes('beginbfrange')) continue
    for (const [, code] of map.matchAll(/<[0-9A-F]+> <([0-9A-F]{4})>/g))
      found.add(String.fromCharCode(parseInt(code!, 16)))
  }
  return found
}

test('a page that waits prints and copies none of its text, shows it in no other window, and a copy of the tab is loaded anew', async ({
  signIn,
  openTab,
  server,
  context,
}) => {
  await signIn()
  const tab = await openTab('/kept')
  await mark(tab)
  expect(charactersOf(await tab.page.pdf())).toContain('Ж')
  await tab.page.evaluate(async () => {
    const picture = ((window as any).picture = await (window as any).documentPictureInPicture.requestWindow())
    picture.document.body.append('A secret')
    getSelection()!.selectAllChildren(document.body)
  })
  expect(await tab.page.evaluate(() => String(getSelection()))).not.toBe('')
  await server.advance(11 * MINUTE)
  await tab.waits()
  expect(await tab.page.evaluate(() => (window as any).picture.closed)).toBe(true)
  expect(await tab.page.evaluate(() => String(getSelection()))).toBe('')
  expect(await tab.page.locator('body').ariaSnapshot()).toBe('')
  const printed = charactersOf(await tab.page.pdf())
  expect(printed).not.toContain('Ж')
  expect(printed).toContain('Y') // You have been signed out
  const copied = context.waitForEvent('page')
  await tab.page.evaluate(() => void open(location.href, '_blank', 'noopener'))
  const copy = new Tab(await copied, server)
  await copy.signedOut(/no activity/)
  await signIn()
  await isBack(tab)
  await expect(copy.page).toHaveURL(server.url + '/kept')
})

test('a frame that guards itself waits and comes back', async ({signIn, openTab, server, context}) => {
  await signIn()
  const around = new Tab(await context.newPage(), server)
  await around.goto('/around')
  const frame = around.page.frameLocator('iframe')
  const dialog = frame.getByRole('dialog', {name: 'You have been signed out'})
  await expect(frame.locator('curfew-warning')).toBeAttached()
  await frame.locator('#text').fill('typed')
  await server.advance(11 * MINUTE)
  await expect(dialog).toBeVisible()
  await expect(frame.locator('#text')).toBeHidden()
  await expect(heading(around)).toBeVisible() // the page around it is not Curfew's
  await signIn()
  await expect(frame.locator('#text')).toHaveValue('typed')
  await expect(frame.locator('#text')).toBeVisible()
  await expect(dialog).toBeHidden()
})
