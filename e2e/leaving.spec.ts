import {expect, goBack, MINUTE, Tab, test} from './curfew'

test('Back after the end shows nothing @engines', async ({signIn, openTab, server, page}) => {
  await signIn()
  const tab = await openTab()
  await tab.note.fill('a secret')
  await tab.goto('/?second')
  await tab.connected()
  await server.advance(10 * MINUTE)
  await tab.waits()
  await goBack(tab.page)
  await expect(tab.waiting.or(tab.page.getByLabel('Password'))).toBeVisible() // out of the cache, or loaded anew
  await expect(tab.page.getByText(/Hello/)).toBeHidden()
})

test('closing the last tab ends the session after the grace @engines', async ({signIn, openTab, server, context}) => {
  await signIn()
  const [one, two] = [await openTab(), await openTab()]
  await one.page.close()
  await expect.poll(() => server.story('input')).toContainEqual(expect.stringMatching(/tab left: /))
  await server.advance(25_000)
  await expect(two.page.getByRole('heading', {name: 'Hello'})).toBeVisible()
  await two.page.close()
  await expect.poll(() => server.story('decision')).toContain('last tab closed')
  await server.advance(20_000)
  const late = new Tab(await context.newPage(), server)
  await late.goto()
  await late.signedOut('You were signed out because the last tab was closed.')
})

test('a tab that comes back in time keeps the session', async ({signIn, openTab, server}) => {
  await signIn()
  await (await openTab()).page.close()
  await expect.poll(() => server.story('decision')).toContain('last tab closed')
  await server.advance(15_000)
  const tab = await openTab()
  await server.advance(60_000)
  await expect(tab.page.getByRole('heading', {name: 'Hello'})).toBeVisible()
})

test('a link that leads elsewhere and back begins no grace @engines', async ({signIn, openTab, server, context}) => {
  await signIn()
  const tab = await openTab()
  const before = await server.story('decision')
  await context.route('**/elsewhere', route =>
    route.fulfill({
      contentType: 'text/html',
      body: '<!doctype html><title>Elsewhere</title><a href="/">Back to work</a>',
    }),
  )
  await tab.page.evaluate(() => {
    const link = document.createElement('a')
    link.href = '/elsewhere'
    link.textContent = 'Elsewhere'
    document.body.prepend(link)
  })
  await tab.page.getByRole('link', {name: 'Elsewhere'}).click()
  await expect(tab.page).toHaveTitle('Elsewhere')
  await expect.poll(() => server.story('input')).toContain('tab left: navigate')
  await server.advance(5 * MINUTE)
  await tab.page.getByRole('link', {name: 'Back to work'}).click()
  await expect(tab.page.getByRole('heading', {name: 'Hello'})).toBeVisible()
  expect(await server.story('decision')).toEqual(before)
})

test('a cookie that the browser restores later opens nothing', async ({
  signIn,
  openTab,
  server,
  context,
  otherBrowser,
}) => {
  await signIn()
  const tab = await openTab()
  const cookies = await context.cookies()
  await tab.page.close()
  await expect.poll(() => server.story('decision')).toContain('last tab closed')
  await server.advance(20_000)
  const restored = await otherBrowser()
  await restored.addCookies(cookies)
  const late = new Tab(await restored.newPage(), server)
  await late.goto()
  await late.signedOut('You were signed out because the last tab was closed.')
})

test(
  'a frozen tab that thaws in time shows itself again, with what was typed',
  {tag: '@chromium'},
  async ({realBrowser, signIn, openTab, freeze, server}) => {
    const {context} = await realBrowser()
    await signIn('ada', context)
    const tab = await openTab('/', context)
    await tab.note.fill('half a sentence')
    const thaw = await freeze(tab.page)
    await tab.blank()
    await server.advance(5 * MINUTE)
    await thaw()
    await expect(tab.note).toHaveValue('half a sentence')
    await expect(tab.note).toBeVisible()
    await expect(tab.page).toHaveTitle('Staff directory · Curfew')
  },
)

// A browser that quits takes its own network process down: most often its sockets still say 1001,
// now and then they break. A broken connection says nothing about the person, so that session goes
// on to its idle timeout. Either way it ends.
test('a browser that is quit ends its session: after the grace where its sockets said so, else when idle', async ({
  realBrowser,
  signIn,
  server,
}) => {
  const real = await realBrowser()
  await signIn('ada', real.context)
  const tab = new Tab(real.context.pages()[0]!, server)
  await tab.goto()
  await tab.connected()
  await real.quit()
  await expect.poll(() => server.story('input')).toContainEqual(expect.stringMatching(/tab left: (closed|lost)/))
  const closed = (await server.story('input')).includes('tab left: closed')
  if (closed) await expect.poll(() => server.story('decision')).toContain('last tab closed')
  await server.advance(20_000)
  expect((await server.story('decision')).includes('end browser-closed')).toBe(closed)
  await server.advance(10 * MINUTE)
  expect(await server.story('decision')).toContain(closed ? 'end browser-closed' : 'end idle')
})
