import {expect, MINUTE, test} from './curfew'

test('five tabs warn together and end together @engines', async ({signIn, openTab, advance}) => {
  await signIn()
  const tabs = []
  for (let i = 0; i < 5; i++) tabs.push(await openTab())
  await advance(8 * MINUTE)
  for (const tab of tabs) await expect(tab.warning).toBeHidden()
  await advance(MINUTE)
  for (const tab of tabs) await expect(tab.warning).toBeVisible()
  await advance(MINUTE)
  for (const tab of tabs) await tab.waits('You were signed out because there was no activity for a while.')
})

test('activity in one tab withdraws the warning in all @engines', async ({signIn, openTab, advance}) => {
  await signIn()
  const [one, two] = [await openTab(), await openTab()]
  await advance(9 * MINUTE)
  await expect(one.warning).toBeVisible()
  await expect(two.warning).toBeVisible()
  await one.page.bringToFront()
  await one.page.mouse.move(3, 3)
  await expect(one.warning).toBeHidden()
  await expect(two.warning).toBeHidden()
})

test('staying signed in from one tab keeps every tab', async ({signIn, openTab, advance}) => {
  await signIn()
  const [one, two] = [await openTab(), await openTab()]
  await advance(9 * MINUTE)
  await expect(two.warning).toBeVisible()
  await one.stay.click()
  await expect(one.warning).toBeHidden()
  await expect(two.warning).toBeHidden()
  await advance(8 * MINUTE)
  await expect(one.page.getByRole('heading', {name: 'Hello'})).toBeVisible()
})

test('signing out in one tab reaches the others, and no other browser', async ({signIn, openTab, otherBrowser}) => {
  const other = await otherBrowser()
  await signIn()
  await signIn('ada', other)
  const [one, two, elsewhere] = [await openTab(), await openTab(), await openTab('/', other)]
  await one.page.getByRole('button', {name: 'Sign out'}).click()
  await expect(one.page).toHaveURL(/\/login/)
  await two.signedOut('You have signed out.')
  await elsewhere.page.reload()
  await expect(elsewhere.page.getByRole('heading', {name: 'Hello'})).toBeVisible()
})

test('a page that is over stays blank, whatever its scripts do until the sign-in page opens', async ({
  signIn,
  openTab,
  server,
}) => {
  await signIn()
  const tab = await openTab()
  await tab.page.evaluate(() => {
    setInterval(() => {
      document.title = 'secret'
      document.body.textContent = 'secret'
    }, 1)
    document.addEventListener('curfew:expire', () =>
      setTimeout(() => {
        sessionStorage.setItem(
          'shown',
          JSON.stringify([document.title, document.body.textContent, document.body.innerText]),
        )
      }, 100),
    )
  })
  await server.forceLogout({user: 'ada'})
  await expect(tab.page).toHaveURL(/\/login/)
  expect(await tab.page.evaluate(() => sessionStorage.getItem('shown'))).toBe(
    JSON.stringify([new URL(tab.server.url).host, 'secret', '']),
  )
})

test('after signing in anew the page is the one that was left', async ({signIn, openTab, server}) => {
  await signIn()
  const tab = await openTab('/?view=team')
  await server.forceLogout({user: 'ada'})
  await tab.signedOut(/administrator/)
  await tab.page.getByLabel('User name').fill('ada')
  await tab.page.getByLabel('Password').fill('ada-demo')
  await tab.page.getByRole('button', {name: 'Sign in'}).click()
  await expect(tab.page).toHaveURL(tab.server.url + '/?view=team')
})

test('a new sign-in in the same browser replaces the session of the other tabs', async ({
  signIn,
  openTab,
  context,
  server,
}) => {
  await signIn('ada')
  const tab = await openTab()
  const response = await context.request.post(server.url + '/login', {
    form: {username: 'grace', password: 'grace-demo'},
    maxRedirects: 0,
  })
  expect(response.status()).toBe(303)
  // The tab leaves before or after the browser has the new cookie: the sign-in page tells why, or
  // leads grace home.
  await expect(tab.page.getByText(/because of a newer sign-in|Hello, Grace Hopper/)).toBeVisible()
  await expect(tab.page.getByText('Hello, Ada Lovelace')).toBeHidden()
})

test.describe('a lifetime', () => {
  test.use({flags: ['--max-lifetime', '30m', '--warn-after', '29m', '--expire-after', '30m']})
  test('cannot be extended: the warning has no button for it', async ({signIn, openTab, advance}) => {
    await signIn()
    const tab = await openTab() // an activity, so that the lifetime ends before the idle time
    await advance(29 * MINUTE)
    await expect(tab.warning).toContainText('longest allowed time')
    await expect(tab.stay).toBeHidden()
    await tab.page.keyboard.press('Escape')
    await tab.page.mouse.move(1, 1)
    await expect(tab.warning).toBeVisible()
    await advance(MINUTE)
    await tab.waits(/longest allowed time/)
  })
})

test.describe('a kiosk', () => {
  test.use({flags: ['--profile', 'kiosk']})
  test('is kept by the button only', async ({signIn, openTab, advance, server}) => {
    await signIn('linus')
    const [one, two] = [await openTab(), await openTab()]
    await advance(90_000)
    await expect(one.warning).toBeVisible()
    await one.page.mouse.move(5, 5)
    await one.page.keyboard.press('x')
    await expect.poll(() => server.story('input')).toContain('activity')
    await expect(one.warning).toBeVisible()
    await one.page.keyboard.press('Escape')
    await expect(one.warning).toBeHidden()
    await expect(two.warning).toBeHidden()
  })
})
