import {pathToFileURL} from 'node:url'
import type {Browser, BrowserContext} from '@playwright/test'
import {expect, MINUTE, type Server, signInAt, test} from '../curfew'

// Takes the pictures of the README and of docs/, and pictures of every page for somebody to look
// at, in test-results/pictures: make pictures.

test.describe.configure({timeout: 300_000})
test.use({flags: ['--site-name=Example Ltd', '--help-url=mailto:help@example.org']})

const PEOPLE = ['edith', 'barbara', 'dennis', 'ken', 'radia', 'donald', 'margaret', 'alan', 'katherine', 'tim']

/** A browser with a session of its own, in the language and with the look of others. */
async function stranger(browser: Browser, server: Server, user: string, groups: string[]): Promise<BrowserContext> {
  const context = await browser.newContext()
  const {cookie, seen} = await server.call<{cookie: string; seen: string}>('session', {user, groups})
  for (const one of [cookie, seen]) {
    const [name, value] = [one.slice(0, one.indexOf('=')), one.slice(one.indexOf('=') + 1)]
    await context.addCookies([{name, value, url: server.url.replace('http:', 'https:'), secure: true}])
  }
  return context
}

/** People with and without tabs, idle and active ones. */
async function crowd(browser: Browser, server: Server) {
  const contexts: BrowserContext[] = []
  for (const [i, user] of PEOPLE.entries()) {
    const context = await stranger(browser, server, user, i % 3 ? ['staff'] : ['staff', 'finance'])
    for (let tabs = i % 4; tabs > 0; tabs--) await (await context.newPage()).goto(server.url + '/')
    contexts.push(context)
    await server.advance(20_000)
  }
  return contexts
}

for (const [name, look] of Object.entries({
  wide: {viewport: {width: 1100, height: 800}},
  dark: {viewport: {width: 1100, height: 800}, colorScheme: 'dark'},
  narrow: {viewport: {width: 390, height: 800}},
  rtl: {viewport: {width: 390, height: 800}, colorScheme: 'dark'},
} as const)) {
  test(`components, ${name}`, async ({browser}) => {
    const page = await browser.newPage(look)
    await page.goto(pathToFileURL('docs/components.html').href)
    if (name === 'rtl') await page.evaluate(() => (document.documentElement.dir = 'rtl'))
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true)
    await page.screenshot({path: `docs/components-${name}.png`, fullPage: true})
  })
}

test('the warning', async ({page, signIn, server}) => {
  await page.setViewportSize({width: 1000, height: 640})
  await signIn()
  await page.goto(server.url)
  await expect(page.locator('[data-state=active]')).toBeVisible()
  await server.advance(9 * MINUTE)
  await expect(page.getByRole('alertdialog')).toBeVisible()
  await page.screenshot({path: 'docs/warning.png'})
})

test('the console', async ({page, browser, signIn, server}) => {
  await page.setViewportSize({width: 1100, height: 900})
  await signIn()
  const contexts = await crowd(browser, server)
  await page.goto(server.url + '/admin')
  await expect(page.getByRole('row')).toHaveCount(PEOPLE.length + 2)
  await page.screenshot({path: 'docs/console.png'})
  for (const context of contexts) await context.close()
})

for (const locale of ['en', 'ar'])
  for (const colorScheme of ['light', 'dark'] as const)
    for (const width of [1200, 390])
      test(`every page, ${locale} ${colorScheme} ${width}`, async ({browser, server}) => {
        const context = await browser.newContext({locale, colorScheme, viewport: {width, height: 800}})
        const page = await context.newPage()
        const take = async (name: string, path?: string) => {
          if (path) await page.goto(server.url + path)
          await page.waitForLoadState('networkidle', {timeout: 10_000})
          const file = [name, locale, colorScheme, width].join('-')
          await page.screenshot({path: `test-results/pictures/${file}.png`, fullPage: true})
        }
        const others = await crowd(browser, server)
        await take('login', '/login')
        await page.locator('#username').fill('ada')
        await page.locator('#password').fill('wrong')
        await page.keyboard.press('Enter')
        await expect(page.locator('#problem')).toBeVisible()
        await take('login-wrong')
        await page.goto('about:blank')
        await signInAt(server, 'ada', context)
        const {id} = await server.forceLogout({user: 'edith', grace_ms: 15 * MINUTE, message: 'We move the server.'})
        const {items} = await server.api('GET', '/sessions?user=barbara')
        for (const [name, path] of Object.entries({
          home: '/',
          account: '/account',
          console: '/admin',
          session: '/admin/sessions/' + items[0].ref,
          logout: '/admin/logouts/' + id,
          audit: '/admin/audit',
          'sign-out': '/logout',
          error: '/nowhere',
        }))
          await take(name, path)
        await server.forceLogout({user: 'ada', message: 'We restart the server.\nPlease come back at 10.'})
        await take('login-ended', '/login')
        for (const other of [context, ...others]) await other.close()
      })
