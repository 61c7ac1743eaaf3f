import type {WebSocketRoute} from '@playwright/test'
import {expect, MINUTE, Tab, test} from './curfew'
import {isGone, mark} from './waits'

test.describe('a server of its own', () => {
  test.use({flags: ['--close-grace', '0']})

  test('a page is blank at its deadline though the server was killed @engines', async ({signIn, page, server}) => {
    await signIn()
    await page.clock.install()
    const tab = new Tab(page, server)
    await tab.goto()
    await tab.connected()
    await tab.note.fill('a secret')
    await server.kill()
    await expect(page.getByRole('status').filter({hasText: 'Reconnecting'})).toBeVisible()
    await page.clock.fastForward(9 * MINUTE)
    await expect(tab.warning).toBeVisible()
    await page.clock.fastForward(MINUTE)
    await expect(tab.warning).toBeHidden()
    await tab.blank()
    await server.run()
    await server.advance(11 * MINUTE)
    await tab.waits()
  })

  test('a page that nobody can say anything to is gone once keep_ms has passed', async ({signIn, page, server}) => {
    await signIn()
    await page.clock.install()
    const tab = new Tab(page, server)
    const leaving = page.waitForResponse(/leaving\.js/)
    await tab.goto()
    await tab.connected()
    await mark(tab)
    await (await leaving).finished()
    await server.kill()
    const left = () => page.evaluate(() => document.querySelectorAll('main, form, input').length)
    await page.clock.fastForward(10 * MINUTE)
    await tab.blank()
    await page.clock.fastForward(3 * 60 * MINUTE)
    await page.waitForEvent('requestfailed')
    expect(await left()).toBeGreaterThan(0)
    await page.clock.fastForward(60 * MINUTE)
    await expect.poll(left).toBe(0)
    await tab.blank()
    await server.run()
    await isGone(tab, server.url + '/') // by way of the sign-in page: for the server no time has passed
    await expect(tab.note).toBeVisible()
  })
})

test.describe('no socket', () => {
  test.use({flags: ['--warn-after', '9m50s', '--expire-after', '10m', '--close-grace', '0']})

  test('where no socket can be had the page polls, warns and is blank in time @engines', async ({
    signIn,
    context,
    server,
  }) => {
    await signIn()
    const page = await context.newPage()
    await page.addInitScript(() => {
      ;(window as any).WebSocket = class extends EventTarget {
        // what a proxy makes of it that knows no upgrade
        static OPEN = 1
        readyState = 0
        constructor() {
          super()
          setTimeout(() => this.dispatchEvent(new CloseEvent('close', {code: 1006})), 20)
        }
        close() {}
        send() {}
      }
    })
    await page.goto(server.url)
    await expect(page.getByRole('status').filter({hasText: 'Updates come every second'})).toBeVisible()
    const warning = page.getByRole('alertdialog')
    await server.advance(10 * MINUTE - 8_000)
    await expect(warning).toBeVisible()
    await page.mouse.move(2, 2)
    await expect(warning).toBeHidden()
    await server.advance(10 * MINUTE - 8_000)
    await expect(warning).toBeVisible()
    await warning.getByRole('button', {name: 'Stay signed in'}).click()
    await expect(warning).toBeHidden()
    await server.advance(10 * MINUTE - 3_000)
    await new Tab(page, server).waits()
  })
})

test.describe('a server that restarts', () => {
  test.use({flags: ['--log-level', 'debug']})

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    test(`after ${signal} tabs reconnect and the session lives on`, async ({signIn, openTab, server}) => {
      await signIn()
      const tab = await openTab()
      await tab.note.fill('half a sentence')
      await server.kill(signal)
      await expect(tab.page.getByRole('status').filter({hasText: 'Reconnecting'})).toBeVisible()
      await server.run()
      await expect(tab.page.getByRole('status').filter({hasText: 'Reconnecting'})).toBeHidden({timeout: 20_000})
      await expect(tab.note).toHaveValue('half a sentence')
      await server.advance(9 * MINUTE)
      await expect(tab.warning).toBeVisible()
    })
  }

  test('a sign-out holds though the server is killed right after it', async ({signIn, openTab, server, context}) => {
    await signIn()
    const [cookie] = (await context.cookies()).filter(c => c.name === '__Host-curfew')
    const headers = {cookie: `${cookie!.name}=${cookie!.value}`, accept: 'application/json'}
    const {csrf} = (await (await fetch(server.url + '/session/status', {headers})).json()) as {csrf: string}
    const response = await fetch(server.url + '/logout', {
      method: 'POST',
      headers,
      body: new URLSearchParams({csrf}),
      redirect: 'manual',
    })
    await server.kill()
    expect(response.status).toBe(303)
    await server.run()
    const after = await fetch(server.url + '/session/status', {headers})
    expect(after.status).toBe(401)
    expect(await after.json()).toMatchObject({reason: 'logout', location: '/login'})
  })
})

test('faults: dropped, refused and stalled sockets sign nobody out', async ({signIn, openTab, server}) => {
  await signIn()
  const tab = await openTab()
  const line = tab.page.getByRole('status').filter({hasText: /connection is lost|Updates come/})
  for (const kind of ['drop', 'refuse']) {
    await server.call('fault', {kind: 'drop'})
    await server.call('fault', {kind})
    await expect(line).toBeVisible()
    await server.call('fault', {kind: 'none'})
    await expect(line).toBeHidden({timeout: 20_000})
  }
  await server.call('fault', {kind: 'stall'})
  await server.advance(9 * MINUTE)
  await expect(tab.warning).toBeHidden()
  await server.call('fault', {kind: 'none'})
  await expect(tab.warning).toBeVisible()
  await tab.stay.click()
  await expect(tab.warning).toBeHidden()
})

test('a lost message signs nobody out: the page asks', async ({signIn, context, server}) => {
  await signIn()
  const page = await context.newPage()
  let lose = false
  await page.routeWebSocket(/session\/ws/, socket => {
    const upstream = socket.connectToServer()
    upstream.onMessage(message => {
      if (!(lose && /"type":"(active|warn)"/.test(String(message)))) socket.send(message)
    })
  })
  await page.clock.install()
  await page.goto(server.url)
  await expect(page.getByRole('heading', {name: 'Hello'})).toBeVisible()
  lose = true
  const {csrf} = await (await page.request.get(server.url + '/session/status')).json()
  await server.advance(5 * MINUTE)
  await page.request.post(server.url + '/session/activity', {
    headers: {'X-CSRF-Token': csrf, 'Sec-Fetch-Site': 'same-origin'},
  })
  lose = false
  await page.clock.fastForward(10 * MINUTE) // the page believes its time is up; nobody told it otherwise
  await expect(page.getByRole('heading', {name: 'Hello'})).toBeVisible()
  await expect(page).toHaveURL(server.url + '/')
})

test('an act whose connection has died is told over another, and withdraws the warning', async ({
  signIn,
  context,
  server,
}) => {
  await signIn()
  const page = await context.newPage()
  let dead = false
  await page.routeWebSocket(/session\/ws/, socket => {
    if (dead) return // accepted, and silent
    const upstream = socket.connectToServer()
    upstream.onMessage(message => {
      if (!dead) socket.send(message)
    })
    socket.onMessage(message => {
      if (!dead) upstream.send(message)
    })
  })
  await page.clock.install()
  const tab = new Tab(page, server)
  await tab.goto()
  await tab.connected()
  await server.advance(9 * MINUTE)
  await expect(tab.warning).toBeVisible()
  dead = true
  await page.mouse.move(2, 2)
  await page.clock.runFor(5_000)
  await expect(tab.warning).toBeHidden()
})

test('a page that was cut off while its person signed out and in again saves, and signs out', async ({
  signIn,
  context,
  server,
}) => {
  await signIn()
  const page = await context.newPage()
  const sockets: WebSocketRoute[] = []
  let away = false
  await page.routeWebSocket(/session\/ws/, socket => {
    sockets.push(socket)
    if (!away) socket.connectToServer()
  })
  const tab = new Tab(page, server)
  await tab.goto()
  await tab.connected()
  await tab.note.fill('typed before')
  away = true
  await sockets[0]!.close({code: 1012})
  const {csrf} = await (await context.request.get(server.url + '/session/status')).json()
  await context.request.post(server.url + '/logout', {form: {csrf}})
  await signIn()
  away = false
  await expect.poll(() => sockets.length, {timeout: 15_000}).toBeGreaterThan(1)
  const fresh = (await (await context.request.get(server.url + '/session/status')).json()).csrf
  const tokens = () =>
    page
      .locator('input[name=csrf]')
      .evaluateAll((fields: HTMLInputElement[]) => [...new Set(fields.map(field => field.value))])
  await expect.poll(tokens, {timeout: 15_000}).toEqual([fresh])
  await page.getByRole('button', {name: 'Save note'}).click()
  await expect(tab.note).toHaveValue('typed before')
  await page.getByRole('button', {name: 'Sign out'}).click()
  await expect(page.getByText('You have signed out.')).toBeVisible()
})

test.describe('a server that is away for long', () => {
  test.use({flags: ['--close-grace', '0']})

  // Firefox makes the next socket wait the longer the more were refused, up to a minute.
  test('is asked now and then, and gets sockets once it answers', async ({signIn, context, server}) => {
    await signIn()
    const page = await context.newPage()
    await page.addInitScript(() => {
      const Original = WebSocket
      ;(window as any).opened = 0
      window.WebSocket = class extends Original {
        constructor(...given: ConstructorParameters<typeof WebSocket>) {
          super(...given)
          ;(window as any).opened++
        }
      }
    })
    let asked = 0
    page.on('requestfailed', request => {
      if (request.url().includes('/session/status')) asked++
    })
    await page.clock.install()
    const tab = new Tab(page, server)
    await tab.goto()
    await tab.connected()
    await server.kill()
    for (let i = 1; i <= 5; i++) {
      await expect.poll(() => asked).toBeGreaterThanOrEqual(i)
      await page.clock.runFor(4_500)
    }
    expect(await page.evaluate(() => (window as any).opened)).toBe(1)
    await server.run()
    await page.clock.runFor(4_500)
    await expect(page.getByRole('status').filter({hasText: 'Reconnecting'})).toBeHidden()
    expect(await page.evaluate(() => (window as any).opened)).toBe(2)
  })
})
