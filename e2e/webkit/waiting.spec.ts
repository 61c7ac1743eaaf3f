import {MINUTE, Server} from '../curfew'
import {expect, Tab, test} from './webkit'

// Sign-in, warning, end, waiting and coming back in WebKit.

const WARNING = 'Your session is about to end'
const NOTE = 'For this session only'

test('over plain http the sign-in page says that WebKit drops the cookie', async ({webkit}) => {
  const server = await Server.start()
  try {
    const tab = new Tab(await webkit.open(), server)
    await tab.window.goto(server.url)
    await tab.signIn('ada')
    await tab.says('Safari and other WebKit browsers drop it on plain http: open this site over https')
  } finally {
    await server.stop()
  }
})

test('over TLS a person signs in, is warned, and stays', async ({server, openTab}) => {
  const tab = await openTab('/?a=1')
  await tab.signIn('grace')
  await tab.shows('heading', 'Hello, Grace Hopper')
  expect(await tab.window.url()).toBe(server.url + '/?a=1')
  const kept = {secure: true, sameSite: 'Lax', path: '/'}
  const cookies = await tab.window.cookies()
  expect(cookies).toContainEqual(expect.objectContaining({...kept, name: '__Host-curfew', httpOnly: true}))
  const seen = cookies.find(({name}) => name === '__Host-curfew-seen')!
  expect(seen).toMatchObject({...kept, httpOnly: false})
  expect(await tab.window.evaluate(() => document.cookie)).toBe(`${seen.name}=${seen.value}`)

  await tab.isGuarded()
  await server.advance(9.5 * MINUTE)
  await tab.shows('alertdialog', WARNING)
  await tab.focuses('button', 'Stay signed in')
  await tab.shows('button', 'Sign out now')
  await tab.click('button', 'Stay signed in')
  await tab.hides('alertdialog', WARNING)
  expect(await server.story('decision')).toContain('withdraw warning')
  await server.advance(9 * MINUTE)
  await tab.shows('alertdialog', WARNING)
})

test('a followed link and a closed tab are told apart', async ({server, openTab}) => {
  const tab = await openTab()
  await tab.signIn('ada')
  await tab.shows('heading', 'Hello, Ada Lovelace')
  expect(await tab.window.evaluate(() => 'navigation' in window)).toBe(false) // so that links are listened to
  await expect.poll(() => server.story('input')).toContain('tab opened')
  await tab.click('link', 'Your sessions')
  await expect.poll(() => server.story('input')).toContain('tab left: navigate')
  await tab.shows('heading', 'Your sessions')
  await expect.poll(() => server.story('input')).toEqual(expect.arrayContaining(['tab opened', 'tab left: navigate']))
  const other = await openTab()
  await other.shows('heading', 'Hello, Ada Lovelace')
  await other.window.close()
  await expect.poll(() => server.story('input')).toContain('tab left: closed')
})

test('all tabs come back by one sign-in, as they were', async ({server, openTab}) => {
  const tab = await openTab()
  await tab.signIn('grace')
  await tab.shows('heading', 'Hello, Grace Hopper')
  const other = await openTab()
  await tab.type(NOTE, 'typed')
  for (const one of [tab, other]) await one.isGuarded()
  for (const {window} of [tab, other]) await window.evaluate(note)
  await tab.window.evaluate(() => {
    document.body.style.minHeight = '200vh'
    scrollTo(0, 15)
  })
  expect(await tab.window.evaluate(() => scrollY)).toBe(15)
  await expect.poll(() => server.story('input')).toContain('activity')

  await server.advance(11 * MINUTE)
  for (const one of [tab, other]) await one.waits()
  const window = await tab.signInWindow()
  await window.signIn('grace')
  await window.closes()
  for (const one of [tab, other]) await one.shows('heading', 'Hello, Grace Hopper')
  for (const {window} of [tab, other]) expect(await window.evaluate(late)).toBeLessThan(1_000)
  await tab.has(NOTE, 'typed')
  await tab.focuses('textbox', NOTE)
  expect(await tab.window.evaluate(() => scrollY)).toBe(15)

  await tab.click('button', 'Sign out') // by the token of the new session
  for (const one of [tab, other]) await one.says('You have signed out.')
})

test('a tab that nobody sees has come back before it is shown', async ({server, openTab}) => {
  const tab = await openTab()
  await tab.signIn('grace')
  await tab.shows('heading', 'Hello, Grace Hopper')
  const hidden = await openTab('/', 'tab')
  await hidden.type(NOTE, 'typed')
  for (const one of [tab, hidden]) await one.isGuarded()
  await server.advance(11 * MINUTE)
  for (const one of [tab, hidden]) await one.waits()
  await hidden.window.evaluate(note)
  const window = await tab.signInWindow()
  await window.signIn('grace')
  await window.closes()
  await tab.shows('heading', 'Hello, Grace Hopper')
  expect(await hidden.window.evaluate(() => document.hidden)).toBe(true)
  await expect.poll(() => hidden.window.evaluate(late)).toBeLessThan(1_000)
  await tab.window.close() // so that the other one is shown
  await expect.poll(() => hidden.window.evaluate(() => document.hidden)).toBe(false)
  await hidden.has(NOTE, 'typed')
})

test('what was typed up to the end is back after signing in anew', async ({server, openTab}) => {
  const tab = await openTab()
  await tab.signIn('grace')
  await tab.isGuarded()
  await tab.type(NOTE, 'typed to the end')
  await server.forceLogout({user: 'grace'})
  await tab.says(/administrator/)
  await tab.signIn('grace')
  await tab.has(NOTE, 'typed to the end')
})

/** Notes when somebody has signed in, and when the page goes on. */
function note() {
  const noted: Record<string, number> = {}
  ;(window as any).noted = noted
  new BroadcastChannel('curfew.session').onmessage = () => (noted.signedIn ??= Date.now())
  document.addEventListener('curfew:resume', () => (noted.resumed = Date.now()))
}

/** How long after a sign-in the page went on, in ms. */
function late(): number {
  const {signedIn, resumed} = (window as any).noted
  return resumed ? resumed - signedIn! : Infinity
}
