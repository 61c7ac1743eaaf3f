import type {Locator} from '@playwright/test'
import {type Browser, expect, Tab, test} from './curfew'

// An administrator at the console, and what the people notice whom they sign out.

test('an admin forces out a user with tabs in two browsers; a bystander stays @engines', async ({
  signIn,
  openTab,
  otherBrowser,
  server,
}) => {
  await signIn('ada')
  const [first, second, third] = [await otherBrowser(), await otherBrowser(), await otherBrowser()]
  await signIn('grace', first)
  await signIn('grace', second)
  await signIn('linus', third)
  const graces = [await openTab('/', first), await openTab('/?two', first), await openTab('/', second)]
  const linus = await openTab('/', third)
  const {page} = await openTab('/admin/logouts/new')
  await page.getByLabel('User', {exact: true}).fill('grace')
  await page.getByLabel('Message').fill('Please call <b>us</b>.')
  await page.getByRole('button', {name: 'Review'}).click()
  await expect(page.getByText('They are signed out at once.')).toBeVisible()
  await expect(page.locator('[data-total=users]')).toHaveText('1')
  await expect(page.locator('[data-total=sessions]')).toHaveText('2')
  await expect(page.locator('[data-total=tabs]')).toHaveText('3')
  await page.getByRole('button', {name: 'Sign out 2 sessions'}).click()
  await expect(page.getByRole('heading', {name: 'Forced logout of grace'})).toBeVisible()
  for (const tab of graces) await tab.signedOut('Please call <b>us</b>.')
  await expect(page.locator('[data-count=acked]')).toHaveText('3')
  await expect(page.getByText('3 of 3 pages confirmed blank.')).toBeVisible()
  await expect(page.locator('#each-tab tr')).toHaveCount(2)
  await expect(page.locator('#each-tab [data-state=acked]')).toHaveCount(3)
  await expect(linus.page.getByRole('heading', {name: 'Hello'})).toBeVisible()
  expect((await server.api('GET', '/audit?event=session-end&user=grace')).items).toHaveLength(2)
})

test('a group is forced out, and everyone except the admin himself', async ({
  signIn,
  openTab,
  otherBrowser,
  server,
}) => {
  await signIn('ada')
  const [one, two] = [await otherBrowser(), await otherBrowser()]
  await signIn('grace', one)
  await signIn('linus', two)
  const [grace, linus] = [await openTab('/', one), await openTab('/', two)]
  const {page} = await openTab('/admin')
  const order = async (scope: string) => {
    await page.goto(server.url + '/admin/logouts/new')
    await page.getByRole('radio', {name: scope}).check()
    if (scope === 'A group') await page.getByLabel('Group', {exact: true}).fill('kiosk')
    await page.getByRole('button', {name: 'Review'}).click()
    await page.getByRole('button', {name: 'Sign out 1 session'}).click()
    await page.getByRole('link', {name: 'Back to the console'}).click()
  }
  await order('A group')
  await linus.signedOut('You were signed out by an administrator.')
  await expect(grace.page.getByRole('heading', {name: 'Hello'})).toBeVisible()
  await order('Everyone')
  await grace.signedOut('You were signed out by an administrator.')
  await expect(page.getByRole('heading', {name: 'Console'})).toBeVisible()
})

test('a grace warns with the message, also a late tab, and can be called off', async ({
  signIn,
  openTab,
  otherBrowser,
  server,
}) => {
  await signIn('ada')
  const other = await otherBrowser()
  await signIn('grace', other)
  const tab = await openTab('/', other)
  await tab.note.fill('half a sentence')
  const ref = (await server.api('GET', '/sessions?user=grace')).items[0].ref
  const {page} = await openTab(`/admin/logouts/new?ref=${ref}&grace=90`)
  await page.getByLabel('Message').fill('Maintenance at noon.')
  await page.getByRole('button', {name: 'Review'}).click()
  await page.getByRole('button', {name: 'Sign out 1 session'}).click()
  await expect(tab.warning).toBeVisible()
  await expect(tab.warning.getByRole('blockquote')).toHaveText('Maintenance at noon.')
  await expect(tab.warning.getByText('You will be signed out in')).toBeVisible()
  await expect(tab.stay).toBeHidden()
  await tab.page.keyboard.press('Escape')
  await tab.page.mouse.move(5, 5)
  await tab.page.mouse.move(9, 9)
  const late = new Tab(await other.newPage(), tab.server)
  await late.goto('/?late')
  await expect(late.warning).toBeVisible()
  await expect(tab.warning).toBeVisible()
  await expect(page.locator('[data-count=open]')).toHaveText('2')
  await page.getByRole('button', {name: 'Call it off'}).click()
  await expect(page.locator('#logout-state')).toHaveText('Called off')
  await expect(tab.warning).toBeHidden()
  await expect(late.warning).toBeHidden()
  await expect(tab.note).toHaveValue('half a sentence')
})

test('at the end of its grace a forced logout ends the session', async ({signIn, openTab, server}) => {
  await signIn('grace')
  const tab = await openTab()
  await server.forceLogout({user: 'grace', grace_ms: 60_000, message: 'Maintenance'})
  await expect(tab.warning).toBeVisible()
  await server.advance(60_000)
  await tab.signedOut('Maintenance')
})

test('a block refuses sign-ins with the message', async ({server, page}) => {
  await server.forceLogout({everyone: true, block_ms: 60_000, message: 'Back at noon.'})
  const signIn = async (user: string) => {
    await page.goto(server.url + '/login')
    await page.getByLabel('User name').fill(user)
    await page.getByLabel('Password').fill(`${user}-demo`)
    await page.getByRole('button', {name: 'Sign in'}).click()
  }
  await signIn('grace')
  await expect(page.getByRole('alert')).toHaveText('Back at noon.')
  await server.advance(60_000)
  await signIn('grace')
  await expect(page.getByRole('heading', {name: 'Hello, Grace Hopper'})).toBeVisible()
})

test(
  'a frozen tab is shown unconfirmed, and is blank when it thaws',
  {tag: '@chromium'},
  async ({realBrowser, signIn, openTab, freeze, server}) => {
    const {context} = await realBrowser()
    await signIn('grace', context)
    const frozen = await openTab('/', context)
    const thaw = await freeze(frozen.page)
    await frozen.blank()
    const {id} = await server.forceLogout({user: 'grace'})
    await signIn('ada')
    const {page} = await openTab(`/admin/logouts/${id}`)
    await expect(page.locator('[data-count=unconfirmed]')).toHaveText('1')
    await expect(page.locator('#each-tab').getByText('No answer yet')).toBeVisible()
    await thaw()
    await frozen.signedOut('You were signed out by an administrator.')
  },
)

test('the console follows, filters and sorts, without a reload', async ({signIn, openTab, otherBrowser, server}) => {
  await signIn('ada')
  const {page} = await openTab('/admin')
  await expect(page.getByText('Live', {exact: true})).toBeVisible()
  const rows = page.locator('#sessions tbody tr')
  await expect(rows).toHaveCount(1)
  for (let i = 0; i < 55; i++) await server.call('session', {user: `user${i}`, groups: ['many']})
  const other = await otherBrowser()
  await signIn('grace', other)
  await openTab('/', other)
  const grace = rows.filter({hasText: 'Grace Hopper'})
  await expect(grace).toContainText('Active')
  await expect(rows).toHaveCount(50)
  await expect(page.getByText('57 sessions', {exact: true})).toBeVisible()
  await page.getByRole('link', {name: 'Page 2'}).click()
  await expect(rows).toHaveCount(7)
  await page.getByRole('searchbox', {name: 'Search'}).fill('hopper')
  await expect(rows).toHaveCount(1)
  await server.advance(61_000)
  await expect(grace).toContainText('Idle')
  await server.forceLogout({user: 'grace', grace_ms: 60_000})
  await expect(grace).toContainText('Warned')
  await server.advance(60_000)
  await expect(rows).toHaveCount(0)
  await page.getByRole('searchbox', {name: 'Search'}).fill('')
  await page.getByRole('columnheader', {name: 'User'}).getByRole('link').click()
  await expect(page.getByRole('columnheader', {name: 'User'})).toHaveAttribute('aria-sort', 'ascending')
  await expect(rows.first()).toContainText('ada')
})

test('a user is forced out by keyboard alone', async ({signIn, openTab, otherBrowser}) => {
  await signIn('ada')
  const other = await otherBrowser()
  await signIn('grace', other)
  const grace = await openTab('/', other)
  const {page} = await openTab('/admin/logouts/new')
  const tabTo = async (target: Locator) => {
    for (let presses = 0; presses < 60; presses++) {
      if (await target.evaluate(element => element === document.activeElement)) return
      await page.keyboard.press('Tab')
    }
    throw new Error('not reached by Tab')
  }
  await tabTo(page.getByLabel('User', {exact: true}))
  await page.keyboard.type('grace')
  await tabTo(page.getByLabel('Message'))
  await page.keyboard.type('Good night.')
  await tabTo(page.getByRole('button', {name: 'Review'}))
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', {name: /^Sign out/})).toBeVisible()
  await tabTo(page.getByRole('button', {name: 'Sign out 1 session'}))
  await page.keyboard.press('Enter')
  await grace.signedOut('Good night.')
})

test('above fifty users the number must be typed; without script too', async ({signIn, browser, server}) => {
  for (let i = 0; i < 51; i++) await server.call('session', {user: `user${i}`, groups: ['many']})
  const context = await (browser as Browser).newContext({javaScriptEnabled: false})
  await signIn('ada', context)
  const page = await context.newPage()
  await page.goto(server.url + '/admin/logouts/new')
  await page.getByRole('radio', {name: 'A group'}).check()
  await page.getByLabel('Group', {exact: true}).fill('many')
  await page.getByRole('button', {name: 'Review'}).click()
  await page.getByLabel('Type 51 to confirm').fill('50')
  await page.getByRole('button', {name: 'Sign out 51 sessions'}).click()
  await expect(page.getByRole('alert')).toContainText('Nobody was signed out.')
  expect((await server.api('GET', '/presence?group=many')).totals.sessions).toBe(51)
  await page.getByLabel('Type 51 to confirm').fill('51')
  await page.getByRole('button', {name: 'Sign out 51 sessions'}).click()
  await expect(page.getByRole('heading', {name: 'Forced logout of the group many'})).toBeVisible()
  expect((await server.api('GET', '/presence?group=many')).totals.sessions).toBe(0)
  await context.close()
})

test('the audit trail can be filtered and exported', async ({signIn, openTab, server}) => {
  await signIn('ada')
  await server.forceLogout({user: '=HYPERLINK("x")', message: '<script>\nalert(1)'})
  const {page} = await openTab('/admin/audit')
  await page.getByLabel('Event').selectOption('logout')
  await page.getByRole('button', {name: 'Filter'}).click()
  await expect(page.getByRole('row')).toHaveCount(2)
  await expect(page.getByRole('row').nth(1)).toContainText('<script>')
  const saved = async (name: string) => {
    await page.getByText('Export', {exact: true}).click()
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', {name}).click()])
    await page.getByText('Export', {exact: true}).click()
    const chunks: Buffer[] = []
    for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks).toString()
  }
  expect(await saved('CSV')).toContain(`"'=HYPERLINK(""x"")"`)
  expect(JSON.parse(await saved('JSON')).event).toBe('logout')
})

test('a non-admin gets nothing, by page or by socket', async ({signIn, openTab, server, context}) => {
  await signIn('grace')
  const {page} = await openTab()
  await expect(page.getByRole('link', {name: 'Console'})).toHaveCount(0)
  for (const path of ['/admin', '/admin/audit', '/admin/sessions/x', '/admin/logouts/x', '/api/v1/presence']) {
    expect((await context.request.get(server.url + path)).status(), path).toBe(403)
  }
  const code = await page.evaluate(
    () =>
      new Promise(resolve => {
        const socket = new WebSocket('/admin/ws', 'curfew.console.v2')
        socket.addEventListener('open', () => resolve('open'))
        socket.addEventListener('close', event => resolve(event.code))
      }),
  )
  expect(code).toBe(1006)
})
