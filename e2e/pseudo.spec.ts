import type {Page} from '@playwright/test'
import {expect, MINUTE, type Tab, test} from './curfew'
import {types} from './stored'
import {expectAllTranslated} from './untranslated'

// In the language for testing every text is in brackets: what is in none is in no file of words.

test.use({strictCSP: false})

/** What the directory and the tests themselves have written. */
const data = ['Curfew', 'Ada Lovelace', 'Grace Hopper', 'ada', 'grace', 'admins', 'staff', '127.0.0.1', 'UTC']

const whole = (tab: Tab) => expect(tab.page.locator('curfew-warning')).toBeAttached()
/** The page's script has drawn what the server told it. */
const live = (page: Page) => expect(page.locator('#live')).toHaveText(/^⟦.+⟧$/)
const translated = (page: Page, ...more: string[]) => expectAllTranslated(page, ...data, ...more)

test.beforeEach(async ({context, server}) => {
  await context.request.get(server.url + '/login?lang=en-XA', {headers: {accept: 'text/html'}}) // it is kept
})

test('what the client shows is in the language of the page', async ({
  context,
  signIn,
  openTab,
  otherBrowser,
  server,
}) => {
  await signIn()
  const tab = await openTab('/')
  await whole(tab)
  await expect(tab.page.locator('[data-curfew-presence=ada]')).toHaveText('⟦Active⟧')
  await server.api('POST', '/notices', {user: 'ada', message: 'The printer is back.'})
  await expect(tab.page.locator('.notice')).toBeVisible()
  await signIn('ada', await otherBrowser())
  await expect(tab.page.locator('.notice')).toHaveCount(2)
  await translated(tab.page)
  const {id} = await server.forceLogout({user: 'ada', grace_ms: 5 * MINUTE, message: 'Back at noon.'})
  const warning = tab.page.getByRole('alertdialog')
  await expect(warning).toContainText('Back at noon.')
  await translated(tab.page)
  await warning.getByRole('button', {name: 'Continue working'}).dispatchEvent('click') // no act of a person
  await translated(tab.page)
  await server.api('DELETE', `/logouts/${id}`).catch(() => {}) // it answers with nothing
  await server.advance(9 * MINUTE)
  await expect(warning).toBeVisible()
  await translated(tab.page)
  await server.advance(30_000) // it speaks
  await translated(tab.page)
  await server.advance(30_000)
  await expect(tab.page.getByRole('dialog')).toBeVisible()
  await translated(tab.page, new URL(tab.page.url()).host)
  await context.clearCookies({name: '__Host-curfew'})
})

test('what the client says of drafts and the connection is in the language of the page', async ({
  context,
  signIn,
  openTab,
  server,
}) => {
  await signIn()
  const tab = await openTab('/')
  await whole(tab)
  const kept = tab.page.locator('form[data-curfew-keep] textarea, form[data-curfew-keep] input[type=text]')
  await types(kept.first(), 'mine')
  await expect.poll(() => server.story('input')).toContain('activity') // before the clock moves
  await server.advance(9 * MINUTE)
  await server.advance(MINUTE)
  await expect(tab.page.getByRole('dialog')).toBeVisible()
  await tab.page.close()
  await signIn()
  const again = await openTab('/')
  await expect(again.page.locator('curfew-panel .aside:visible')).toContainText('⟦What you typed is back.⟧')
  await translated(again.page)
  await server.call('fault', {kind: 'refuse'})
  await server.call('fault', {kind: 'drop'})
  await expect(again.page.locator('curfew-panel .line.quiet')).toContainText('⟦')
  await translated(again.page)
})

test('pages of those who are not signed in', async ({page, signIn, server, context}) => {
  await page.goto(server.url + '/login')
  await translated(page)
  await page.locator('[name=username]').fill('ada')
  await page.locator('[name=password]').fill('wrong')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('alert')).toBeVisible()
  await translated(page)
  await page.goto(server.url + '/nowhere')
  await translated(page)
  await page.goto('about:blank') // else it goes on by itself once somebody has signed in
  for (const end of [
    () => server.forceLogout({user: 'ada', message: 'Back at noon.'}),
    () => server.forceLogout({user: 'ada'}),
    () => server.advance(10 * MINUTE),
  ]) {
    await signIn()
    await end()
    const asked = await context.newPage()
    await asked.goto(server.url + '/login')
    await translated(asked)
    await asked.close()
  }
})

for (const [name, path] of [
  ['home', '/'],
  ['account', '/account'],
  ['sign-out', '/logout'],
  ['audit trail', '/admin/audit'],
  ['audit trail of nobody', '/admin/audit?user=nobody-of-that-name'],
  ['error', '/admin/nowhere'],
] as const) {
  test(`page: ${name}`, async ({signIn, openTab, otherBrowser, server}) => {
    await signIn('grace', await otherBrowser())
    await signIn()
    await server.forceLogout({user: 'linus', message: 'Back at noon.', block_ms: MINUTE})
    await server.api('POST', '/notices', {user: 'ada', message: 'The printer is back.'})
    const tab = await openTab()
    await tab.goto(path)
    await translated(tab.page)
  })
}

for (const [name, path] of [
  ['console', '/admin'],
  ['console of a search', '/admin?q=nobody-of-that-name'],
  ['console of a group', '/admin?group=staff'],
] as const) {
  test(`page: ${name}`, async ({signIn, openTab, otherBrowser, server}) => {
    await signIn('grace', await otherBrowser())
    await signIn()
    await server.forceLogout({user: 'linus', message: 'Back at noon.', block_ms: MINUTE})
    const tab = await openTab()
    await tab.goto(path)
    await live(tab.page)
    await translated(tab.page)
    if (path.includes('nobody')) return // there is no row
    await tab.page.locator('tbody td.pick input').first().check()
    await expect(tab.page.locator('#selected')).toHaveText(/⟦/)
    await signIn('grace', await otherBrowser()) // while a row is ticked none comes by itself
    await expect(tab.page.locator('#news')).toHaveText(/⟦/)
    await translated(tab.page)
    await tab.page.locator('#show').click()
    await expect(tab.page.locator('#news')).toBeHidden()
    await translated(tab.page) // rows that the script has made
  })
}

test('page: session, and the forced logout of it', async ({signIn, openTab, otherBrowser, server}) => {
  const other = await otherBrowser()
  await signIn('grace', other)
  await openTab('/', other)
  await signIn()
  const {items} = await server.api('GET', '/sessions?user=grace')
  const tab = await openTab('/')
  await tab.goto(`/admin/sessions/${items[0].ref}`)
  await live(tab.page)
  await translated(tab.page, items[0].ref)
  const {id} = await server.forceLogout({user: 'grace', message: 'Back at noon.', grace_ms: MINUTE, block_ms: MINUTE})
  await tab.goto(`/admin/logouts/${id}`)
  await live(tab.page)
  await translated(tab.page)
  await server.advance(MINUTE)
  await translated(tab.page)
  await tab.page.reload()
  await live(tab.page)
  await translated(tab.page)
})
