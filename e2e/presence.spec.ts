import {expect, test, Tab} from './curfew'

test('the staff directory shows who is here', async ({signIn, openTab, otherBrowser, server}) => {
  await signIn('ada')
  const watcher = await openTab()
  const grace = watcher.page.locator('[data-curfew-presence=grace]')
  await expect(grace).toHaveText('Not signed in')
  const other = await otherBrowser()
  await signIn('grace', other)
  await expect(grace).toHaveAttribute('data-state', 'away')
  const tab = await openTab('/', other)
  await expect(grace).toHaveText('Active')
  await server.advance(61_000)
  await expect(grace).toHaveText('Idle')
  await tab.page.mouse.move(30, 30)
  await tab.page.mouse.move(40, 40)
  await expect(grace).toHaveText('Active')
  await tab.page.getByRole('button', {name: 'Sign out'}).click()
  await expect(grace).toHaveText('Not signed in')
})

test('presence is shown to those only who may see it, and forgotten with the connection', async ({
  signIn,
  openTab,
  otherBrowser,
  server,
}) => {
  await signIn('ada')
  const other = await otherBrowser()
  await signIn('grace', other)
  const outsider = await openTab('/', other)
  await expect(outsider.page.locator('[data-curfew-presence]')).toHaveCount(0)
  await outsider.page.evaluate(() => {
    const mark = document.createElement('span')
    mark.dataset.curfewPresence = 'ada'
    document.body.append(mark)
  })
  await expect.poll(() => server.story('input')).toContain('watch')
  await expect(outsider.page.locator('[data-curfew-presence=ada]')).not.toHaveAttribute('data-state')
  const watcher = await openTab()
  const grace = watcher.page.locator('[data-curfew-presence=grace]')
  await expect(grace).toHaveText('Active')
  await server.call('fault', {kind: 'refuse'})
  await server.call('fault', {kind: 'drop'})
  await expect(grace).toHaveText('')
  await server.call('fault', {kind: 'none'})
  await expect(grace).toHaveText('Active', {timeout: 15_000})
})

test('notices are read, dismissed, and not repeated in the same tab', async ({signIn, openTab, server}) => {
  await signIn('grace')
  const tab = await openTab()
  await tab.note.fill('half a sentence')
  await server.api('POST', '/notices', {everyone: true, message: 'The printer <b>is</b> back.'})
  const notice = tab.page.getByText('The printer <b>is</b> back.')
  await expect(notice).toBeVisible()
  await expect(tab.note).toBeFocused()
  const late = await openTab('/?late')
  await expect(late.page.getByText('The printer <b>is</b> back.')).toBeVisible()
  await tab.page.getByRole('button', {name: 'Dismiss'}).click()
  await expect(notice).toBeHidden()
  await tab.goto('/?next')
  await tab.connected()
  await server.api('POST', '/notices', {user: 'grace', message: 'Another one.'})
  const another = tab.page.getByText('Another one.')
  await expect(another).toBeVisible()
  await expect(notice).toBeHidden()
  await server.api('POST', '/notices', {user: 'grace', message: 'One more.'})
  await expect(tab.page.getByText('One more.')).toBeVisible()
  for (const text of ['Another one.', 'One more.']) {
    await tab.page.locator('.notice', {hasText: text}).getByRole('button', {name: 'Dismiss'}).click()
  }
  await tab.goto('/?last')
  await tab.connected()
  await server.api('POST', '/notices', {user: 'grace', message: 'The last one.'})
  await expect(tab.page.getByText('The last one.')).toBeVisible()
  for (const gone of [notice, another, tab.page.getByText('One more.')]) await expect(gone).toBeHidden()
})

test('the account page shows the own sessions and ends them in another browser', async ({
  signIn,
  openTab,
  otherBrowser,
  server,
}) => {
  await signIn('grace')
  const tab = await openTab()
  const other = await otherBrowser()
  await signIn('grace', other)
  await expect(tab.page.getByText('Your account has just signed in elsewhere')).toBeVisible()
  const elsewhere = await openTab('/', other)
  await tab.goto('/account')
  const others = tab.page.getByRole('group', {name: 'Other devices and browsers'})
  await expect(others.getByRole('row')).toHaveCount(2)
  await others.getByRole('button', {name: /^End the session/}).click()
  await elsewhere.signedOut(/This session was ended from your account page/)
  await expect(tab.page.getByRole('status')).toContainText(/^The session of .+ was ended\.$/)
  await expect(others).toHaveCount(0)
  await signIn('grace', other)
  const again = new Tab(await other.newPage(), server)
  await again.goto()
  await again.connected()
  await tab.page.reload()
  await tab.page.getByText('End all other sessions…').click()
  await tab.page.getByRole('button', {name: 'End 1 session'}).click()
  await again.signedOut(/This session was ended from your account page/)
  await expect(tab.page.getByText('You are signed in nowhere else.')).toBeVisible()
  await tab.page.getByRole('button', {name: 'Sign out here'}).click()
  await expect(tab.page.getByText('You have signed out.')).toBeVisible()
})

test.describe('one session a user', () => {
  test.use({flags: ['--max-sessions', '1']})

  test('a displaced session is told from which device and address', async ({signIn, openTab, otherBrowser}) => {
    await signIn('grace')
    const tab = await openTab()
    await signIn('grace', await otherBrowser())
    await tab.signedOut(/because of a newer sign-in: .+ on Linux, 127\.0\.0\.1\./)
  })
})
