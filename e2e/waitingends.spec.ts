import type {BrowserContext} from '@playwright/test'
import {expect, MINUTE, type Server, Tab, test} from './curfew'
import {addSession, events, heading, isBack, isGone, isMarked, mark} from './waits'

// What becomes of a page that waits: by whom somebody signs in, for how long, and what else befalls
// the session that it had.

const HOUR = 60 * MINUTE

/** A tab whose clock can be moved: the script takes the clock that there is when it begins. */
async function tabWithClock(server: Server, context: BrowserContext, path = '/') {
  const tab = new Tab(await context.newPage(), server)
  await tab.page.clock.install()
  await tab.goto(path)
  await tab.connected()
  return tab
}

/** Whether the dialog has ever been there: noted from now on. */
const noteDialogs = (tab: Tab) =>
  tab.page.evaluate(() => {
    ;(window as any).dialogs = 0
    new MutationObserver(changes => {
      for (const {addedNodes} of changes)
        for (const node of addedNodes) if (node.nodeName === 'CURFEW-WAITING') (window as any).dialogs++
    }).observe(document, {subtree: true, childList: true})
  })
const dialogs = (tab: Tab) => tab.page.evaluate(() => (window as any).dialogs as number)

test('cookies that come another way bring a page back within 3 s, and other rights load it anew', async ({
  signIn,
  server,
  context,
}) => {
  await signIn()
  const tab = await tabWithClock(server, context, '/?view=team')
  await mark(tab)
  await server.advance(11 * MINUTE)
  await tab.waits()
  await addSession(server, context, 'ada', ['staff', 'admins'])
  await isBack(tab, 3_000)
  await server.advance(11 * MINUTE)
  await tab.waits()
  await tab.page.clock.fastForward(HOUR) // and nobody has touched it
  await addSession(server, context, 'ada', ['staff', 'admins'], 'cookie')
  await isBack(tab, 3_000)
  await server.advance(11 * MINUTE)
  await tab.waits()
  await addSession(server, context, 'ada', ['staff'])
  await isGone(tab, server.url + '/?view=team')
  await expect(heading(tab)).toBeVisible()
})

test("a page is gone by 'Leave this page' and by another user's sign-in", async ({
  signIn,
  openTab,
  server,
  context,
}) => {
  await signIn()
  const [left, other] = [await openTab(), await openTab()]
  for (const tab of [left, other]) {
    await mark(tab)
    await tab.page.evaluate(() => addEventListener('message', () => ((window as any).heard = true)))
  }
  await server.advance(11 * MINUTE)
  for (const tab of [left, other]) await tab.waits()
  await expect(async () => {
    const leave = left.waiting.getByRole('button', {name: 'Leave this page'})
    if (await leave.isVisible()) await leave.click({timeout: 1_000}) // the first one may come too soon
    await expect(left.page).toHaveURL(/\/login\?next=/, {timeout: 500})
  }).toPass()
  await isGone(left)
  await expect(left.page.getByText(/no activity/)).toBeVisible()
  await other.waits() // for itself
  await signIn('grace')
  for (const tab of [left, other]) {
    await expect(tab.page.getByText('Hello, Grace Hopper')).toBeVisible()
    expect(await isMarked(tab)).toBe(false)
    await tab.page.evaluate(() => postMessage('anybody?'))
    expect(await tab.page.evaluate(() => (window as any).heard)).toBeUndefined()
  }
  await other.page.goBack()
  await expect(other.page.getByText('Hello, Ada')).toBeHidden()
})

test('another user who is signed out again has taken a page away, and a cookie that a script writes has not', async ({
  signIn,
  openTab,
  server,
  context,
}) => {
  await signIn()
  const tab = await openTab()
  await mark(tab)
  await server.advance(11 * MINUTE)
  await tab.waits()
  const answered = () => tab.page.waitForResponse(/session\/status\?&?$/)
  const asked = answered()
  await tab.page.evaluate(() => (document.cookie = '__Host-curfew-seen=somebody.1; Path=/; Secure'))
  await asked
  const again = answered()
  await tab.page.evaluate(() => (document.cookie = '__Host-curfew-seen=somebody.2; Path=/; Secure'))
  await again
  await tab.waits()
  expect(await isMarked(tab)).toBe(true)

  await tab.page.route('**/session/status*', route => route.abort()) // it does not learn of it while it lasts
  await signIn('grace')
  const other = await openTab()
  await other.page.getByRole('button', {name: 'Sign out'}).click()
  await expect(other.page.getByText('You have signed out.')).toBeVisible()
  await tab.waits()
  await tab.page.unrouteAll()
  await isGone(tab)
})

test('a page that has waited for keep_ms is gone', async ({signIn, openTab, server}) => {
  await signIn()
  const tab = await openTab()
  await mark(tab)
  await server.advance(11 * MINUTE)
  await tab.waits()
  await server.advance(3 * HOUR)
  await expect(tab.waiting).toBeVisible()
  await server.advance(HOUR)
  await isGone(tab)
})

test('a forced logout takes a page away that waits, and a later sign-in does not bring it back', async ({
  signIn,
  server,
  context,
}) => {
  await signIn()
  const tab = await tabWithClock(server, context)
  await mark(tab)
  await server.advance(11 * MINUTE)
  await tab.waits()
  await tab.page.clock.fastForward(3 * HOUR) // nobody has touched it for long
  await expect(tab.waiting).toBeVisible()
  await server.forceLogout({user: 'ada', grace_ms: 20_000})
  await tab.page.clock.fastForward(26_000)
  await expect(tab.waiting).toBeVisible() // not before the grace is over
  await server.advance(20_000)
  await tab.page.clock.fastForward(26_000)
  await isGone(tab)
})

test('a 401 without a reason, errors and a server that restarts change nothing for a page that waits', async ({
  signIn,
  openTab,
  server,
}) => {
  await signIn()
  const tab = await openTab()
  await tab.note.fill('typed')
  await mark(tab)
  await server.advance(11 * MINUTE)
  await tab.waits()
  const answers = [
    {status: 401, json: {error: 'no-session'}},
    {status: 503, json: {error: 'store'}},
    {status: 200, body: '<html>A captive portal</html>', contentType: 'text/html'},
    {status: 401, body: 'none of ours', contentType: 'text/plain'},
  ]
  let asked = 0
  await tab.page.route('**/session/status*', route => route.fulfill(answers[asked++ % answers.length]))
  await expect.poll(() => asked, {timeout: 15_000}).toBeGreaterThanOrEqual(answers.length)
  await tab.page.unrouteAll()
  await tab.waits()
  await server.kill()
  const failed = tab.page.waitForEvent('requestfailed')
  await failed
  await tab.waits()
  await server.run()
  await signIn()
  await isBack(tab)
  await expect(tab.note).toHaveValue('typed')
})

test('a new sign-in of the same user in this browser takes no page away, and shows no dialog @engines', async ({
  signIn,
  openTab,
}) => {
  await signIn()
  const tabs = [await openTab(), await openTab()]
  for (const tab of tabs) {
    await tab.note.fill('typed')
    await mark(tab)
    await noteDialogs(tab)
  }
  await signIn()
  for (const tab of tabs) {
    await expect.poll(() => events(tab)).toContain('resume')
    await isBack(tab)
    expect(await dialogs(tab)).toBe(0)
    expect((await events(tab)).filter(name => ['expire', 'resume'].includes(name))).toEqual(['expire', 'resume'])
  }
})

test('a page that was replaced waits 5 s for the new cookie before it shows the dialog', async ({
  signIn,
  server,
  context,
}) => {
  await signIn()
  const tab = await tabWithClock(server, context)
  await mark(tab)
  await noteDialogs(tab)
  const cookies = (await context.cookies()).map(({name, value}) => `${name}=${value}`).join('; ')
  const answer = await fetch(server.url + '/login', {
    method: 'POST',
    redirect: 'manual',
    headers: {cookie: cookies},
    body: new URLSearchParams({username: 'ada', password: 'ada-demo'}),
  })
  expect(answer.status).toBe(303)
  await expect.poll(() => events(tab)).toContain('expire')
  await tab.blank()
  expect(await dialogs(tab)).toBe(0)
  await tab.page.clock.fastForward(5_000)
  await tab.waits(/newer sign-in/)
  await signIn()
  await isBack(tab)
})

test('without a socket a page ends, waits, comes back and ends again', async ({signIn, page, server, context}) => {
  await context.routeWebSocket(/session\/ws/, socket => void socket.close({code: 1011}))
  await signIn()
  await page.goto(server.url)
  const tab = new Tab(page, server)
  await expect(page.locator('curfew-warning')).toBeAttached()
  await mark(tab)
  for (let round = 0; round < 2; round++) {
    await tab.note.fill('typed ' + round)
    await server.advance(11 * MINUTE)
    await tab.waits()
    await signIn()
    await isBack(tab)
    await expect(tab.note).toHaveValue('typed ' + round)
  }
})

test('a page that is told by the close code alone is blank, and asks', async ({signIn, server, page}) => {
  await page.routeWebSocket(/session\/ws/, socket => {
    const upstream = socket.connectToServer()
    upstream.onMessage(message => {
      if (!String(message).includes('"expire"')) return socket.send(message)
      void socket.close({code: 4001, reason: 'idle'})
    })
  })
  let answer = () => {}
  const asked = new Promise<void>(resolve => (answer = resolve))
  await page.route('**/session/status*', async route => {
    await asked
    await route.continue()
  })
  await signIn()
  const tab = new Tab(page, server)
  await tab.goto()
  await tab.connected()
  await tab.note.fill('typed')
  await server.advance(11 * MINUTE)
  await tab.blank()
  await expect(tab.waiting).toBeHidden()
  answer()
  await tab.waits()
  await signIn()
  await expect(tab.note).toHaveValue('typed')
})

test.describe('where pages are not kept', () => {
  test.use({flags: ['--keep-page', '0']})
  test('the end leads to the sign-in page, and no sign-in brings a page back', async ({signIn, openTab, server}) => {
    await signIn()
    const [tab, other] = [await openTab(), await openTab()]
    for (const one of [tab, other]) {
      await mark(one)
      await noteDialogs(one)
    }
    await server.advance(11 * MINUTE)
    for (const one of [tab, other]) await isGone(one)
    await signIn()
    await expect(tab.page.getByRole('heading', {name: 'Hello'})).toBeVisible() // not that of the sign-in page
    await mark(tab)
    await signIn() // replaced, by the same user
    await isGone(tab, server.url + '/')
  })
})
