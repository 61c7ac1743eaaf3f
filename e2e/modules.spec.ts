import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import type {BrowserContext, Page, Route} from '@playwright/test'
import {expect, MINUTE, Tab, test as base} from './curfew'
import {Site} from './site'

// The script's modules: warning.js and what else is imported once a page is connected. They may
// come late or not at all.

const tag = '<script type="module" src="/static/curfew.js" data-socket="/session/ws"></script>'
const desk = `<!doctype html><html lang="en"><head><title>Desk</title><script src="/desk.js"></script>${tag}</head><body>
<h1>Desk</h1><form><label>Text <input id="text"></label></form></body></html>`
/** Scripts by nonce only, and nothing from here but requests. */
const nonce = `<!doctype html><html lang="en"><head><title>Nonce</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'nonce-abc'; connect-src 'self'; img-src 'self'">
${tag.replace('<script', '<script nonce="abc"')}</head><body><h1>Nonce</h1><p data-curfew-presence="ada"></p></body></html>`
/** Its script adds listeners of its own once the page is read, which is before warning.js is there. */
const late = `<!doctype html><html lang="en"><head><title>Late</title><script src="/late.js"></script>${tag}</head><body><h1>Late</h1></body></html>`
const lateScript = `
  window.heard = []
  addEventListener('DOMContentLoaded', () => {
    for (const type of ['keydown', 'keyup', 'click']) addEventListener(type, event => heard.push(type + (event.key ?? '')), {capture: true})
  })`
/** Its tag names the socket in full. */
const absolute = `<!doctype html><html lang="en"><head><title>Absolute</title><script src="/absolute.js"></script></head><body><h1>Absolute</h1></body></html>`
const absoluteScript = `
  const script = document.createElement('script')
  script.type = 'module'
  script.src = '/static/curfew.js'
  script.dataset.socket = location.origin.replace('http', window.scheme) + '/session/ws'
  document.head.append(script)`
const deskScript = "window.submits = 0; addEventListener('submit', event => { event.preventDefault(); submits++ })"

const test = base.extend<object, {site: Site}>({
  site: [
    async ({}, use) => {
      const site = await Site.start({
        '/desk': ['text/html', desk],
        '/desk.js': ['text/javascript', deskScript],
        '/nonce': ['text/html', nonce],
        '/late': ['text/html', late],
        '/late.js': ['text/javascript', lateScript],
        '/absolute': ['text/html', absolute],
        '/absolute.js': ['text/javascript', absoluteScript],
      })
      await use(site)
      await site.stop()
    },
    {scope: 'worker'},
  ],
  server: async ({site}, use) => {
    await site.server.reset()
    await use(site.server)
  },
})

const warningModule = /\/static\/[0-9a-f]{12}\/warning\.js/

/** Answers every request for warning.js so, in any page that opens. */
async function withoutModule(context: BrowserContext, answer: (route: Route) => unknown) {
  await context.route(warningModule, route => void answer(route))
}

const notFound = (route: Route) => route.fulfill({status: 404, contentType: 'text/javascript', body: ''})

/** What is there only without the module. */
const plain = (page: Page) => page.locator('curfew-plain').getByRole('alertdialog')
const full = (page: Page) => page.locator('curfew-warning').getByRole('alertdialog')

const carryOn = (page: Page) => plain(page).getByRole('button', {name: 'Continue working'})

/** The name of the element that has the focus, in shadow trees too. */
const focus = (page: Page) =>
  page.evaluate(() => {
    let element = document.activeElement
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement
    return element?.id || element?.textContent
  })

const submits = (page: Page) => page.evaluate(() => (window as any).submits as number)

for (const [how, answer] of Object.entries({
  'is of another version': notFound,
  'is kept back by the network': (route: Route) => route.abort(),
  'is broken': (route: Route) => route.fulfill({contentType: 'text/javascript', body: 'export {'}),
})) {
  test(`a page whose module ${how} warns in a plain dialog, which stays signed in @engines`, async ({
    context,
    signIn,
    openTab,
    advance,
    server,
  }) => {
    await withoutModule(context, answer)
    await signIn()
    const tab = await openTab('/desk')
    await tab.page.locator('#text').pressSequentially('half a sentence')
    await expect.poll(() => server.story('input')).toContain('activity') // it counts before the clock moves
    await advance(9 * MINUTE)
    await expect(plain(tab.page)).toBeVisible()
    await expect(tab.warning).toContainText(/You will be signed out in \d+ seconds/)
    await expect(tab.stay).toBeFocused()
    await expect(tab.signOut).toBeVisible()
    await tab.page.mouse.move(3, 3)
    await tab.page.mouse.move(5, 5)
    await expect(tab.warning).toBeVisible()
    await tab.stay.click()
    await expect(tab.warning).toBeHidden()
    await expect(tab.page.locator('#text')).toBeFocused()
    await expect(tab.page.locator('#text')).toHaveValue('half a sentence')
  })
}

test('the plain dialog is worked by keys alone: held ones press nothing, and none gets to the page @engines', async ({
  context,
  signIn,
  openTab,
  advance,
  server,
}) => {
  await withoutModule(context, notFound)
  await signIn()
  const tab = await openTab('/desk')
  const {keyboard} = tab.page
  await tab.page.locator('#text').pressSequentially('half a sentence')
  await expect.poll(() => server.story('input')).toContain('activity') // before the clock moves
  await keyboard.down('Enter')
  await advance(9 * MINUTE)
  await expect(tab.stay).toBeFocused()
  const before = await submits(tab.page)
  for (let i = 0; i < 3; i++) await keyboard.down('Enter') // still held from the page
  await keyboard.up('Enter')
  await expect(tab.warning).toBeVisible()

  await test.step('Escape stays', async () => {
    await keyboard.press('Escape')
    await expect(tab.warning).toBeHidden()
    await expect(tab.page.locator('#text')).toBeFocused()
  })
  await test.step('Tab moves between the buttons, Enter presses once it is let go', async () => {
    await advance(9 * MINUTE)
    await expect(tab.stay).toBeFocused()
    await keyboard.press('Tab')
    await expect(tab.signOut).toBeFocused()
    await keyboard.press('Shift+Tab')
    await expect(tab.stay).toBeFocused()
    for (let i = 0; i < 3; i++) await keyboard.down('Enter')
    await expect(tab.warning).toBeVisible()
    await keyboard.up('Enter')
    await expect(tab.warning).toBeHidden()
  })
  await expect(tab.page.locator('#text')).toHaveValue('half a sentence')
  expect(await submits(tab.page)).toBe(before)
})

test('the plain dialog shows what an administrator says, as text, and can be put away until the end', async ({
  context,
  signIn,
  openTab,
  server,
}) => {
  await withoutModule(context, notFound)
  await signIn()
  const tab = await openTab('/desk')
  await tab.page.locator('#text').fill('half a sentence')
  await server.forceLogout({user: 'ada', grace_ms: 120_000, message: 'Maintenance <b>begins</b>.'})
  await expect(tab.warning).toContainText('Maintenance <b>begins</b>. You will be signed out in')
  await expect(tab.stay).toBeHidden()
  await tab.page.keyboard.press('Escape')
  await tab.page.keyboard.press('Enter') // no button has the focus
  await expect(tab.warning).toBeVisible()
  await carryOn(tab.page).click()
  await expect(tab.warning).toBeHidden()
  await tab.page.locator('#text').fill('a whole sentence')
  await server.advance(2 * MINUTE)
  await tab.signedOut('Maintenance <b>begins</b>.')
})

test('a reader is told the time that is left once, not each second, in letters of the size that a person wants', async ({
  context,
  signIn,
  openTab,
  server,
}) => {
  await withoutModule(context, notFound)
  await signIn()
  const tab = await openTab('/desk')
  await tab.page.evaluate(() => {
    document.documentElement.style.fontSize = '5px'
  })
  await server.forceLogout({user: 'ada', grace_ms: 120_000, message: 'Maintenance.'})
  const count = plain(tab.page).getByText(/^\d+$/)
  const described = plain(tab.page).locator('#curfew-text')
  await expect(plain(tab.page)).toHaveAttribute('aria-describedby', 'curfew-text')
  await expect(count).toHaveAttribute('aria-hidden', 'true')
  const [before, text] = [Number(await count.textContent()), (await described.textContent())!]
  expect(text).toMatch(/^Maintenance. You will be signed out in 1[12]\d seconds.$/)
  await expect.poll(async () => Number(await count.textContent())).toBeLessThan(before - 1)
  await expect(described).toHaveText(text)
  for (const button of [carryOn(tab.page), tab.signOut]) {
    expect((await button.boundingBox())!.height).toBeGreaterThanOrEqual(24)
  }
})

test(
  'a page hears no key and no click of the warning, though its listeners were there before the module',
  {tag: '@engines'},
  async ({signIn, openTab, advance}) => {
    await signIn()
    const tab = await openTab('/late')
    const {keyboard} = tab.page
    await expect(tab.page.locator('curfew-warning')).toBeAttached()
    await advance(9 * MINUTE)
    await expect(tab.stay).toBeFocused()
    await keyboard.press('Tab')
    await keyboard.down('Escape')
    await expect(tab.warning).toBeHidden()
    await keyboard.up('Escape') // no act either: the server would hear it with its clock moved, and call the warning off
    await advance(9 * MINUTE)
    await tab.stay.click()
    await expect(tab.warning).toBeHidden()
    expect(await tab.page.evaluate(() => (window as any).heard)).toEqual([])
    await keyboard.press('a') // the page has its own keys as before
    expect(await tab.page.evaluate(() => (window as any).heard)).toEqual(['keydowna', 'keyupa'])
  },
)

for (const scheme of ['ws', 'http']) {
  test(`a tag may name the socket in full, by ${scheme}`, async ({context, signIn, openTab, advance}) => {
    await context.addInitScript(name => {
      const {WebSocket: Original} = window
      // As browsers were before they took http for ws (WebSockets, 2023).
      window.WebSocket = class extends Original {
        constructor(url: string | URL, protocols?: string | string[]) {
          if (!/^ws/.test(String(url))) throw new SyntaxError(String(url))
          super(url, protocols)
        }
      }
      ;(window as any).scheme = name
    }, scheme)
    await signIn()
    const tab = await openTab('/absolute')
    await advance(9 * MINUTE)
    await tab.signOut.click()
    await tab.signedOut('You have signed out.')
  })
}

test('a frame in a page of another origin waits for no module before it guards itself', async ({page, server}) => {
  const outside = createServer((_, answer) => {
    answer.setHeader('content-type', 'text/html').end(`<iframe src="${server.url}/desk"></iframe>`)
  })
  await new Promise<void>(resolve => outside.listen(0, '127.0.0.1', resolve))
  const asked: string[] = []
  await page.route(/\/frames\.js/, route => void asked.push(route.request().url())) // and never comes
  const status = page.waitForRequest(/\/session\/status/) // after the socket was refused
  await page.goto(`http://127.0.0.1:${(outside.address() as AddressInfo).port}`)
  await status
  expect(asked).toEqual([])
  outside.closeAllConnections()
  outside.close()
})

test('forms have the token of the session that there is now, though the module came while there was no connection', async ({
  context,
  signIn,
  server,
}) => {
  let deliver = () => {}
  const late = new Promise<void>(resolve => (deliver = resolve))
  await withoutModule(context, route => late.then(() => route.continue()))
  await signIn()
  const tab = new Tab(await context.newPage(), server)
  await tab.goto('/')
  await tab.connected()
  const token = tab.page.locator('form[action="/logout"] input[name="csrf"]').first()
  const before = await token.inputValue()
  let isBlocked = true
  await tab.page.route('**/session/status*', route => (isBlocked ? route.abort() : route.continue()))
  await server.call('fault', {kind: 'drop'})
  await expect.poll(() => tab.page.evaluate(() => (window as any).curfewKit.events.at(-1))).toBe('connection')
  deliver()
  await expect(tab.page.locator('curfew-warning')).toBeAttached()
  await signIn()
  isBlocked = false
  await server.call('fault', {kind: 'none'})
  await expect(token).not.toHaveValue(before)
})

test('a sign-out that does not reach the server says so in the plain dialog', async ({
  context,
  signIn,
  openTab,
  advance,
}) => {
  await withoutModule(context, notFound)
  await signIn()
  const tab = await openTab('/desk')
  await context.route('**/logout', route => route.abort())
  await advance(9 * MINUTE)
  await tab.signOut.click()
  await expect(plain(tab.page).getByRole('status')).toHaveText('The server cannot be reached.')
  await context.unroute('**/logout')
  await tab.signOut.click()
  await tab.signedOut('You have signed out.')
})

test('a module that comes late takes over with the next warning, and the notice that waited shows @engines', async ({
  context,
  signIn,
  openTab,
  advance,
  server,
}) => {
  let deliver = () => {}
  const late = new Promise<void>(resolve => (deliver = resolve))
  await withoutModule(context, route => late.then(() => route.continue()))
  await signIn()
  const tab = await openTab('/desk')
  await tab.page.locator('#text').focus()
  await server.api('POST', '/notices', {user: 'ada', message: 'Lunch is ready.'})
  await advance(9 * MINUTE)
  await expect(plain(tab.page)).toBeVisible()
  await expect(tab.stay).toBeFocused()
  deliver()
  await expect(tab.page.getByText('Lunch is ready.')).toBeAttached()
  await expect(tab.warning).toHaveCount(1) // it stays under the hands of whoever reads it
  await expect(plain(tab.page)).toBeVisible()
  expect(await focus(tab.page)).toBe('Stay signed in')
  await tab.stay.click()
  await expect(tab.warning).toBeHidden()
  await expect(tab.page.locator('#text')).toBeFocused()
  await advance(9 * MINUTE)
  await expect(full(tab.page)).toBeVisible()
  await expect(tab.warning).toHaveCount(1)
  await expect(tab.stay).toBeFocused()
})

test(
  'a warning that stands as a page opens shows in full, once, though the module is not there yet',
  {tag: '@chromium'},
  async ({context, signIn, advance, server}) => {
    await signIn()
    await advance(9 * MINUTE)
    const page = await context.newPage()
    await page.addInitScript(() => {
      // The page waits 200 ms for the module before it shows the plain dialog. A loaded machine may
      // need longer to bring it, and what is to be shown here is that the page waits at all.
      const {setTimeout} = window
      window.setTimeout = ((f: () => void, ms?: number) => setTimeout(f, ms === 200 ? 20_000 : ms)) as typeof setTimeout
      const seen: string[] = ((window as any).dialogs = [])
      const {showModal} = HTMLDialogElement.prototype
      HTMLDialogElement.prototype.showModal = function () {
        seen.push((this.getRootNode() as ShadowRoot).host.localName)
        showModal.call(this)
      }
    })
    await new Tab(page, server).goto('/desk')
    await expect(full(page)).toBeVisible()
    expect(new Set(await page.evaluate(() => (window as any).dialogs))).toEqual(new Set(['curfew-warning']))
  },
)

test('a page that could not have its module has it with the next connection', async ({
  context,
  signIn,
  openTab,
  advance,
  server,
}) => {
  const asked: string[] = []
  let fails = true
  await withoutModule(context, route => {
    asked.push(new URL(route.request().url()).search)
    return fails ? notFound(route) : route.continue()
  })
  await signIn()
  const tab = await openTab('/desk')
  await expect.poll(() => asked.length).toBe(1)
  fails = false
  await server.call('fault', {kind: 'drop'})
  await server.call('fault', {kind: 'none'})
  await expect.poll(() => asked.length, {timeout: 15_000}).toBe(2)
  await advance(9 * MINUTE)
  await expect(full(tab.page)).toBeVisible()
})

test('presence.js and frames.js are asked for only where they are needed', async ({signIn, openTab}) => {
  await signIn()
  const tab = await openTab('/desk')
  const loaded = () =>
    tab.page.evaluate(() =>
      performance
        .getEntriesByType('resource')
        .map(entry => entry.name.replace(/.*\/static\/([0-9a-f]{12}\/)?/, ''))
        .filter(name => name.endsWith('.js') && !name.includes('/')),
    )
  await expect.poll(loaded).toContain('warning.js')
  expect(await loaded()).not.toContain('presence.js')
  expect(await loaded()).not.toContain('frames.js')
  await tab.page.evaluate(() => {
    const element = document.createElement('span')
    element.dataset.curfewPresence = 'ada'
    document.body.append(element)
  })
  await expect.poll(loaded).toContain('presence.js')
  await expect(tab.page.locator('[data-curfew-presence]')).toHaveAttribute('data-state', /active|idle/)
})

test('the script is asked for anew each time, its modules once; those of another version are not there', async ({
  context,
  signIn,
  openTab,
  server,
}) => {
  await signIn()
  const answers: {path: string; status: number; cached: boolean}[] = []
  context.on('response', async response => {
    const path = new URL(response.url()).pathname
    if (/\.js$/.test(path))
      answers.push({path, status: response.status(), cached: response.headers()['cache-control'] !== 'no-cache'})
  })
  const tab = await openTab('/desk')
  await expect(tab.page.locator('curfew-warning')).toBeAttached()
  const module = answers.find(answer => answer.path.endsWith('/warning.js'))!
  expect(module.status).toBe(200)
  const get = (path: string, headers: Record<string, string> = {}) => context.request.get(server.url + path, {headers})
  const entry = await get('/static/curfew.js')
  expect(entry.headers()).toMatchObject({
    'cache-control': 'no-cache',
    'content-encoding': 'gzip',
    vary: 'Accept-Encoding',
  })
  const again = await get('/static/curfew.js', {'If-None-Match': entry.headers().etag!})
  expect(again.status()).toBe(304)
  expect((await get(module.path)).headers()['cache-control']).toContain('immutable')
  expect((await get(module.path.replace(/[0-9a-f]{12}/, '0123456789ab'))).status()).toBe(404)
})

test('modules need no more of a strict policy than the script: its nonce is theirs @engines', async ({
  signIn,
  openTab,
  advance,
}) => {
  await signIn()
  const tab = await openTab('/nonce')
  await expect(tab.page.locator('[data-curfew-presence]')).toHaveAttribute('data-state', /active|idle/)
  await advance(9 * MINUTE)
  await expect(full(tab.page)).toBeVisible()
})

test('an answer that comes after the end brings nothing back', async ({page, signIn, server}) => {
  await signIn()
  await page.addInitScript(() => {
    ;(window as any).WebSocket = class extends EventTarget {
      static OPEN = 1
      readyState = 0
      constructor() {
        super()
        setTimeout(() => this.dispatchEvent(new CloseEvent('close', {code: 1006})), 20)
      }
      close() {}
    }
    setInterval(() => console.log('title: ' + document.title), 50)
  })
  const titles: string[] = [] // a page that is on its way to another answers no question
  page.on('console', message => {
    if (message.text().startsWith('title: ')) titles.push(message.text().slice(7))
  })
  await page.goto(server.url + '/desk')
  const status = await (await page.request.get(server.url + '/session/status')).json()
  let answer = () => {}
  const over = new Promise<void>(resolve => (answer = resolve))
  let asked = false
  await page.route('**/session/extend', async route => {
    asked = true
    await over
    await route.fulfill({json: status})
  })
  await page.route('**/login?*', () => {}) // the page stays where it is, blank
  await server.advance(9 * MINUTE)
  await page.getByRole('button', {name: 'Stay signed in'}).click()
  await expect.poll(() => asked).toBe(true)
  await server.forceLogout({user: 'ada'})
  await expect.poll(() => titles).toContain(new URL(server.url).host)
  const answered = page.waitForEvent('requestfinished', request => request.url().endsWith('/session/extend'))
  answer()
  await answered
  const before = titles.length
  await expect.poll(() => titles.length).toBeGreaterThan(before + 4)
  expect(titles.slice(titles.indexOf(new URL(server.url).host))).not.toContain('Desk')
})
