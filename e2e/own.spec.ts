import {expect, MINUTE, type Server, Tab, test} from './curfew'

// Curfew's own pages after an end: what they send goes with the session that there is by then.

/** The tokens in a page that are not those of the browser's session. */
async function oldTokens(tab: Tab): Promise<string[]> {
  const {csrf} = await (await tab.page.request.get(tab.server.url + '/session/status')).json()
  const fields = tab.page.locator('input[name=csrf]')
  await expect(fields).not.toHaveCount(0)
  const values = await fields.evaluateAll((all: HTMLInputElement[]) => all.map(field => field.value))
  return values.filter(value => value !== csrf)
}

/** The session that began last. */
const latest = async (server: Server): Promise<string> => (await server.api('GET', '/sessions')).items[0].ref

test('note, account and console go on with the next session of their user', async ({
  server,
  signIn,
  openTab,
  otherBrowser,
}) => {
  await signIn('ada')
  const ref = await latest(server)
  await signIn('ada', await otherBrowser())
  const home = await openTab('/')
  const account = await openTab('/account')
  const session = await openTab('/admin/sessions/' + (await latest(server))) // of the other browser, which lives on
  const desk = await openTab('/admin')
  const order = await openTab('/admin/logouts/new?scope=user&user=grace')
  const message = order.page.getByLabel('Message')
  await expect(desk.page.getByText('Live', {exact: true})).toBeVisible()
  await home.note.fill('Remember the milk')
  await message.fill('Stocktaking')
  const {url} = server
  await server.call('age', {ref, by_ms: 11 * MINUTE})
  const all = [home, account, session, desk, order]
  for (const tab of all) await tab.waits()
  const window = await home.signInWindow()
  await window.getByLabel('User name').fill('ada')
  await window.getByLabel('Password').fill('ada-demo')
  await window.getByRole('button', {name: 'Sign in'}).dblclick()
  for (const tab of all) {
    await expect(tab.waiting).toBeHidden()
    await expect.poll(() => oldTokens(tab), tab.page.url()).toEqual([])
  }

  await home.page.getByRole('button', {name: 'Save note'}).click()
  await expect(home.page.getByText('out of date')).toBeHidden()
  await expect(home.note).toHaveValue('Remember the milk')

  await session.page.getByRole('button', {name: 'Sign this session out'}).click()
  await expect(session.page).toHaveURL(url + '/admin/confirm')
  await expect(session.page.getByText('out of date')).toBeHidden()

  await account.page.getByText('End all other sessions…').click()
  await account.page.getByRole('button', {name: 'End 1 session'}).click()
  await expect(account.page.getByText('You are signed in nowhere else.')).toBeVisible()

  // The console follows what happens again, and the form has kept what was typed.
  await server.call('session', {user: 'grace', groups: []})
  await expect(desk.page.locator('#sessions tbody tr').filter({hasText: 'grace'})).toBeVisible()
  await expect(message).toHaveValue('Stocktaking')
  await order.page.getByRole('button', {name: 'Review'}).click()
  await expect(order.page.getByRole('heading', {name: 'Sign out grace?'})).toBeVisible()
  await order.connected()
  await server.call('age', {
    ref: (await server.api('GET', '/sessions?user=ada')).items[0].ref,
    by_ms: 11 * MINUTE,
  })
  await order.waits()
  await signIn('ada')
  await order.page.getByRole('button', {name: 'Sign out 1 session'}).click()
  await expect(order.page.locator('#logout-state')).toHaveText('Signed out')
  await expect(order.page.getByText('Stocktaking')).toBeVisible()
})

test('a page without a socket goes on with the next session, and so do its forms', async ({
  server,
  signIn,
  context,
}) => {
  await signIn()
  await server.call('fault', {kind: 'refuse'})
  const tab = new Tab(await context.newPage(), server)
  await tab.goto()
  await expect(tab.page.getByRole('status').filter({hasText: /connection|updates come/i})).toBeVisible()
  await tab.note.fill('Remember the milk')
  await server.advance(11 * MINUTE)
  await tab.waits()
  await signIn()
  await expect(tab.waiting).toBeHidden()
  await expect.poll(() => oldTokens(tab)).toEqual([])
  await tab.page.getByRole('button', {name: 'Save note'}).click()
  await expect(tab.note).toHaveValue('Remember the milk')
})

test('a page that is older than the session it first hears of gets that one’s token', async ({
  server,
  signIn,
  context,
}) => {
  await signIn()
  let deliver = () => {}
  const late = new Promise<void>(resolve => (deliver = resolve))
  await context.route('**/static/curfew.js', route => late.then(() => route.continue()))
  const tab = new Tab(await context.newPage(), server)
  await tab.page.goto(server.url, {waitUntil: 'commit'})
  await tab.note.fill('Remember the milk')
  await signIn()
  deliver()
  await tab.connected()
  await expect.poll(() => oldTokens(tab)).toEqual([])
  await tab.page.getByRole('button', {name: 'Save note'}).click()
  await expect(tab.note).toHaveValue('Remember the milk')
})
