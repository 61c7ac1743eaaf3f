import {AxeBuilder} from '@axe-core/playwright'
import type {Page, WebSocketRoute} from '@playwright/test'
import {type Browser, expect, type Server, test} from './curfew'
import {addSession} from './waits'

// The console of an administrator, with more sessions than fit a page.

/** Signs in so many users of a group. Each has the sign-in of a moment. */
async function people(server: Server, group: string, count: number, from = 0) {
  const cookies = []
  for (let i = from; i < from + count; i++) {
    cookies.push(
      await server.call<{ref: string}>('session', {user: `${group}${String(i).padStart(4, '0')}`, groups: [group]}),
    )
  }
  return cookies.map(session => session.ref)
}

const rows = (page: Page) => page.locator('#sessions tbody tr')
const row = (page: Page, user: string) => rows(page).filter({has: page.getByRole('link', {name: user, exact: true})})
const box = (page: Page, user: string) =>
  page.getByRole('checkbox', {name: new RegExp(`^Select the session of ${user} `)})
const actions = (page: Page) => page.getByRole('group', {name: 'Actions for the selected sessions'})
const live = (page: Page) => expect(page.getByText('Live', {exact: true})).toBeVisible()
const refs = (page: Page) =>
  page
    .locator('#order input[type=hidden][name=refs]')
    .inputValue()
    .then(value => value.split(',').filter(ref => ref))

test('a selection is kept over pages, searches, sorts, views and a reload @engines', async ({
  signIn,
  openTab,
  server,
}) => {
  await signIn('ada')
  const all = await people(server, 'many', 120)
  const {page} = await openTab('/admin?sort=user')
  await live(page)
  await expect(actions(page)).toBeHidden()
  await box(page, 'many0003').check()
  await expect(actions(page)).toContainText('1 selected')
  await page.getByRole('link', {name: 'Page 2'}).click()
  await expect(row(page, 'many0060')).toBeVisible()
  await box(page, 'many0060').check()
  await expect(actions(page)).toContainText('2 selected')
  const search = page.getByRole('searchbox', {name: 'Search'})
  await search.pressSequentially('many010')
  await expect(rows(page)).toHaveCount(10)
  await expect(actions(page)).toContainText('2 selected')
  await box(page, 'many0105').check()
  await page.getByRole('link', {name: 'Clear filters'}).click()
  await expect(page).not.toHaveURL(/q=/)
  await page.getByRole('columnheader', {name: 'User'}).getByRole('link').click()
  await expect(rows(page).first()).toContainText('many0119')
  expect(await refs(page)).toEqual([all[3], all[60], all[105]])
  await page.reload()
  await live(page)
  await expect(actions(page)).toContainText('3 selected')
  await page.getByRole('link', {name: 'Page 3'}).click()
  await expect(box(page, 'many0003')).toBeChecked()
  await actions(page).getByRole('link', {name: 'Clear'}).click()
  await expect(actions(page)).toBeHidden()
  await expect(box(page, 'many0003')).not.toBeChecked()
})

test('rows stand still while something is selected, and say what they are now', async ({signIn, openTab, server}) => {
  await signIn('ada')
  await people(server, 'old', 3)
  const {page} = await openTab('/admin')
  await live(page)
  await box(page, 'old0001').check()
  await people(server, 'new', 12)
  await expect(page.locator('#news')).toHaveText('12 new')
  await expect(rows(page)).toHaveCount(4)
  await server.forceLogout({user: 'old0000'})
  await expect(page.locator('#news')).toHaveText('12 new, 1 ended')
  await expect(row(page, 'old0000').getByText('Ended')).toBeVisible()
  await page.getByRole('button', {name: 'Show', exact: true}).click()
  await expect(rows(page)).toHaveCount(15)
  await expect(row(page, 'old0000')).toHaveCount(0)
  await expect(box(page, 'old0001')).toBeChecked()
  await expect(page.locator('#news')).toBeHidden()

  // What is selected and ends is not selected any more.
  await box(page, 'new0005').check()
  await server.forceLogout({user: 'old0001'})
  await expect(actions(page)).toContainText('1 selected, 1 has ended')
  await actions(page).getByRole('link', {name: 'Clear'}).click()
  await expect(rows(page)).toHaveCount(14) // nothing holds them any more
})

test('rows stand still under the pointer, and while one has the focus', async ({signIn, openTab, server}) => {
  await signIn('ada')
  await people(server, 'old', 3)
  const {page} = await openTab('/admin')
  await live(page)
  await row(page, 'old0001').hover()
  await people(server, 'new', 1)
  await expect(page.locator('#news')).toHaveText('1 new')
  await page.getByRole('heading', {name: 'Console'}).hover()
  await expect(rows(page)).toHaveCount(5)
  await page.locator('#all').focus() // before the table
  for (let presses = 0; presses < 20; presses++) {
    await page.keyboard.press('Tab')
    if (await box(page, 'old0001').evaluate(element => element === document.activeElement)) break
  }
  await people(server, 'new', 1, 1)
  await expect(page.locator('#news')).toHaveText('1 new')
  await expect(box(page, 'old0001')).toBeFocused()
  await page.getByRole('heading', {name: 'Console'}).click()
  await expect(rows(page)).toHaveCount(6)
})

test('all that match are those of the view in which it was asked, and nobody else is left a selection', async ({
  signIn,
  openTab,
  context,
  server,
}) => {
  // The connection is lost, and comes back.
  let isUp = true
  const sockets: WebSocketRoute[] = []
  await context.routeWebSocket(/admin\/ws/, socket => {
    if (!isUp) return void socket.close({code: 1011})
    socket.connectToServer()
    sockets.push(socket)
  })
  await signIn('ada')
  await people(server, 'finance', 3)
  await people(server, 'many', 2)
  const {page} = await openTab('/admin?q=finance')
  await live(page)
  isUp = false
  for (const socket of sockets) await socket.close({code: 1011})
  await expect(page.getByText('Not live: the connection is lost.')).toBeVisible()
  await page.getByRole('link', {name: 'Select all 3 that match'}).click()
  await page.getByRole('searchbox', {name: 'Search'}).fill('many')
  isUp = true
  await live(page)
  await expect(rows(page)).toHaveCount(2)
  await expect(actions(page)).toBeHidden()
  expect(await refs(page)).toEqual([])

  await box(page, 'many0000').check()
  await expect(actions(page)).toContainText('1 selected')
  await expect(page.getByRole('status').filter({hasText: '1 selected'})).toBeAttached()
  await page.reload()
  await expect(actions(page)).toContainText('1 selected')
  await addSession(server, context, 'eve', ['admins'])
  await page.goto(server.url + '/admin')
  await live(page)
  await expect(actions(page)).toBeHidden()
  expect(await refs(page)).toEqual([])
})

test('what comes after a reload with a selection is new', async ({signIn, openTab, server}) => {
  await signIn('ada')
  await people(server, 'old', 3)
  const {page} = await openTab('/admin')
  await live(page)
  await box(page, 'old0001').check()
  await page.reload()
  await live(page)
  await people(server, 'new', 2)
  await expect(page.locator('#news')).toHaveText('2 new')
  await expect(page.getByRole('status').filter({hasText: '2 new'})).toBeAttached()
})

test('the focus goes to what was found, where its element goes', async ({signIn, openTab, server}) => {
  await signIn('ada')
  await people(server, 'many', 2)
  const {page} = await openTab('/admin?q=many')
  await live(page)
  const found = page.locator('#found')
  await page.getByRole('link', {name: 'Clear filters'}).press('Enter')
  await expect(found).toHaveText('3 sessions')
  await expect(found).toBeFocused()
  const menu = row(page, 'many0001').locator('details.menu')
  await menu.locator('summary').press('Enter')
  await menu.getByRole('link', {name: 'Show only many0001'}).press('Enter')
  await expect(rows(page)).toHaveCount(1)
  await expect(found).toBeFocused()
  await page.getByRole('textbox', {name: 'User'}).fill('nobody')
  await page.getByRole('textbox', {name: 'User'}).press('Enter')
  await page.getByRole('link', {name: 'Show all sessions'}).press('Enter')
  await expect(rows(page)).toHaveCount(3)
  await expect(found).toBeFocused()
})

test('all that match can be selected, on whatever page they stand @engines', async ({signIn, openTab, server}) => {
  await signIn('ada')
  const finance = await people(server, 'finance', 128)
  await people(server, 'many', 5)
  const {page} = await openTab('/admin?size=100')
  await live(page)
  await page.getByRole('combobox', {name: 'Group'}).selectOption({label: 'finance (128)'})
  await expect(page.locator('#found')).toHaveText('128 sessions')
  await expect(rows(page)).toHaveCount(100)
  await page.getByRole('link', {name: 'Select all 128 that match'}).click()
  await expect(actions(page)).toContainText('128 selected')
  expect((await refs(page)).sort()).toEqual(finance.sort())
  await expect(page.getByRole('checkbox', {name: 'Select all on this page'})).toBeChecked()
  await page.getByRole('link', {name: 'Clear filters'}).click()
  await expect(page.locator('#found')).toHaveText('134 sessions')
  await expect(actions(page)).toContainText('128 selected')
  await expect(box(page, 'many0001')).not.toBeChecked()
})

test('the address holds the view, and totals lead to what they count', async ({signIn, openTab, server}) => {
  await signIn('ada')
  await people(server, 'many', 3)
  const {page} = await openTab('/admin')
  await live(page)
  await page.locator('[data-total=away]').click()
  await expect(page).toHaveURL(/state=away/)
  await expect(page.getByRole('combobox', {name: 'State'})).toHaveValue('away')
  await expect(rows(page)).toHaveCount(3)
  await page.getByRole('link', {name: '100 per page'}).click()
  await expect(page).toHaveURL(/size=100/)
  await page.getByRole('textbox', {name: 'User'}).fill('MANY0001')
  await page.getByRole('textbox', {name: 'User'}).press('Enter')
  await expect(rows(page)).toHaveCount(1)
  const address = page.url()
  await page.goto(server.url + '/admin')
  await page.goto(address)
  await expect(rows(page)).toHaveCount(1)
  await expect(page.getByRole('combobox', {name: 'State'})).toHaveValue('away')
  await expect(page.getByRole('textbox', {name: 'User'})).toHaveValue('MANY0001')
  await page.getByRole('textbox', {name: 'User'}).fill('nobody')
  await page.getByRole('textbox', {name: 'User'}).press('Enter')
  await expect(page.getByText('No session matches')).toBeVisible()
  await page.getByRole('link', {name: 'Show all sessions'}).click()
  await expect(rows(page)).toHaveCount(4)
})

test('sessions are grouped by user, and a user opens', async ({signIn, openTab, server}) => {
  await signIn('ada')
  const three = []
  for (let i = 0; i < 3; i++)
    three.push((await server.call<{ref: string}>('session', {user: 'grace', groups: ['staff']})).ref)
  await people(server, 'many', 2)
  const {page} = await openTab('/admin')
  await live(page)
  await page.getByRole('link', {name: 'Group by user'}).click()
  await expect(page.locator('#found')).toHaveText('4 users, 6 sessions')
  await expect(rows(page)).toHaveCount(4)
  const grace = page.locator('tr[data-user=grace]')
  await expect(grace).toContainText('3 sessions')
  await grace.getByRole('link', {name: 'grace'}).click()
  await expect(rows(page)).toHaveCount(7)
  await expect(grace.getByRole('link', {name: 'grace'})).toHaveAttribute('aria-expanded', 'true')
  await page.getByRole('checkbox', {name: 'Select all sessions of grace'}).check()
  expect((await refs(page)).sort()).toEqual(three.sort())
  await box(page, 'grace').first().uncheck()
  await expect(actions(page)).toContainText('2 selected')
  await page.reload()
  await expect(rows(page)).toHaveCount(7)
})

test('each row has its own actions, by keyboard', async ({signIn, openTab, server}) => {
  await signIn('ada')
  const [ref] = await people(server, 'many', 1)
  const {page} = await openTab('/admin')
  await live(page)
  const menu = row(page, 'many0000').locator('details.menu')
  await menu.locator('summary').focus()
  await page.keyboard.press('Enter')
  const item = (name: string) => menu.getByRole('link', {name})
  await expect(item('Sign out…')).toHaveAttribute(
    'href',
    `/admin/logouts/new?except_self=yes&scope=selection&refs=${ref}`,
  )
  await expect(item('Open the session')).toHaveAttribute('href', `/admin/sessions/${ref}`)
  await page.keyboard.press('Tab')
  await expect(item('Sign out…')).toBeFocused()
  await page.keyboard.press('Escape')
  await expect(item('Sign out…')).toBeHidden()
  await expect(menu.locator('summary')).toBeFocused()
})

test('without script a view is a link, and all that match can be selected', async ({signIn, browser, server}) => {
  const many = await people(server, 'many', 60)
  const context = await (browser as Browser).newContext({javaScriptEnabled: false})
  await signIn('ada', context)
  const page = await context.newPage()
  await page.goto(server.url + '/admin')
  await page.getByRole('combobox', {name: 'Group'}).selectOption('many')
  await page.getByRole('button', {name: 'Filter'}).click()
  await expect(rows(page)).toHaveCount(50)
  await page.getByRole('link', {name: 'Page 2'}).click()
  await expect(rows(page)).toHaveCount(10)
  await page.getByRole('link', {name: 'Select all 60 that match'}).click()
  await expect(actions(page)).toContainText('60 selected')
  expect((await refs(page)).sort()).toEqual(many.sort())
  await actions(page).getByRole('link', {name: 'Clear'}).click()
  expect(await refs(page)).toEqual([])
  await page.getByRole('link', {name: 'Group by user'}).click()
  await page.locator('tr[data-user=many0000] .toggle').click()
  await expect(page.locator('tr.part')).toHaveCount(1)
  await context.close()
})

test.describe('without a strict CSP', () => {
  test.use({strictCSP: false}) // axe writes styles

  for (const [lang, colorScheme, width] of [
    ['en', 'light', 1280],
    ['de', 'dark', 390],
    ['ar', 'light', 390],
    ['ja', 'dark', 1280],
  ] as const) {
    const looks = lang === 'ar' ? '' : ' @looks'
    test(`the console passes axe: ${lang}, ${colorScheme}, ${width} px${looks}`, async ({
      signIn,
      openTab,
      server,
    }, info) => {
      await signIn('ada')
      for (let i = 0; i < 2; i++) await server.call('session', {user: 'grace', groups: ['staff']})
      await people(server, 'many', 6)
      await server.forceLogout({user: 'many0000', grace_ms: 60_000, message: 'Maintenance'})
      const {page} = await openTab('/admin')
      await page.setViewportSize({width, height: 900})
      await page.emulateMedia({colorScheme})
      for (const view of [`?lang=${lang}`, `?lang=${lang}&by=user&open=grace`]) {
        await page.goto(server.url + '/admin' + view)
        await expect(page.locator('#live')).not.toBeEmpty()
        await page.locator('#sessions tbody input').first().check()
        await expect(page.locator('html')).toHaveAttribute('lang', lang)
        await info.attach(view, {body: await page.screenshot({fullPage: true}), contentType: 'image/png'})
        const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)
        expect(wide, 'nothing is wider than the screen').toBe(false)
        expect((await new AxeBuilder({page}).analyze()).violations, view).toEqual([])
      }
    })
  }
})
