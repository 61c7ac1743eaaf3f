import AxeBuilder from '@axe-core/playwright'
import type {Locator, Page} from '@playwright/test'
import {expect, MINUTE, test} from './curfew'

// A forced logout from the form to its end, and notices, as an administrator asks for them.

/** By keyboard alone. */
async function tabTo(page: Page, target: Locator) {
  for (let presses = 0; presses < 40; presses++) {
    if (await target.evaluate(element => element === document.activeElement)) return
    await page.keyboard.press('Tab')
  }
  throw new Error('not reached by Tab')
}

/** Nothing is wider than the page. */
const fits = (page: Page) =>
  expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0)

test.describe('a group is signed out in 15 minutes, by keyboard alone and on a phone', () => {
  test.use({
    flags: ['--warn-after=50m', '--expire-after=60m'],
    viewport: {width: 390, height: 844},
    timezoneId: 'Asia/Kolkata',
  })

  test('with a message; it is watched, and its block lifted @engines', async ({
    signIn,
    openTab,
    otherBrowser,
    server,
    advance,
  }) => {
    await signIn('ada')
    const other = await otherBrowser()
    await signIn('linus', other)
    const linus = await openTab('/', other)
    const {page} = await openTab('/admin/logouts/new')
    const press = async (name: string) => {
      await tabTo(page, page.getByRole('button', {name}))
      await page.keyboard.press('Enter')
    }

    // A name that nobody has.
    await tabTo(page, page.getByLabel('Group', {exact: true}))
    await page.keyboard.type('kisok')
    await expect(page.getByRole('radio', {name: 'A group'})).toBeChecked()
    await tabTo(page, page.getByLabel('Message'))
    await page.keyboard.type('Stocktaking.')
    await page.keyboard.press('Enter')
    await page.keyboard.type('Back at noon.')
    await tabTo(page, page.getByLabel('Sign them out'))
    await page.getByLabel('Sign them out').press('I') // In 1 minute …
    await page.getByLabel('Sign them out').selectOption('900')
    await tabTo(page, page.getByLabel('After that, refuse new sign-ins'))
    await page.getByLabel('After that, refuse new sign-ins').selectOption('1800')
    await fits(page)
    await press('Review')
    await expect(page.getByText('No group of that name. Did you mean kiosk?')).toBeVisible()
    await expect(page.getByLabel('Group', {exact: true})).toBeFocused()
    await expect(page.getByLabel('Group', {exact: true})).toHaveValue('kisok')
    await fits(page)
    await press('Use “kiosk”')
    await expect(page.getByLabel('Group', {exact: true})).toHaveValue('kiosk')
    await page.keyboard.press('Enter')

    // What follows is told before it is confirmed, and can be edited.
    await expect(page.getByRole('heading', {name: 'Sign out the group kiosk?'})).toBeVisible()
    await expect(page.locator('#then')).toHaveText(
      /^They are warned at once and signed out at \d+:\d\d [AP]M GMT\+5:30\.$/,
    )
    await expect(page.locator('#blocked')).toHaveText(/^New sign-ins are refused until \d+:\d\d [AP]M GMT\+5:30\.$/)
    await expect(page.getByText('Linus Torvalds (linus)')).toBeVisible()
    await fits(page)
    await press('Edit')
    await expect(page.getByLabel('Message')).toHaveValue('Stocktaking.\nBack at noon.')
    await expect(page.getByLabel('Sign them out')).toHaveValue('900')
    await press('Review')
    await press('Sign out 1 session')

    await expect(page.getByRole('heading', {name: 'Forced logout of the group kiosk'})).toBeVisible()
    await expect(page.getByText('Live', {exact: true})).toBeVisible()
    await expect(page.getByText('1 page shows the warning.')).toBeVisible()
    await expect(linus.warning).toContainText('Stocktaking.')
    await fits(page)
    await advance(15 * MINUTE)
    await linus.signedOut('Stocktaking.')
    await expect(page.getByText('1 of 1 page confirmed blank.')).toBeVisible()
    await expect(page.getByRole('progressbar', {name: '1 of 1 page confirmed blank.'})).toHaveJSProperty('value', 1)
    await expect(page.getByText(/New sign-ins are refused until/)).toBeVisible()
    await expect(page.locator('#each-tab tr')).toContainText('Linus Torvalds (linus)')
    await expect(page.locator('#each-tab tr')).toContainText('Blank')
    await fits(page)

    const refused = await other.request.post(server.url + '/login', {
      form: {username: 'linus', password: 'linus-demo'},
      maxRedirects: 0,
    })
    expect(refused.status()).toBe(403)
    expect(await refused.text()).toContain('Signing in is switched off just now. Please try again later.')
    await press('Lift')
    await expect(page.getByRole('status').filter({hasText: 'New sign-ins are possible again.'})).toBeVisible()
    await expect(page.getByRole('button', {name: 'Lift'})).toBeHidden()
    await signIn('linus', other)
  })
})

test('a time of day is that of the browser', async ({browser, server, signIn, otherBrowser}) => {
  const context = await browser.newContext({timezoneId: 'Pacific/Auckland'})
  await signIn('ada', context)
  await signIn('grace', await otherBrowser())
  const page = await context.newPage()
  await page.goto(server.url + '/admin/logouts/new?user=grace')
  await expect(page.getByLabel('Time at which they are signed out')).toBeHidden()
  await page.getByLabel('Sign them out').selectOption('at')
  const {clock, meant} = await page.evaluate(() => {
    const then = new Date(Date.now() + 3 * 3600_000)
    then.setSeconds(0, 0)
    const two = (n: number) => String(n).padStart(2, '0')
    return {clock: `${two(then.getHours())}:${two(then.getMinutes())}`, meant: then.getTime()}
  })
  await page.getByLabel('Time at which they are signed out').fill(clock)
  await page.getByRole('button', {name: 'Review'}).click()
  const instant = new Date((await page.locator('#then time').getAttribute('datetime'))!)
  expect(instant.getTime()).toBe(meant)
  await page.getByRole('button', {name: 'Sign out 1 session'}).click()
  const {items} = await server.api('GET', '/logouts')
  expect(Math.round(Date.parse(items[0].effective_at) / 1000)).toBe(instant.getTime() / 1000)
  await context.close()
})

test('people whose tabs are many are one row each, which stays where it is', async ({
  signIn,
  openTab,
  otherBrowser,
  server,
}) => {
  await signIn('ada')
  const [one, two] = [await otherBrowser(), await otherBrowser()]
  await signIn('grace', one)
  await signIn('linus', two)
  const tabs = [await openTab('/', one), await openTab('/account', one), await openTab('/', two)]
  const refs = (await server.api('GET', '/sessions')).items.filter((s: any) => s.user !== 'ada').map((s: any) => s.ref)
  const {page} = await openTab(`/admin/logouts/new?refs=${refs.join(',')}&grace=60`)
  await expect(page.getByRole('radio', {name: 'The 2 selected sessions'})).toBeChecked()
  await page.getByRole('button', {name: 'Review'}).click()
  await page.getByRole('button', {name: 'Sign out 2 sessions'}).click()
  await expect(page.getByRole('heading', {name: 'Forced logout of 2 sessions'})).toBeVisible()
  const rows = page.locator('#each-tab tr')
  await expect(rows).toHaveText([/Grace Hopper.*2 pages, warned/s, /Linus Torvalds.*1 page, warned/s])
  await tabs[2]!.page.close()
  await expect(rows.nth(1)).toContainText('0 pages, warned')
  await server.advance(MINUTE)
  await expect(rows).toHaveText([
    /Grace Hopper.*Blank · \/.*Blank · \/account/s,
    /Linus Torvalds.*Signed out, no page open/s,
  ])
  await expect(page.getByText('2 of 2 pages confirmed blank.')).toBeVisible()
})

test('a notice to many is confirmed, and says to how many tabs it went', async ({
  signIn,
  openTab,
  otherBrowser,
  server,
}) => {
  for (let i = 0; i < 50; i++) await server.call('session', {user: `user${i}`, groups: ['many']})
  await signIn('ada')
  const other = await otherBrowser()
  await signIn('grace', other)
  const grace = await openTab('/', other)
  const {page} = await openTab('/admin/logouts/new')
  await page.getByRole('radio', {name: 'Everyone'}).check()
  await page.getByRole('button', {name: 'Only send the message'}).click()
  await expect(page.getByText('Write what they should read.')).toBeVisible()
  await page.getByLabel('Message').fill('The lift is broken.')
  await page.getByRole('button', {name: 'Only send the message'}).click()
  await expect(page.getByRole('heading', {name: 'Tell everyone?'})).toBeVisible()
  await expect(grace.page.getByText('The lift is broken.')).toBeHidden()
  await page.getByRole('button', {name: /Send to \d tab/}).click()
  await expect(
    page.getByRole('status').filter({hasText: /The message went to \d open tab.*People told: 52\./}),
  ).toBeVisible()
  await expect(grace.page.getByText('The lift is broken.')).toBeVisible()
})

test.describe('without a strict CSP', () => {
  test.use({strictCSP: false}) // axe writes styles

  test('the form, its confirmation and the progress pass axe, wide and light, narrow and dark @looks', async ({
    signIn,
    openTab,
    server,
  }) => {
    test.setTimeout(60_000)
    const passes = async (what: string) => {
      for (const [width, colorScheme] of [
        [1280, 'light'],
        [390, 'dark'],
      ] as const) {
        await page.setViewportSize({width, height: 800})
        await page.emulateMedia({colorScheme})
        const {violations} = await new AxeBuilder({page: page as never}).analyze()
        expect(
          violations.map(v => `${v.id}: ${v.nodes.map(n => n.html).join(' ')}`),
          what,
        ).toEqual([])
        await fits(page)
      }
    }
    for (let i = 0; i < 51; i++) await server.call('session', {user: `user${i}`, groups: ['many']})
    await signIn('ada')
    const {page} = await openTab('/admin/logouts/new')
    await passes('the form')
    await page.getByLabel('Group', {exact: true}).fill('manz')
    await page.getByLabel('After that, refuse new sign-ins').selectOption('1800')
    await page.getByRole('button', {name: 'Review'}).click()
    await expect(page.getByText('Did you mean many?')).toBeVisible()
    await passes('a mistake')
    await page.getByRole('button', {name: 'Use “many”'}).click()
    await page.getByLabel('Sign them out').selectOption('300')
    await page.getByLabel('Message').fill('Maintenance')
    await page.getByRole('button', {name: 'Only send'}).click()
    await passes('the confirmation of a notice')
    await page.getByRole('button', {name: 'Edit'}).click()
    await page.getByRole('button', {name: 'Review'}).click()
    await passes('the confirmation')
    await page.getByLabel('Type 51 to confirm').fill('50')
    await page.getByRole('button', {name: 'Sign out 51 sessions'}).click()
    await expect(page.getByRole('alert')).toBeVisible()
    await passes('a wrong number')
    await page.getByLabel('Type 51 to confirm').fill('51')
    await page.getByRole('button', {name: 'Sign out 51 sessions'}).click()
    await expect(page.getByText('Warned', {exact: true})).toBeVisible()
    await passes('in the grace')
    await server.advance(5 * MINUTE)
    await expect(page.getByText('Signed out', {exact: true})).toBeVisible()
    await passes('in effect')
    await page.getByRole('button', {name: 'Lift'}).click()
    await passes('lifted')
  })
})
