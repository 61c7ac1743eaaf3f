import type {BrowserContext} from '@playwright/test'
import {expect, MINUTE, Tab, test} from './curfew'

test('a wrong password says so and keeps the name', async ({context, server}) => {
  const page = await context.newPage()
  await page.goto(server.url + '/?a=1')
  await expect(page).toHaveURL(server.url + '/login?next=%2F%3Fa%3D1')
  await page.getByLabel('User name').fill('ada')
  await page.getByLabel('Password').fill('wrong')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('alert')).toHaveText('The user name or the password is wrong.')
  await expect(page.getByLabel('User name')).toHaveValue('ada')
  await page.getByLabel('Password').fill('ada-demo')
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(server.url + '/?a=1')
  await expect(page.getByRole('row', {name: /Grace Hopper/})).toBeVisible()
})

test('sign-in pages that stand open go on once somebody has signed in in one of them @engines', async ({
  context,
  server,
  openTab,
}) => {
  const pages = []
  for (const next of ['/', '/account', '/?third']) {
    const page = await context.newPage()
    await page.goto(server.url + '/login?next=' + encodeURIComponent(next))
    pages.push({page, next})
  }
  const {page: first} = pages[0]!
  await first.getByLabel('User name').fill('ada')
  await first.getByLabel('Password').fill('ada-demo')
  await first.keyboard.press('Enter')
  for (const {page, next} of pages) await expect(page).toHaveURL(server.url + next)
})

test('a link to the sign-out page signs nobody out, its button does', async ({server, signIn, openTab}) => {
  await signIn()
  const tab = await openTab()
  const {page} = await openTab('/logout')
  await page.getByRole('link', {name: 'Stay signed in and go back'}).click()
  await expect(page).toHaveURL(server.url + '/')
  await page.goto(server.url + '/logout')
  await page.getByRole('button', {name: 'Sign out'}).click()
  await expect(page).toHaveURL(/\/login/)
  await expect(page.getByText('You have signed out.')).toBeVisible()
  await tab.signedOut('You have signed out.')
})

/** Opens a sign-in page that does not learn of other sign-ins until one is to be sent from it. */
async function lateSignIn(context: BrowserContext, url: string) {
  const page = await context.newPage()
  let known = false
  await page.route('**/session/status*', route => (known ? route.fallback() : route.abort()))
  await page.goto(url)
  const send = async (user: string, password: string) => {
    await page.getByLabel('User name').fill(user)
    await page.getByLabel('Password').fill(password)
    known = true
    await page.keyboard.press('Enter')
  }
  return {page, send}
}

test('a second sign-in of the same person does not end the first', async ({context, server, signIn, openTab}) => {
  const {page: late, send} = await lateSignIn(context, server.url + '/login?next=%2Faccount')
  await signIn()
  const tab = await openTab()
  await tab.note.fill('half a sentence')
  await send(' Ada', 'ada-demo')
  await expect(late).toHaveURL(server.url + '/account')
  expect(await server.story('decision')).not.toContainEqual(expect.stringContaining('end replaced'))
  await expect(tab.note).toHaveValue('half a sentence')
})

test('somebody else signs in over a session that there is', async ({context, server, signIn}) => {
  const {page: late, send} = await lateSignIn(context, server.url + '/login')
  await signIn()
  await send('grace', 'grace-demo')
  await expect(late.getByRole('heading', {name: 'Hello, Grace Hopper'})).toBeVisible()
})

test('the cookie is opaque and closed to script, which sees that somebody signed in @engines', async ({
  context,
  signIn,
  openTab,
}) => {
  await signIn()
  const tab = await openTab()
  const cookie = (await context.cookies()).find(c => c.name === '__Host-curfew')!
  expect(cookie).toMatchObject({httpOnly: true, secure: true, sameSite: 'Lax', path: '/', expires: -1})
  expect(cookie.value).toMatch(/^[\w-]{43}$/)
  expect(await tab.page.evaluate(() => document.cookie)).toMatch(/^__Host-curfew-seen=[\w-]{22}\.\w+$/)
})

test('after five failures the right password waits, elsewhere it does not', async ({server, signIn, context}) => {
  const post = (username: string, password: string) =>
    context.request.post(server.url + '/login', {form: {username, password}, maxRedirects: 0})
  for (let i = 0; i < 5; i++) expect((await post('grace', 'guess')).status()).toBe(401)
  const waits = await post('grace', 'grace-demo')
  expect(waits.status()).toBe(429)
  expect(Number(waits.headers()['retry-after'])).toBeGreaterThan(0)
  expect(Number(waits.headers()['retry-after'])).toBeLessThanOrEqual(60)
  expect((await post('ada', 'ada-demo')).status()).toBe(303)
  await server.advance(MINUTE)
  expect((await post('grace', 'grace-demo')).status()).toBe(303)
})

test('a browser that drops the cookie is told so', async ({context, server}) => {
  const page = await context.newPage()
  await page.goto(server.url + '/login')
  await page.getByLabel('User name').fill('ada')
  await page.getByLabel('Password').fill('ada-demo')
  await page.getByRole('button', {name: 'Sign in'}).click()
  await expect(page).toHaveURL(server.url + '/')
  await context.clearCookies({name: '__Host-curfew'}) // as WebKit does on plain http
  await page.goto(server.url)
  await expect(page.getByRole('alert')).toContainText('did not keep the sign-in cookie')
})

test('a page of another loopback name leads to the one that the cookie is for', async ({context, server}) => {
  const page = await context.newPage()
  await page.goto(server.url.replace('localhost', '127.0.0.1') + '/?x=1')
  await expect(page).toHaveURL(server.url + '/login?next=%2F%3Fx%3D1')
})

test('a page that is not there says so', async ({context, server}) => {
  const page = await context.newPage()
  const response = await page.goto(server.url + '/nowhere')
  expect(response!.status()).toBe(404)
  await expect(page.getByText('There is no such page.')).toBeVisible()
})

// In Chromium only: Firefox runs script all the same when driven over WebDriver BiDi.
test.describe('without script', () => {
  test.use({javaScriptEnabled: false})

  test('everything works, and the server enforces on every request', async ({context, server}) => {
    const page = await context.newPage()
    await page.goto(server.url)
    await page.getByLabel('User name').fill('grace')
    await page.getByLabel('Password').fill('grace-demo')
    await page.getByRole('button', {name: 'Sign in'}).click()
    await expect(page.getByRole('button', {name: 'Stay signed in'})).toBeVisible() // shown at once where script is off
    await page.getByLabel('For this session only').fill('Remember the milk')
    await page.getByRole('button', {name: 'Save note'}).click()
    await expect(page.getByLabel('For this session only')).toHaveValue('Remember the milk')
    await server.advance(9.5 * MINUTE)
    await page.getByRole('button', {name: 'Stay signed in'}).click()
    await expect(page).toHaveURL(server.url + '/')
    await server.advance(9.5 * MINUTE)
    await page.reload()
    await expect(page.getByRole('heading', {name: 'Hello, Grace Hopper'})).toBeVisible()
    await server.advance(10 * MINUTE)
    await page.goto(server.url + '/?late')
    await expect(page.getByText('You were signed out because there was no activity for a while.')).toBeVisible()
  })

  test('signing out works', async ({context, server}) => {
    const page = await context.newPage()
    await page.goto(server.url)
    await page.getByLabel('User name').fill('grace')
    await page.getByLabel('Password').fill('grace-demo')
    await page.getByRole('button', {name: 'Sign in'}).click()
    await page.getByRole('button', {name: 'Sign out'}).click()
    await expect(page).toHaveURL(server.url + '/login')
    await expect(page.getByText('You have signed out.')).toBeVisible()
  })
})

test.describe('below a path of another site', () => {
  test.use({flags: ['--base-path', '/guard']})

  test('the whole way works', async ({page, server}) => {
    await page.goto(server.url + '/guard/?a=1')
    await page.getByLabel('User name').fill('ada')
    await page.getByLabel('Password').fill('ada-demo')
    await page.getByRole('button', {name: 'Sign in'}).click()
    await expect(page).toHaveURL(server.url + '/guard/?a=1')
    await server.advance(9 * MINUTE)
    await page.getByRole('button', {name: 'Stay signed in'}).click()
    await expect(page.getByRole('alertdialog')).toBeHidden()
    await server.advance(10 * MINUTE)
    const tab = new Tab(page, server)
    await tab.waits()
    const window = await tab.signInWindow()
    await expect(window).toHaveURL(server.url + '/guard/login?window=1')
    await window.getByLabel('User name').fill('ada')
    await window.getByLabel('Password').fill('ada-demo')
    await window.getByRole('button', {name: 'Sign in'}).click()
    await expect(page.getByRole('heading', {name: 'Hello'})).toBeVisible()
    await server.forceLogout({user: 'ada'})
    await expect(page).toHaveURL(server.url + '/guard/login?next=%2Fguard%2F%3Fa%3D1')
    await expect(page.getByText(/administrator/)).toBeVisible()
  })
})
