import AxeBuilder from '@axe-core/playwright'
import {expect, MINUTE, test} from './curfew'

test.describe('in a zone of its own', () => {
  test.use({timezoneId: 'Asia/Kolkata', locale: 'en-GB'})

  test('the trail is told and asked for in local time', async ({signIn, openTab, server}) => {
    await signIn('ada')
    const {page} = await openTab('/admin/audit')
    const {at} = (await server.api('GET', '/audit?event=sign-in')).items[0]
    const clock = new Intl.DateTimeFormat('en', {
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      timeZone: 'Asia/Kolkata',
    })
    const line = page.getByRole('row').nth(1)
    await expect(line).toContainText('ada signed in.')
    await expect(line.locator('time')).toContainText(clock.format(new Date(at)))
    await expect(line.locator('time')).toContainText('GMT+5:30')
    await expect(page.getByText('From (GMT+5:30)')).toBeVisible()

    await page.getByLabel('From').fill('2020-03-01T05:30')
    await page.getByLabel('Event').selectOption('Sign-in')
    await page.getByRole('button', {name: 'Filter'}).click()
    await expect(page).toHaveURL(/event=sign-in&since=2020-03-01T00%3A00%3A00Z$/)
    await expect(page.getByLabel('From')).toHaveValue('2020-03-01T05:30')
    await expect(page.getByRole('row')).toHaveCount(2)
    await page.getByRole('link', {name: 'Today'}).click()
    await expect(page).toHaveURL(/event=sign-in&period=today&since=[-0-9]+T18%3A30%3A00Z$/)
    await expect(page.getByLabel('From')).toHaveValue('')
    await expect(page.getByRole('link', {name: 'Today'})).toHaveAttribute('aria-current', 'true')
    await page.getByRole('button', {name: 'Filter'}).click() // the period stays
    await expect(page.getByRole('link', {name: 'Today'})).toHaveAttribute('aria-current', 'true')
  })
})

test('the page of a session follows it to its end, and says how that came', async ({
  signIn,
  openTab,
  otherBrowser,
  server,
}) => {
  await signIn('ada')
  const other = await otherBrowser()
  await signIn('grace', other)
  const {ref} = (await server.api('GET', '/sessions?user=grace')).items[0]
  const {page} = await openTab('/admin/sessions/' + ref)
  await expect(page.locator('#live')).toHaveText('Live')
  await expect(page.getByText('No tab is open')).toBeVisible()
  await expect(page.locator('#live-ends')).toHaveText(/^in \d+:\d\d/)

  await openTab('/?secret=1', other)
  const tabs = page.getByRole('group', {name: 'Open tabs'})
  await expect(tabs.getByRole('rowheader', {name: '/', exact: true})).toBeVisible()
  await expect(tabs).not.toContainText('secret')
  await server.call('age', {ref, by_ms: 9 * MINUTE})
  await expect(page.locator('#live-warns')).toHaveText('is shown now')
  await expect(page.locator('.badge[data-state=warned]')).toBeVisible()

  await page.getByLabel('Message, as grace will read it').fill('Stays while the page is live')
  await signIn('grace', await otherBrowser())
  const others = page.getByRole('group', {name: 'Other sessions of grace'})
  await expect(others.getByRole('row')).toHaveCount(2)
  await expect(page.getByLabel('Message, as grace will read it')).toHaveValue('Stays while the page is live')

  await server.forceLogout({session: ref})
  await expect(page.getByRole('heading', {name: 'This session is over'})).toBeVisible()
  await expect(page.locator('#over')).toContainText(/signed grace out\.$|signed grace out\.\s/)
  await expect(page.getByRole('heading', {name: 'Session of grace', exact: true})).toBeFocused()
  await page.reload()
  await expect(page.getByRole('heading', {name: 'This session is over'})).toBeVisible()
  await page.locator('#over').getByRole('link', {name: 'All sessions'}).click()
  await expect(page).toHaveURL(server.url + '/admin')
})

test('a single refusal does not stop the page of a session', async ({signIn, openTab, otherBrowser, server}) => {
  await signIn('ada')
  await signIn('grace', await otherBrowser())
  const {ref} = (await server.api('GET', '/sessions?user=grace')).items[0]
  const {page} = await openTab('/admin/sessions/' + ref)
  const status = page.locator('#live')
  await expect(status).toHaveText('Live')
  await page.route(/part=live/, route => route.fulfill({status: 401}))
  await expect(status).not.toHaveText('Live')
  await page.unroute(/part=live/)
  await expect(status).toHaveText('Live')
  await server.forceLogout({session: ref})
  await expect(page.getByRole('heading', {name: 'This session is over'})).toBeVisible()
})

test('a history that takes too long to search is searched once', async ({signIn, openTab, otherBrowser, server}) => {
  await signIn('ada')
  await signIn('grace', await otherBrowser())
  const {ref} = (await server.api('GET', '/sessions?user=grace')).items[0]
  const {page} = await openTab('/admin/sessions/' + ref)
  await expect(page.locator('#live')).toHaveText('Live')
  const asked: string[] = []
  page.on('request', request => {
    const {pathname, search} = new URL(request.url())
    if (/admin.sessions|healthz/.test(pathname)) asked.push(search)
  })
  await page.route(/admin.sessions/, route =>
    route.fulfill({
      contentType: 'text/html',
      body: '<main><h1>Session</h1><div id="over"></div><p id="unsearched">Not searched</p></main>',
    }),
  )
  await expect(page.getByText('Not searched')).toBeVisible()
  const marked = page.waitForRequest(/mark/)
  await page.evaluate(() => {
    document.dispatchEvent(new Event('visibilitychange')) // a page that still asks does so now
    void fetch('/healthz?mark').catch(() => {})
  })
  await marked
  expect(asked.filter(search => search === '')).toHaveLength(1)
  expect(asked.slice(asked.lastIndexOf(''))).toEqual(['', '?mark'])
})

test.describe('without script', () => {
  test.use({javaScriptEnabled: false})

  test('ending all other sessions is asked, by keyboard', async ({page, signIn, otherBrowser, server}) => {
    await signIn('grace', await otherBrowser())
    await page.goto(server.url + '/login?next=/account')
    await page.getByLabel('User name').fill('grace')
    await page.getByLabel('Password').fill('grace-demo')
    await page.keyboard.press('Enter')
    const sure = page.getByRole('button', {name: 'End 1 session'})
    await expect(sure).toBeHidden()
    await page.getByText('End all other sessions…').focus()
    await page.keyboard.press('Enter')
    await expect(page.getByText('1 other session ends at once.')).toBeVisible()
    expect((await server.api('GET', '/sessions?user=grace')).items).toHaveLength(2)
    await page.keyboard.press('Tab')
    await expect(sure).toBeFocused()
    await page.keyboard.press('Enter')
    await expect(page.getByRole('status')).toHaveText('1 other session was ended.')
    expect((await server.api('GET', '/sessions?user=grace')).items).toHaveLength(1)
  })
})

test.describe('without a strict CSP', () => {
  test.use({strictCSP: false}) // axe writes styles

  test.setTimeout(60_000) // axe looks at four pages

  for (const lang of ['en', 'de', 'ar', 'ja']) {
    const looks = lang === 'ar' ? '' : ' @looks'
    test(`account, session and trail pass axe on a phone, ${lang}${looks}`, async ({
      signIn,
      openTab,
      otherBrowser,
      server,
    }) => {
      await signIn('ada')
      const other = await otherBrowser()
      await signIn('ada', other)
      const {ref} = (await server.api('GET', '/sessions')).items[0]
      await openTab('/', other)
      await server.forceLogout({user: 'nobody', grace_ms: 60_000, block_ms: 60_000, message: 'Maintenance\nat night'})
      await server.forceLogout({user: 'grace'})
      const {page} = await openTab('/account')
      await page.setViewportSize({width: 390, height: 844})
      for (const path of ['/account', '/admin/audit', '/admin/audit?user=none', `/admin/sessions/${ref}`]) {
        await page.goto(`${server.url}${path}${path.includes('?') ? '&' : '?'}lang=${lang}`)
        if (path === '/account') await page.locator('.ask > summary').click()
        expect((await new AxeBuilder({page}).analyze()).violations, path).toEqual([])
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        expect(wide, path + ' is wider than the phone').toBeLessThanOrEqual(0)
      }
    })
  }
})
