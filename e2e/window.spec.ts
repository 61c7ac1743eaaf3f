import type {BrowserContext, Page} from '@playwright/test'
import {html, script, testWith} from './application'
import {expect, MINUTE, Tab, test as own} from './curfew'

// The window in which a page that waits has its user sign in again.

const note = '<form><label>Note <input name="note"></label></form>'
const coop = (value: string) => ({'cross-origin-opener-policy': value})

// The application keeps what window.open returned: it may be replaced before Curfew's script begins.
const spying = html('Spying', '<script src="/spy.js"></script>', note)
const test = testWith({
  '/plain': spying,
  '/strict': {body: spying, headers: coop('same-origin')},
  '/popups': {body: spying, headers: coop('same-origin-allow-popups')},
  '/isolated': {
    body: spying,
    headers: {...coop('same-origin'), 'cross-origin-embedder-policy': 'require-corp'},
  },
  // without allow-popups: the browser itself holds windows back
  '/blocked': {
    body: html('Blocked', '', note),
    headers: {'content-security-policy': 'sandbox allow-scripts allow-same-origin allow-forms'},
  },
  '/forms': html(
    'Forms',
    '<script src="/late.js" async></script>',
    note +
      '<form action="/rename"><input type="hidden" name="csrf" value="the application’s"></form>' +
      '<form action="/.curfew/logout" method="post"><input type="hidden" name="csrf" value="the application’s"></form>',
  ),
  '/spy.js': script('const open = window.open; window.open = (...given) => (window.opened = open(...given))'),
  '/late.js': script('document.addEventListener("curfew:expire", () => (window.open = () => { throw "not mine" }))'),
})

const name = (page: Page) => page.getByLabel('User name')
const password = (page: Page) => page.getByLabel('Password')
const fieldOf = (tab: Tab) => tab.page.getByLabel('Note')
const done = (page: Page) => page.getByText('You are signed in. You can close this window.')

async function send(page: Page, user: string, secret = user + '-demo') {
  await name(page).fill(user)
  await password(page).fill(secret)
  await page.keyboard.press('Enter').catch(error => {
    if (!page.isClosed()) throw error // a window may be gone before the key is up
  })
}

/** The sign-in window in a tab with a history, which no script can close. */
async function windowInTab(context: BrowserContext, url: string) {
  const page = await context.newPage()
  await page.goto(url + '/healthz')
  await page.goto(url + '/login?window=1')
  return page
}

/** Counts the sign-ins that pages send. */
function countSignIns(context: BrowserContext): () => number {
  let count = 0
  context.on('request', request => {
    if (request.method() === 'POST' && request.url().endsWith('/login')) count++
  })
  return () => count
}

test('a window is parted from the page that opened it, and all close by one sign-in @engines', async ({
  server,
  signIn,
  openTab,
  context,
  browserName,
}) => {
  await signIn('grace')
  const tabs: [Tab, string][] = []
  for (const path of ['/plain', '/popups', '/isolated', '/strict']) tabs.push([await openTab(path), path])
  const signIns = countSignIns(context)
  await server.advance(11 * MINUTE)
  const windows: Page[] = []
  for (const [tab, path] of tabs) {
    await tab.page.bringToFront()
    await tab.waits()
    const window = await tab.signInWindow()
    await expect(password(window)).toBeVisible()
    expect(new URL(window.url()).pathname + new URL(window.url()).search).toBe('/.curfew/login?window=1')
    // Firefox knows no noopener-allow-popups, and same-origin parts a page from all but its like.
    const isOpener = browserName === 'firefox' && path === '/strict'
    expect(await window.evaluate(() => [opener !== null, history.length]), path).toEqual([isOpener, 1])
    const reads = tab.page.evaluate(() => {
      try {
        return (window as any).opened.document.querySelector('[type=password]') !== null
      } catch {
        return false
      }
    })
    expect(await reads, path).toBe(isOpener)
    windows.push(window)
  }
  // The page cannot bring its window to the front: another one takes its place.
  const first = windows.pop()!
  const isClosed = first.waitForEvent('close')
  const last = await tabs.at(-1)![0].signInWindow()
  await isClosed
  const closed = [...windows, last].map(window => window.waitForEvent('close'))
  await send(last, 'grace', 'wrong')
  await expect(last.getByRole('alert')).toHaveText('The user name or the password is wrong.')
  await expect(name(last)).toHaveValue('grace')
  await expect(password(last)).toHaveValue('')
  await expect(password(last)).toBeFocused()
  expect(await last.evaluate(() => history.length)).toBe(1)
  await send(last, 'grace')
  await Promise.all(closed)
  expect(signIns()).toBe(2)
  for (const [tab] of tabs) await expect(fieldOf(tab)).toBeVisible()
})

test('where no window can be had, the sign-in page comes in the same tab @engines', async ({
  server,
  signIn,
  openTab,
}) => {
  await signIn('grace')
  const tab = await openTab('/blocked?a=1#b')
  await server.advance(11 * MINUTE)
  await tab.waits()
  await expect(async () => {
    await tab.signInAgain.click({timeout: 1_000}).catch(() => {}) // the dialog may be gone by now
    await expect(tab.page).toHaveURL(server.url + '/.curfew/login?next=%2Fblocked%3Fa%3D1%23b', {timeout: 1_000})
  }).toPass({timeout: 15_000})
  await send(tab.page, 'grace')
  await expect(tab.page).toHaveURL(server.url + '/blocked?a=1#b')
  await expect(fieldOf(tab)).toBeVisible()
})

test('window.open and fields called csrf are the application’s own; the window is Curfew’s', async ({
  server,
  signIn,
  openTab,
}) => {
  await signIn('grace')
  const tab = await openTab('/forms')
  await server.advance(11 * MINUTE)
  await tab.waits()
  const window = await tab.signInWindow()
  const closed = window.waitForEvent('close')
  await send(window, 'grace')
  await closed
  await expect(fieldOf(tab)).toBeVisible()
  await expect(tab.page.locator('form[action="/rename"] input')).toHaveValue('the application’s')
  const {csrf} = await (await tab.page.request.get(server.url + '/.curfew/session/status')).json()
  await expect(tab.page.locator('form[action="/.curfew/logout"] input')).toHaveValue(csrf)
})

own('somebody else who signs in in the window takes the pages that waited away', async ({server, signIn, openTab}) => {
  await signIn('grace')
  const other = await openTab()
  const tab = await openTab()
  // A page can wait once the rest of the script is there.
  for (const {page} of [tab, other]) await expect(page.locator('curfew-warning')).toBeAttached()
  await server.advance(11 * MINUTE)
  for (const one of [tab, other]) await one.waits()
  const window = await tab.signInWindow()
  const closed = window.waitForEvent('close')
  await send(window, 'ada')
  await closed
  for (const one of [tab, other]) {
    // by way of the sign-in page, which goes on by itself
    await expect(one.page.getByRole('heading', {name: 'Hello, Ada Lovelace'})).toBeVisible()
  }
})

own('what is wrong is said in the window, as the page says it', async ({server, context, signIn, otherBrowser}) => {
  await context.clock.install()
  const page = await windowInTab(context, server.url)
  const signIns = countSignIns(context)
  const isWrong = async (text: RegExp) => {
    await expect(page.getByRole('alert')).toHaveText(text)
    await expect(name(page)).toHaveAttribute('aria-describedby', 'problem')
    await expect(password(page)).toHaveValue('')
    await expect(password(page)).toBeFocused()
    await expect(page.getByRole('button', {name: 'Sign in'})).toBeVisible()
  }
  for (let i = 0; i < 5; i++) {
    await send(page, 'grace', 'guess')
    await expect.poll(signIns).toBe(i + 1)
    await isWrong(/user name or the password is wrong/)
  }
  await send(page, 'grace')
  await isWrong(/Too many failed attempts/)
  await expect(page.getByRole('button', {name: 'Sign in'})).toBeDisabled()
  await server.advance(MINUTE)
  await page.clock.runFor(MINUTE)
  await expect(page.getByRole('status')).toHaveText('You can try again now.')
  await server.forceLogout({user: 'grace', message: 'Stocktaking until noon.', block_ms: 10 * MINUTE})
  await send(page, 'grace')
  await expect(page.locator('#problem')).toHaveText('Signing in is switched off just now. Please try again later.')
  await expect(page.getByRole('figure', {name: 'From your administrator'})).toContainText('Stocktaking until noon.')
  await expect(password(page)).toHaveValue('')
  await server.kill()
  await send(page, 'ada')
  await expect(page.getByRole('figure')).toHaveCount(0)
  await isWrong(/^The server cannot be reached\. Please try again\.$/)
  await server.run()
  const before = signIns()
  await name(page).fill('ada')
  await password(page).fill('ada-demo')
  await page.getByRole('button', {name: 'Sign in'}).dblclick()
  await expect(done(page)).toBeVisible()
  await expect(page.getByRole('alert')).toBeHidden()
  expect(signIns() - before).toBe(1)
  expect(await page.locator('form').count()).toBe(0) // password managers see that it is gone
})

own(
  'a window and sign-in pages hear of each other’s sign-ins, and of the cookie’s @engines',
  async ({server, context}) => {
    const windows = [await windowInTab(context, server.url), await windowInTab(context, server.url)]
    const page = await context.newPage()
    await page.goto(server.url + '/login?next=%2Faccount')
    await send(windows[0]!, 'grace')
    for (const window of windows) await expect(done(window)).toBeVisible()
    await expect(page).toHaveURL(server.url + '/account')
    // One that is opened while there is a session says so at once, and leads nowhere.
    const late = await windowInTab(context, server.url)
    await expect(done(late)).toBeVisible()
    await expect(late).toHaveURL(server.url + '/login?window=1')

    await page.getByRole('button', {name: 'Sign out', exact: true}).click()
    await expect(page.getByText('You have signed out.')).toBeVisible()
    const [window] = windows
    await window!.goto(server.url + '/login?window=1')
    await send(page, 'ada')
    await expect(page).toHaveURL(server.url + '/')
    await expect(done(window!)).toBeVisible()

    await page.getByRole('button', {name: 'Sign out', exact: true}).click()
    await window!.goto(server.url + '/login?window=1')
    const {cookie, seen} = await server.call<{cookie: string; seen: string}>('session', {user: 'grace', groups: []})
    for (const pair of [cookie, seen]) {
      const [key, value] = pair.split('=') as [string, string]
      await context.addCookies([{name: key, value, domain: 'localhost', path: '/', secure: true}])
    }
    await expect(done(window!)).toBeVisible()
    await expect(page.getByRole('heading', {name: 'Hello, grace'})).toBeVisible()
  },
)

own.describe('without script', () => {
  own.use({javaScriptEnabled: false})

  own('the window says what the page says', async ({context, server}) => {
    const page = await context.newPage()
    await page.goto(server.url.replace('localhost', '127.0.0.1') + '/login?window=1')
    await expect(page).toHaveURL(server.url + '/login?window=1') // the name of the public URL
    await send(page, 'grace', 'wrong')
    await expect(page.getByRole('alert')).toHaveText('The user name or the password is wrong.')
    await send(page, 'grace')
    await expect(done(page)).toBeVisible()
    await page.goto(server.url + '/login?window=1')
    await expect(done(page)).toBeVisible()
  })
})
