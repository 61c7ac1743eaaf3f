import AxeBuilder from '@axe-core/playwright'
import type {Page} from '@playwright/test'
import {pathToFileURL} from 'node:url'
import {expect, signInAt, test} from './curfew'

// Curfew's own pages for people: sign-in, sign-out, home and errors, in all of their states.

test.use({strictCSP: false}) // axe styles the page while it measures

async function accessible(page: Page) {
  // What fades in has its colours at the end.
  await page.evaluate(() => Promise.all(document.getAnimations().map(animation => animation.finished)))
  const {violations} = await new AxeBuilder({page: page as never})
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze()
  expect(violations.map(v => `${v.id}: ${v.nodes.map(n => n.html).join(' ')}`)).toEqual([])
}

/** Nothing of the page is beside a narrow screen, and each control is large enough to be hit. */
async function fits(page: Page) {
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320)
  const small = await page
    .locator('button:visible, a.button:visible, nav a:visible, input:visible, textarea:visible')
    .evaluateAll(all =>
      all
        .map(e => ({html: e.outerHTML, box: e.getBoundingClientRect()}))
        .filter(({box}) => box.width < 24 || box.height < 24)
        .map(({html}) => html),
    )
  expect(small).toEqual([])
}

const show = (page: Page) => page.locator('#show')
const password = (page: Page) => page.locator('#password')

/** Fails to sign in so often that the next attempt has to wait. */
async function guess(page: Page, url: string, user: string) {
  for (let i = 0; i < 5; i++) {
    const form = {username: user, password: 'guess'}
    expect((await page.request.post(url + '/login', {form, maxRedirects: 0})).status()).toBe(401)
  }
}

/** Sends the form of the note with the token of an earlier session. */
async function saveLate(page: Page, note: string) {
  await page.locator('#note').fill(note)
  await page.locator('[data-curfew-csrf]').evaluateAll(all => all.forEach(e => ((e as HTMLInputElement).value = 'x')))
  await page.locator('#note').press('Tab')
  await page.keyboard.press('Enter')
}

test.describe('at a site with a name', () => {
  test.use({flags: ['--site-name=Example & Co', '--help-url=mailto:help@example.org']})

  test('the sign-in page bears it, and leads to help', async ({page, server}) => {
    await page.goto(server.url + '/login')
    await expect(page).toHaveTitle('Sign in · Example & Co')
    await expect(page.locator('.masthead')).toHaveText('Example & Co')
    const help = page.getByRole('link', {name: 'Help with signing in'})
    await expect(help).toHaveAttribute('href', 'mailto:help@example.org')
  })
})

test('the password is shown by mouse and by keyboard, and the caret stays @engines', async ({page, server}) => {
  await page.goto(server.url + '/login')
  await page.getByLabel('User name').fill('ada')
  await page.keyboard.press('Tab')
  await expect(password(page)).toBeFocused() // the button stands behind its input
  await password(page).pressSequentially('ada-demo')
  await page.keyboard.press('ArrowLeft')
  await page.keyboard.press('ArrowLeft')
  const caret = () => password(page).evaluate(e => (e as HTMLInputElement).selectionStart)
  await show(page).click()
  await expect(show(page)).toHaveAttribute('aria-pressed', 'true')
  await expect(password(page)).toHaveAttribute('type', 'text')
  await expect(password(page)).toBeFocused()
  expect(await caret()).toBe(6)
  await page.keyboard.press('Tab')
  await expect(show(page)).toBeFocused()
  await page.keyboard.press('Space')
  await expect(show(page)).toBeFocused()
  await expect(show(page)).toHaveAttribute('aria-pressed', 'false')
  await expect(password(page)).toHaveAttribute('type', 'password')
  expect(await caret()).toBe(6)
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(server.url + '/')
})

test('after too many failures the page counts down, and then lets the person try again', async ({page, server}) => {
  await guess(page, server.url, 'grace')
  await page.clock.install()
  await page.goto(server.url + '/login')
  await page.getByLabel('User name').fill('grace')
  await page.getByLabel('Password').fill('grace-demo')
  await page.keyboard.press('Enter')
  const text = page.locator('#problem')
  const left = async () => Number(/\d+/.exec((await text.textContent()) ?? '')?.[0])
  const signIn = page.getByRole('button', {name: 'Sign in'})
  await expect(text).toContainText('You can try again in')
  await expect(signIn).toBeDisabled()
  await accessible(page)
  const first = await left()
  await page.clock.runFor(10_000)
  await expect.poll(left).toBeLessThanOrEqual(first - 10)
  expect(await left()).toBeGreaterThan(0)
  await expect(text).toHaveAttribute('aria-live', 'off') // or it would be read out each second
  await page.clock.runFor(60_000)
  await expect(page.getByRole('status')).toHaveText('You can try again now.')
  await expect(signIn).toBeEnabled()
  await server.advance(60_000)
  await page.getByLabel('Password').fill('grace-demo')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', {name: 'Hello, Grace Hopper'})).toBeVisible()
})

test('a form that is out of date keeps its text, and goes on by a click', async ({signIn, openTab}) => {
  await signIn()
  const {page, note} = await openTab('/?a=1')
  await saveLate(page, 'Call Grace\nat <noon>')
  await expect(page.getByRole('heading', {name: 'Go on?'})).toBeVisible()
  await expect(page.locator('main blockquote')).toHaveText('Call Grace\nat <noon>', {useInnerText: true})
  await accessible(page)
  await page.getByRole('button', {name: 'Continue'}).press('Enter')
  await expect(page.getByRole('status').filter({hasText: 'The note is saved.'})).toBeVisible()
  await expect(note).toHaveValue('Call Grace\nat <noon>')
  await page.reload()
  await expect(note).toHaveValue('Call Grace\nat <noon>')
  await expect(page.getByText('The note is saved.')).toHaveCount(0) // told once
})

test('whoever does not go on is back where they were', async ({server, signIn, openTab}) => {
  await signIn()
  const {page} = await openTab('/?a=1')
  await saveLate(page, 'not this')
  await page.getByRole('link', {name: 'Do not go on'}).click()
  await expect(page).toHaveURL(server.url + '/?a=1')
})

test('a note that is too long stays in its field, with the error at it', async ({signIn, openTab}) => {
  await signIn()
  const {page, note} = await openTab()
  const long = 'ä'.repeat(4001)
  await note.evaluate(e => e.removeAttribute('maxlength'))
  await note.fill(long)
  await page.getByRole('button', {name: 'Save note'}).click()
  await expect(note).toHaveAttribute('aria-invalid', 'true')
  await expect(note).toHaveAccessibleDescription(/4,001 characters/)
  await expect(note).toHaveValue(long)
  await expect(note).toBeFocused()
  await accessible(page)
})

test('an error leads back to the page that one came from', async ({server, signIn, openTab}) => {
  await signIn()
  const {page} = await openTab('/account')
  await page.evaluate(() => (location.href = '/nowhere'))
  await page.getByRole('link', {name: 'Go back'}).click()
  await expect(page).toHaveURL(server.url + '/account')
})

for (const [lang, look] of [
  ['en', 'light'],
  ['de', 'dark'],
  ['ar', 'light'],
  ['ja', 'dark'],
] as const) {
  test.describe(`in ${lang}, ${look}${lang === 'ar' ? '' : ' @looks'}`, () => {
    test.use({locale: lang, colorScheme: look, viewport: {width: 320, height: 640}})

    test('all states pass axe on a narrow screen', async ({page, context, server}) => {
      const passes = async () => {
        await accessible(page)
        await fits(page)
      }
      await page.goto(server.url + '/login?next=/account&lang=' + lang)
      await expect(page.locator('html')).toHaveAttribute('dir', lang === 'ar' ? 'rtl' : 'ltr')
      await page.locator('#username').fill('grace')
      await password(page).fill('wrong')
      await page.keyboard.press('Enter')
      await expect(page.locator('#problem')).toBeVisible()
      await show(page).click()
      await passes()
      await page.goto('about:blank') // the sign-in page would go on by itself
      await signInAt(server, 'grace', context)
      await page.goto(server.url + '/nowhere')
      await passes()
      await page.goto(server.url + '/logout')
      await passes()
      await page.goto(server.url + '/')
      await saveLate(page, 'late')
      await expect(page.locator('main blockquote')).toHaveText('late')
      await passes()
      await page.locator('main .primary').click()
      await expect(page.locator('.toast')).toBeVisible()
      await passes()
      await server.forceLogout({user: 'grace', message: 'Back at noon.\nAsk the desk.'})
      await expect(page).toHaveURL(/\/login/)
      await expect(page.locator('main blockquote')).toHaveText('Back at noon.\nAsk the desk.', {useInnerText: true})
      await passes()
    })
  })
}

test('at 400 % zoom and without colours of its own a page can be used', async ({page, server, signIn}) => {
  await signIn()
  await page.emulateMedia({forcedColors: 'active', reducedMotion: 'reduce'})
  await page.setViewportSize({width: 320, height: 256}) // 1280 by 1024 at 400 %
  await page.goto(server.url + '/')
  await fits(page)
  await accessible(page)
  await page.keyboard.press('Tab')
  await expect(page.getByRole('link', {name: 'Skip to the content'})).toBeFocused()
  await page.keyboard.press('Enter')
  await page.keyboard.press('Tab')
  await expect(page.getByRole('group', {name: 'People'})).toBeFocused()
})

test('every component in every state passes axe, wide and narrow, light and dark', async ({page}) => {
  await page.goto(pathToFileURL('docs/components.html').href)
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({colorScheme})
    await page.setViewportSize({width: colorScheme === 'light' ? 1200 : 320, height: 800})
    await accessible(page)
  }
  await fits(page)
})
