import {html, script, testWith} from './application'
import {expect, MINUTE, type RealBrowser, Tab} from './curfew'
import {keeps, stored, stores, types} from './stored'

// Whose a draft is, which tab's, and what becomes of it where the page or the browser is an odd one.

const isBack = 'What you typed is back.'
const cannot = 'What you type here cannot be kept in this browser.'

const form = '<form data-curfew-keep><textarea name="text" aria-label="Text"></textarea></form>'

const test = testWith({
  '/one': html('One field', '', form + '<p>Whose?</p>'),
  '/frame': html('Around', '', '<iframe src="/one" title="Inner"></iframe>'),
  '/late': html('Late', '<script src="/late.js" defer></script>', '<button>Open</button><main></main>'),
  '/late.js': script(`document.querySelector('button').onclick = () => {
    document.querySelector('main').innerHTML = ${JSON.stringify(form)}
  }`) as any,
  '/frameworks': html('Frameworks', '<script src="/frameworks.js" defer></script>', '<main></main>'),
  // How React and Vue know what is in their inputs.
  '/frameworks.js': script(`
    const state = (window.state = {react: '', tick: false, vue: '', lazy: ''})
    document.querySelector('main').innerHTML =
      '<form data-curfew-keep><input name="react" aria-label="React"><input type="checkbox" name="tick" aria-label="Tick">' +
      '<input name="vue" aria-label="Vue"><select name="lazy" aria-label="Lazy"><option value=""><option>b</select></form>'
    const [react, tick, vue, lazy] = document.querySelectorAll('input, select')
    function track(node, name) {
      const own = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(node), name)
      let last = node[name]
      Object.defineProperty(node, name, {
        configurable: true,
        get: () => own.get.call(node),
        set: value => { last = value; own.set.call(node, value) },
      })
      return () => { // whether it has changed
        const now = own.get.call(node)
        const changed = now !== last
        last = now
        return changed
      }
    }
    const changed = track(react, 'value'), ticked = track(tick, 'checked')
    document.addEventListener('input', ({target}) => {
      if (target === react && changed()) state.react = react.value
      if (target === react) react.value = state.react // what is not in its state does not stay
    })
    document.addEventListener('click', ({target}) => { if (target === tick && ticked()) state.tick = tick.checked })
    vue.addEventListener('input', event => { if (!event.target.composing) state.vue = vue.value })
    lazy.addEventListener('change', () => { state.lazy = lazy.value })
    setTimeout(() => { vue.value = 'from the server'; state.vue = vue.value }, 400)
  `) as any,
})

test('each tab has its own draft, and a new one takes the newest that no open tab holds @engines', async ({
  signIn,
  openTab,
  context,
}) => {
  await signIn()
  const text = (tab: Tab) => tab.page.getByLabel('Text', {exact: true})
  const first = await openTab('/one')
  await types(text(first), 'first')
  const second = await openTab('/one')
  await expect(second.page.getByText(isBack)).toBeHidden()
  await types(text(second), 'second')
  for (const tab of [first, second]) await tab.page.reload()
  await expect(text(first)).toHaveValue('first')
  await expect(text(second)).toHaveValue('second')

  // A window that a page opens has its storage, as a duplicated tab has.
  const opened = context.waitForEvent('page')
  await first.page.evaluate(() => void window.open('/one'))
  const duplicate = new Tab(await opened, first.server)
  await expect(duplicate.page).toHaveTitle('One field')
  await types(text(duplicate), 'duplicate')
  // By then it has asked the first which tab that is: a first that is loaded anew just then answers nobody.
  await expect.poll(async () => (await stored(first.page)).drafts).toBe(3)
  for (const tab of [first, duplicate]) await tab.page.reload()
  await expect(text(first)).toHaveValue('first')
  await expect(text(duplicate)).toHaveValue('duplicate')

  await duplicate.page.close()
  await second.page.close()
  const next = await openTab('/one')
  await expect(text(next)).toHaveValue('duplicate')
  await expect(text(await openTab('/one'))).toHaveValue('second')
  await expect(text(first)).toHaveValue('first')
})

test('another user sees no trace, and the same one finds it after them', async ({server, signIn, openTab}) => {
  await signIn('grace')
  const tab = await openTab('/one')
  const text = tab.page.getByLabel('Text', {exact: true})
  await keeps(tab.page)
  await text.pressSequentially('of grace')
  await server.forceLogout({user: 'grace'})
  await tab.signedOut(/administrator/)
  await signIn('ada')
  await expect(tab.page).toHaveTitle('One field')
  await tab.connected()
  await types(text, 'of ada')
  await tab.page.reload()
  await expect(text).toHaveValue('of ada') // where grace's was to be found it would be by now
  await expect(tab.page.getByRole('group')).toHaveCount(1)
  await signIn('grace')
  await expect(text).toHaveValue('of grace') // by way of the sign-in page
})

test('a page that waited has its text once', async ({server, signIn, openTab}) => {
  await signIn('grace')
  const tab = await openTab('/one')
  const text = tab.page.getByLabel('Text', {exact: true})
  await keeps(tab.page)
  await text.pressSequentially('typed')
  await expect.poll(() => server.story('input')).toContain('activity')
  await server.advance(11 * MINUTE)
  await tab.waits()
  await signIn('grace')
  await expect(text).toHaveValue('typed')
  await text.press('End')
  await types(text, ' on')
  await tab.page.reload()
  await expect(text).toHaveValue('typed on')
  await server.advance(11 * MINUTE)
  await tab.waits()
  await tab.page.reload() // a discarded tab
  await signIn('grace')
  await expect(text).toHaveValue('typed on')
})

test('a form in a frame, one that appears later, and those of frameworks', async ({signIn, openTab}) => {
  await signIn()
  const tab = await openTab('/frame')
  const {page} = tab
  const inner = page.frameLocator('iframe').getByLabel('Text', {exact: true})
  await types(inner, 'in a frame')
  await page.reload()
  await expect(inner).toHaveValue('in a frame')

  await tab.goto('/late')
  const late = page.getByLabel('Text', {exact: true})
  const open = page.getByRole('button', {name: 'Open'})
  await open.click()
  await types(late, 'late')
  await open.click() // the form is built anew
  await expect(late).toHaveValue('late')
  await page.reload()
  await open.click()
  await expect(late).toHaveValue('late', {timeout: 1_000 + 1_000}) // the page may have loaded just now

  await tab.goto('/frameworks')
  await expect(page.getByLabel('Vue')).toHaveValue('from the server')
  await page.getByLabel('React').pressSequentially('r')
  await page.getByLabel('Tick').check()
  await page.getByLabel('Vue').press('End')
  await page.getByLabel('Vue').pressSequentially('!')
  await stores(page, () => page.getByLabel('Lazy').selectOption('b'))
  await page.reload()
  await expect
    .poll(() => page.evaluate(() => (window as any).state))
    .toEqual({react: 'r', tick: true, vue: 'from the server!', lazy: 'b'})
  await expect(page.getByText(/something else/)).toHaveCount(0) // the page's text came late
})

test('a browser that was killed has kept it', async ({server, realBrowser}) => {
  const real = await realBrowser()
  const open = async ({context}: RealBrowser) => {
    const page = await context.newPage()
    await page.goto(server.url + '/.curfew/login?next=/one')
    await page.getByLabel('User name').fill('ada')
    await page.getByLabel('Password').fill('ada-demo')
    await page.getByRole('button', {name: 'Sign in'}).click()
    return page.getByLabel('Text', {exact: true})
  }
  const text = await open(real)
  await types(text, 'before the crash')
  await real.restart()
  await expect(await open(real)).toHaveValue('before the crash')
})

for (const [what, breaks] of Object.entries({
  'no IndexedDB': () => Object.defineProperty(window, 'indexedDB', {value: undefined}),
  'storage that is turned off': () => {
    for (const name of ['indexedDB', 'localStorage', 'sessionStorage'])
      Object.defineProperty(window, name, {
        get() {
          throw new DOMException('turned off', 'SecurityError')
        },
      })
  },
  'no cryptography': () => Object.defineProperty(Crypto.prototype, 'subtle', {value: undefined}),
})) {
  test(`with ${what} a line says so`, async ({signIn, openTab, context}) => {
    await context.addInitScript(breaks)
    await signIn()
    const {page} = await openTab('/one')
    await page.getByLabel('Text', {exact: true}).pressSequentially('typed')
    await expect(page.getByText(cannot)).toBeVisible()
    await page.getByRole('button', {name: 'Dismiss'}).click()
    await page.getByLabel('Text', {exact: true}).pressSequentially('typed')
    await expect(page.getByText(cannot)).toHaveCount(0)
  })
}

test('a full disk and a key that is not there are told of for as long as that lasts', async ({
  signIn,
  openTab,
  server,
  context,
  page: other,
}) => {
  await signIn()
  await context.route('**/session/draft-key*', route => route.fulfill({status: 503, body: '{}'}))
  const devtools = await context.newCDPSession(other)
  await devtools.send('Storage.overrideQuotaForOrigin', {origin: server.url, quotaSize: 1})
  const {page} = await openTab('/one')
  const text = page.getByLabel('Text', {exact: true})
  await text.pressSequentially('typed')
  const line = page.getByText(cannot)
  await expect(line).toBeVisible()
  const asked = page.waitForResponse(/draft-key/)
  await context.unroute('**/session/draft-key*')
  expect((await asked).ok()).toBe(true)
  await text.pressSequentially('!')
  await expect(line).toBeVisible() // there is no room
  await devtools.send('Storage.overrideQuotaForOrigin', {origin: server.url})
  await expect(async () => {
    await text.pressSequentially('!')
    await expect(line).toHaveCount(0, {timeout: 500})
  }).toPass({timeout: 10_000})
})
