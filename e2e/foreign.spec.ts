import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import type {Frame, Page} from '@playwright/test'
import {html, script, tag, testWith} from './application'
import {countActs, expect, MINUTE, nothing, shows} from './curfew'

// How the script comes into pages of an application, and what it makes of their frames, workers
// and questions.

/** The tag as another template writes it: another address, so that it is another module. */
const again = tag.replace('curfew.js', 'curfew.js?of=template')

/** Where a worker fetches pages, they come without a tag in some browsers: the template has it. */
const inTemplate = tag.replace('data-socket', 'data-required data-socket')

/** A frame in a closed shadow tree, which leads itself on. */
const closed = `
  const root = document.body.appendChild(document.createElement('div')).attachShadow({mode: 'closed'})
  root.innerHTML = '<input id="field"><iframe src="/within"></iframe>'
  window.field = root.firstChild`

const worker = (answer: string) => `
  addEventListener('install', event => event.waitUntil(caches.open('kept').then(cache => cache.addAll(['/shell']))))
  addEventListener('activate', event => event.waitUntil(clients.claim()))
  addEventListener('fetch', event => { ${answer} })`

const clingy = `
  addEventListener('beforeunload', event => { event.preventDefault(); event.returnValue = 'stay' }, {capture: true})
  onbeforeunload = () => 'stay'`

const test = testWith({
  '/plain': html('Plain', '', '<h1>Plain</h1><label>Text <input id="text"></label>'),
  '/required': html('Required', inTemplate, '<h1>Required</h1>'),
  '/public/twice': html(
    'Twice',
    '',
    `<h1>Twice</h1>${again}${again.replace('data-socket', 'data-required data-socket')}`,
  ),
  '/closed': html('Closed', '', '<h1>Closed</h1><script src="/closed.js"></script>'),
  '/closed.js': script(closed),
  '/within': html('Within', again, '<input id="inside"><a href="/onward">On</a>'),
  '/text': {type: 'text/plain', body: 'no page'},
  '/onward': html('Onward', '', '<input id="inside">'),
  '/guarding': html('Guarding', '', '<h1>Guarding</h1><iframe src="/onward"></iframe>'),
  '/shell': html('Shell', inTemplate, '<h1>Shell</h1>'),
  '/shell.js': script(worker(`if (event.request.mode === 'navigate') event.respondWith(caches.match('/shell'))`)),
  '/greedy.js': script(
    worker(`event.respondWith(caches.open('kept').then(async cache => {
      const kept = await cache.match(event.request)
      if (kept) return kept
      const answer = await fetch(event.request)
      if (event.request.method === 'GET' && answer.ok) await cache.put(event.request, answer.clone())
      return answer
    }))`),
  ),
  '/clingy.js': script(clingy),
  '/xhtml': {
    type: 'application/xhtml+xml',
    body: `<!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml" lang="en"><head><title>Strict</title><script src="/clingy.js"></script></head><body><h1>Strict</h1><p><input id="text" value="a secret" /></p></body></html>`,
  },
})

const tabs = async (server: {story: (kind: 'input') => Promise<string[]>}) =>
  (await server.story('input')).filter(what => what === 'tab opened').length

test('tags of several addresses are one: one tab, one dialog, and the strictest holds @engines', async ({
  context,
  page,
  signIn,
  server,
  advance,
}) => {
  await signIn()
  const count = await countActs(page)
  await page.goto(server.url + '/public/twice')
  await expect.poll(() => tabs(server)).toBe(1)
  await expect(page.locator('curfew-warning')).toBeAttached()
  await advance(9 * MINUTE)
  await expect(page.getByRole('alertdialog')).toHaveCount(1)
  await page.keyboard.press('Escape')
  await expect(page.getByRole('alertdialog')).toBeHidden()
  const before = count()
  await page.evaluate(() => import('/.curfew/static/curfew.js?of=script' as string).then(client => client.activity()))
  await expect.poll(count).toBe(before + 1)
  expect(await tabs(server)).toBe(1)
  await context.clearCookies()
  await page.goto(server.url + '/public/twice')
  await expect(page).toHaveURL(server.url + '/.curfew/login?next=%2Fpublic%2Ftwice')
})

test('a page that was passed on to a session shows itself, and goes where that is no more @engines', async ({
  context,
  page,
  signIn,
  server,
}) => {
  await signIn()
  let release = () => {}
  const gone = new Promise<void>(resolve => (release = resolve))
  await page.route('**/static/curfew.js', async route => {
    await gone
    await route.continue()
  })
  await page.goto(server.url + '/plain', {waitUntil: 'commit'})
  await expect(page.getByRole('heading', {name: 'Plain'})).toBeVisible()
  await context.clearCookies()
  release()
  await expect(page).toHaveURL(server.url + '/.curfew/login?next=%2Fplain')
})

test('nothing of the script is global @engines', async ({page, signIn, server}) => {
  await signIn()
  const names = () => page.evaluate(() => Object.getOwnPropertyNames(window).filter(name => !name.startsWith('__pw'))) // Playwright's
  await page.goto(server.url + '/plain')
  await expect(page.locator('curfew-warning')).toBeAttached()
  const guarded = await names()
  const defined = () => ['curfew-warning', 'curfew-panel', 'curfew-plain'].filter(name => customElements.get(name))
  expect(await page.evaluate(defined)).toEqual([])
  await page.goto(server.url + '/text')
  const bare = new Set(await names())
  expect(guarded.filter(name => !bare.has(name))).toEqual([])
})

/** Presses a key in a field, whatever tree it is in. */
async function typeInto(page: Page, frame: Frame) {
  await frame.locator('#inside').focus()
  await page.keyboard.press('a')
  await expect(frame.locator('#inside')).toHaveValue('a')
}

test('what is done in closed shadow trees is an act, and in their frames, wherever these lead @engines', async ({
  page,
  signIn,
  server,
}) => {
  await signIn()
  const count = await countActs(page)
  await page.goto(server.url + '/closed')
  await expect.poll(() => page.frames().length).toBe(2)
  const frame = page.frames()[1]!
  await expect.poll(() => tabs(server)).toBe(1)
  await page.evaluate(() => (window as any).field.focus())
  await page.keyboard.press('a')
  await expect.poll(count).toBeGreaterThan(0)
  let before = count()
  await typeInto(page, frame)
  await expect.poll(count).toBeGreaterThan(before)
  await frame.evaluate(() => {
    location.href = '/onward'
  })
  await frame.waitForURL('**/onward')
  before = count()
  await typeInto(page, frame)
  await expect.poll(count).toBeGreaterThan(before)
  expect(await tabs(server)).toBe(1)
})

test('a page that loses its tag to a framework guards its frames all the same @engines', async ({
  page,
  signIn,
  server,
}) => {
  await signIn()
  const count = await countActs(page)
  await page.goto(server.url + '/plain')
  await expect(page.locator('curfew-warning')).toBeAttached()
  await page.evaluate(async () => {
    const frame = document.createElement('iframe')
    frame.src = '/onward'
    const rests = new Promise(resolve => document.addEventListener('curfew:frame', resolve))
    document.head.replaceChildren()
    document.body.replaceChildren(frame)
    await rests
  })
  await typeInto(page, page.frames()[1]!)
  await expect.poll(count).toBeGreaterThan(0)
  expect(await tabs(server)).toBe(1)
})

test('a frame that has been at another origin is heard again @engines', async ({page, signIn, server}) => {
  await signIn()
  const outside = createServer((_, answer) => {
    answer.setHeader('content-type', 'text/html').end('<h1>Outside</h1>')
  })
  await new Promise<void>(resolve => outside.listen(0, '127.0.0.1', resolve))
  const count = await countActs(page)
  await page.goto(server.url + '/guarding')
  const lead = (url: string) =>
    page.evaluate(to => {
      document.querySelector('iframe')!.src = to
    }, url)
  const at = (path: RegExp) => page.frames().find(frame => path.test(frame.url()))
  await lead(`http://127.0.0.1:${(outside.address() as AddressInfo).port}/outside`)
  await expect.poll(() => !!at(/outside/)).toBe(true)
  await lead('/onward')
  await expect.poll(() => !!at(/onward/)).toBe(true)
  const frame = at(/onward/)!
  const before = count()
  await typeInto(page, frame)
  await expect.poll(count).toBeGreaterThan(before)
  await server.forceLogout({user: 'ada'})
  await expect(page).toHaveURL(/login\?next=%2Fguarding/)
  outside.closeAllConnections()
  outside.close()
})

async function register(page: Page, worker: string) {
  await page.evaluate(async name => {
    await navigator.serviceWorker.register(name)
    await navigator.serviceWorker.ready
  }, worker)
  await expect.poll(() => page.evaluate(() => !!navigator.serviceWorker.controller)).toBe(true)
}

test('a worker that answers every navigation keeps nobody from signing in @engines', async ({page, signIn, server}) => {
  await signIn()
  await page.goto(server.url + '/plain')
  await register(page, '/shell.js')
  await page.goto(server.url + '/anywhere?else')
  await expect(page.getByRole('heading', {name: 'Shell'})).toBeVisible()
  await server.forceLogout({user: 'ada'})
  await expect(page).toHaveURL(server.url + '/.curfew/login?next=%2Fanywhere%3Felse')
  await page.getByLabel('User name').pressSequentially('ada')
  await page.getByLabel('Password').pressSequentially('ada-demo')
  await page.getByRole('button', {name: 'Sign in'}).click()
  await expect(page).toHaveURL(server.url + '/anywhere?else')
})

test('a worker that keeps every answer shows no page after its end @engines', async ({
  page,
  signIn,
  server,
  context,
}) => {
  await signIn()
  await page.goto(server.url + '/plain')
  await register(page, '/greedy.js')
  await page.routeWebSocket(/session\/ws/, socket => socket.close())
  for (let i = 0; i < 2; i++) {
    await page.goto(server.url + '/required')
    await expect(page.getByRole('heading', {name: 'Required'})).toBeVisible()
  }
  await context.clearCookies()
  await page.goto(server.url + '/required')
  await expect(page).toHaveURL(server.url + '/.curfew/login?next=%2Frequired')
})

test('a page of XHTML is hidden, comes back, and is left without a question @engines', async ({
  openTab,
  signIn,
  server,
}) => {
  await signIn()
  const tab = await openTab('/xhtml')
  const questions: string[] = []
  tab.page.on('dialog', dialog => {
    questions.push(dialog.type())
    void dialog.dismiss()
  })
  await tab.page.locator('#text').click() // else no browser asks
  await tab.page.keyboard.press('a')
  await tab.page.evaluate(() => document.dispatchEvent(new Event('freeze')))
  await tab.blank()
  await tab.page.evaluate(() => document.dispatchEvent(new Event('resume')))
  await expect(tab.page.getByRole('heading', {name: 'Strict'})).toBeVisible()
  await expect(tab.page).toHaveTitle('Strict')
  await server.forceLogout({user: 'ada'})
  await tab.signedOut(/administrator/)
  expect(questions).toEqual([])
})
