import AxeBuilder from '@axe-core/playwright'
import {expect, MINUTE, Tab, test} from './curfew'
import {events, isBack, mark} from './waits'

// A page whose session ended by time waits for its user, blank, and comes back as it was; or it is
// taken away for good.

test('all tabs come back by one sign-in, as they were @engines', async ({server, signIn, openTab}) => {
  await signIn('grace')
  const other = await openTab()
  const tab = await openTab()
  await tab.note.pressSequentially('typed')
  await expect.poll(() => server.story('input')).toContain('activity')
  await server.advance(11 * MINUTE)
  for (const one of [tab, other]) await one.waits()
  const window = await tab.signInWindow()
  await window.getByLabel('User name').pressSequentially('grace')
  await window.getByLabel('Password').pressSequentially('grace-demo')
  const closed = window.waitForEvent('close')
  await window.getByRole('button', {name: 'Sign in'}).click()
  await closed
  for (const one of [tab, other]) await expect(one.note).toBeVisible()
  await expect(tab.note).toHaveValue('typed')
  await expect(tab.note).toBeFocused()
})

test('a page that polled shows notices again when it is back', async ({server, signIn, openTab}) => {
  await signIn('grace')
  const tab = await openTab()
  const {page} = tab
  await page.clock.install()
  await page.reload()
  await tab.connected()
  await expect(page.locator('curfew-warning')).toBeAttached()
  await server.call('fault', {kind: 'refuse'})
  await server.call('fault', {kind: 'drop'})
  const line = page.locator('curfew-panel .line.quiet')
  await expect(async () => {
    await page.clock.runFor(1_000)
    await expect(line).toHaveText(/^Updates come/, {timeout: 200})
  }).toPass()
  await mark(tab)
  await server.advance(11 * MINUTE)
  await tab.waits()
  await page.clock.runFor(15_000) // longer than an answer to a poll may take
  await server.call('fault', {kind: 'none'})
  await signIn('grace')
  await isBack(tab)
  await server.api('POST', '/notices', {user: 'grace', message: 'The printer is back.'})
  await expect(page.locator('curfew-panel .notice')).toBeVisible()
})

test('the dialog says why, takes nothing in its first second, and is accessible', async ({signIn, openTab, server}) => {
  await signIn()
  const tab = await openTab()
  const {page} = tab
  await page.clock.install()
  await page.reload()
  await tab.connected()
  const opened: unknown[] = []
  page.on('popup', window => opened.push(window))
  await page.clock.pauseAt(Date.now() + 1_000)
  await page.keyboard.down('Enter') // held, it goes on in the dialog
  await server.advance(11 * MINUTE)
  await expect(tab.waiting).toHaveAccessibleDescription(
    'You were signed out because there was no activity for a while.',
  )
  await expect(tab.waiting.getByRole('button')).toHaveText(['Sign in to continue', 'Leave this page'])
  await tab.waits()
  for (const early of [0, 950]) {
    await page.clock.runFor(early)
    await page.keyboard.down('Enter')
    await page.keyboard.press('Space')
    await tab.signInAgain.click()
    await tab.waiting.getByRole('button', {name: 'Leave this page'}).click()
  }
  await page.mouse.down() // begun too early, and let go of in time
  await page.clock.runFor(100)
  await page.mouse.up()
  await page.keyboard.down('Enter')
  await page.keyboard.up('Enter')
  expect(opened).toEqual([])
  await expect(tab.waiting).toBeVisible()
  await tab.signInAgain.focus()
  const popup = page.waitForEvent('popup')
  await page.keyboard.press('Enter')
  await (await popup).close()
  await page.clock.resume()
  const {violations} = await new AxeBuilder({page}).withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']).analyze()
  expect(violations).toEqual([])
})

test('a page warns and ends as before after each return, and keeps nothing of it', async ({
  signIn,
  openTab,
  server,
  context,
}) => {
  await signIn()
  const tab = await openTab()
  const {page} = tab
  await mark(tab)
  const cdp = await context.newCDPSession(page)
  await cdp.send('Performance.enable')
  const listeners = async () => {
    await cdp.send('HeapProfiler.collectGarbage')
    const {metrics} = await cdp.send('Performance.getMetrics')
    return metrics.find(metric => metric.name === 'JSEventListeners')!.value
  }
  const natives = () =>
    page.evaluate(() => {
      const kept = ((window as any).kept ??= [Event.prototype.preventDefault, Event.prototype.stopPropagation])
      return kept[0] === Event.prototype.preventDefault && kept[1] === Event.prototype.stopPropagation
    })
  await natives()
  let before = 0
  for (let round = 0; round < 4; round++) {
    await page.mouse.move(round, 3)
    await tab.note.focus()
    await page.keyboard.press('a')
    await expect.poll(() => server.story('input')).toContainEqual(expect.stringContaining('activity'))
    await server.advance(9 * MINUTE + 30_000)
    await expect(tab.stay).toBeFocused()
    if (round === 0) {
      await page.keyboard.press('b') // while the warning shows: told at once, and withdraws it
      await expect(tab.warning).toBeHidden()
      await page.keyboard.press('c') // not told until the heartbeat: it tells nothing of the next session
      await server.advance(9 * MINUTE + 30_000)
      await expect(tab.stay).toBeFocused()
    }
    await server.advance(MINUTE)
    await tab.waits()
    expect(await events(tab)).toContain('expire')
    await page.evaluate(() => {
      ;(window as any).curfewKit.events.length = 0
      document.addEventListener('curfew:resume', event => ((window as any).csrf = (event as CustomEvent).detail.csrf), {
        once: true,
      })
    })
    await signIn()
    await isBack(tab)
    await expect(tab.note).toBeFocused() // the warning had the focus at the end
    await expect.poll(() => events(tab)).toContain('resume')
    await expect.poll(async () => (await server.api('GET', '/sessions')).items[0].tabs).toBe(1)
    const token = await page.locator('input[name=csrf]').first().inputValue()
    expect(await page.evaluate(() => (window as any).csrf)).toBe(token)
    expect(await natives()).toBe(true)
    expect(await page.locator('curfew-waiting').count()).toBe(0)
    if (round === 1) before = await listeners()
  }
  await expect.poll(listeners).toBeLessThanOrEqual(before)
  await server.api('POST', '/notices', {user: 'ada', message: 'Still here'})
  await expect(page.getByText('Still here')).toBeVisible()
})

test('a page whose session ends before its module of the warning is there waits all the same', async ({
  context,
  signIn,
  advance,
  server,
}) => {
  let release = () => {}
  const held = new Promise<void>(resolve => (release = resolve))
  await context.route(/\/warning\.js/, async route => {
    await held
    await route.continue()
  })
  await signIn('grace')
  const tab = new Tab(await context.newPage(), server)
  await tab.goto()
  await tab.connected()
  await tab.note.pressSequentially('typed')
  await expect.poll(() => server.story('input')).toContain('activity')
  await advance(11 * MINUTE)
  await tab.blank()
  release()
  await tab.waits()
  await signIn('grace')
  await expect(tab.note).toHaveValue('typed')
})
