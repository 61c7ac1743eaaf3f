import {createServer as createHTTPServer} from 'node:http'
import {type AddressInfo, connect, createServer, type Server as NetServer, type Socket} from 'node:net'
import type {BrowserContext} from '@playwright/test'
import {expect, MINUTE, Server, Tab, test as base} from './curfew'

// The console at an origin of its own: an application has the public URL's.

/** Curfew in front of an application, with its console behind another proxy. */
interface Split {
  server: Server
  /** The public URL, and where the application's pages are. */
  url: string
  /** The origin of the console. */
  admin: string
}

const page = '<!doctype html><title>Payroll</title><h1>Payroll</h1>'

const test = base.extend<{split: Split}>({
  split: async ({}, use) => {
    const application = createHTTPServer((_, answer) => answer.writeHead(200, {'content-type': 'text/html'}).end(page))
    let console = 0
    const open = new Set<Socket>()
    const relay = createServer(socket => {
      const onward = connect(console, '127.0.0.1')
      for (const [one, other] of [
        [socket, onward],
        [onward, socket],
      ] as const) {
        open.add(one)
        one.on('error', () => other.destroy()).on('close', () => open.delete(one))
        one.pipe(other)
      }
    })
    const admin = `http://localhost:${await listen(relay)}`
    const upstream = `http://127.0.0.1:${await listen(application)}`
    const server = await Server.start('--upstream', upstream, '--admin-listen', '127.0.0.1:0', '--admin-url', admin)
    const said = () => /listening.* for=console address=127\.0\.0\.1:(\d+)/.exec(server.log)?.[1]
    await expect.poll(said).toBeDefined() // the file that says that it is ready may be read earlier
    console = Number(said())
    await use({server, url: server.url, admin})
    await server.stop()
    open.forEach(socket => socket.destroy())
    relay.close()
    application.closeAllConnections()
    application.close()
  },
})

/** Listens on a free port, and returns it. */
async function listen(server: NetServer): Promise<number> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** Opens a page of the application, by way of the sign-in page. */
async function signIn(split: Split, user: string, context: BrowserContext, path = '/'): Promise<Tab> {
  const tab = new Tab(await context.newPage(), split.server)
  await tab.goto(path)
  await tab.page.getByLabel('User name').fill(user)
  await tab.page.getByLabel('Password').fill(`${user}-demo`)
  await tab.page.getByRole('button', {name: 'Sign in'}).click()
  await tab.page.waitForURL(url => url.pathname !== '/.curfew/login')
  return tab
}

test('an administrator is led to the console at its own address, and ends a session there', async ({
  split,
  context,
  otherBrowser,
}) => {
  const grace = await signIn(split, 'grace', await otherBrowser())
  await grace.connected()
  const {page} = await signIn(split, 'ada', context)
  await expect(page.getByRole('heading', {name: 'Payroll'})).toBeVisible()
  await page.goto(split.url + '/.curfew/admin')
  await expect(page).toHaveURL(split.admin + '/.curfew/admin')
  await page.getByRole('checkbox', {name: /Select the session of grace/}).check()
  await page.getByRole('group', {name: 'Actions for the selected sessions'}).getByText('Sign out…').click()
  await page.getByRole('button', {name: 'Review'}).click()
  await page.getByRole('button', {name: 'Sign out 1 session'}).click()
  await grace.signedOut('You were signed out by an administrator.')
  await expect(page.locator('[data-count=acked]')).toHaveText('1')
  await page.getByRole('link', {name: 'Application'}).click()
  await expect(page).toHaveURL(split.url + '/')
  await expect(page.getByRole('heading', {name: 'Payroll'})).toBeVisible()
})

test('a sign-in at the public URL leads on to the console', async ({split, context}) => {
  const {page} = await signIn(split, 'ada', context, '/.curfew/login?next=/.curfew/admin/audit')
  await expect(page).toHaveURL(split.admin + '/.curfew/admin/audit')
  await page.getByRole('button', {name: 'Sign out'}).click()
  await expect(page).toHaveURL(split.admin + '/.curfew/login')
})

test('a console at its own address waits, and comes back by a window at that address', async ({split, context}) => {
  await signIn(split, 'ada', context)
  const tab = new Tab(await context.newPage(), {url: split.admin})
  await tab.goto('/.curfew/admin')
  await tab.connected()
  const search = tab.page.getByRole('searchbox', {name: 'Search'})
  await search.fill('ada')
  await split.server.advance(11 * MINUTE)
  await tab.waits()
  const window = await tab.signInWindow()
  await expect(window).toHaveURL(split.admin + '/.curfew/login?window=1')
  const closed = window.waitForEvent('close')
  await window.getByLabel('User name').fill('ada')
  await window.getByLabel('Password').fill('ada-demo')
  await window.getByRole('button', {name: 'Sign in'}).click()
  await closed
  await expect(search).toHaveValue('ada')
  await expect(tab.page.getByText('Live', {exact: true})).toBeVisible()
  await tab.goto('/.curfew/admin/logouts/new?scope=everyone')
  await tab.page.getByLabel('Message').fill('Stocktaking')
  await tab.page.getByRole('checkbox', {name: 'Except this session of mine'}).uncheck()
  await tab.page.getByRole('button', {name: 'Only send the message'}).click()
  await expect(tab.page.locator('curfew-panel').getByText('Stocktaking')).toBeVisible()
})

test.describe(() => {
  test.use({strictCSP: false}) // what is refused here, Firefox tells the page's console

  test("a script of the application cannot use an administrator's session @engines", async ({
    split,
    context,
    otherBrowser,
  }) => {
    const grace = await signIn(split, 'grace', await otherBrowser())
    await grace.connected()
    const {page} = await signIn(split, 'ada', context)
    const got = await page.evaluate(async admin => {
      const {csrf} = await (await fetch('/.curfew/session/status')).json()
      const body = '{"user":"grace"}'
      const headers = {'X-CSRF-Token': csrf}
      const status = async (url: string, init?: RequestInit) => {
        try {
          const response = await fetch(url, {credentials: 'include', ...init})
          return response.type === 'opaque' ? 'opaque' : response.status
        } catch {
          return 'refused'
        }
      }
      const opens = (url: string, protocol: string) =>
        new Promise(resolve => {
          const socket = new WebSocket(url.replace('http', 'ws'), protocol)
          socket.onopen = () => resolve('open')
          socket.onerror = () => resolve('refused')
        })
      return {
        list: await status('/.curfew/api/v1/sessions'),
        logout: await status('/.curfew/api/v1/logouts', {method: 'POST', headers, body}),
        console: await status('/.curfew/admin'),
        there: await status(admin + '/.curfew/api/v1/sessions'),
        thereUnread: await status(admin + '/.curfew/api/v1/sessions', {mode: 'no-cors'}),
        logoutThere: await status(admin + '/.curfew/api/v1/logouts', {method: 'POST', headers, body}),
        logoutUnread: await status(admin + '/.curfew/api/v1/logouts', {method: 'POST', mode: 'no-cors', body}),
        formUnread: await status(admin + '/.curfew/admin/logouts', {
          method: 'POST',
          mode: 'no-cors',
          body: new URLSearchParams({csrf, scope: 'everyone', typed: '2'}),
        }),
        socket: await opens(admin + '/.curfew/session/ws', 'curfew.v1'),
        consoleSocket: await opens(admin + '/.curfew/admin/ws', 'curfew.console.v2'),
      }
    }, split.admin)
    expect(got).toEqual({
      list: 403,
      logout: 403,
      console: 404,
      there: 'refused',
      thereUnread: expect.stringMatching(/opaque|refused/), // refused by Cross-Origin-Resource-Policy
      logoutThere: 'refused',
      logoutUnread: expect.stringMatching(/opaque|refused/),
      formUnread: expect.stringMatching(/opaque|refused/),
      socket: 'refused',
      consoleSocket: 'refused',
    })
    await grace.page.reload()
    await expect(grace.page.getByRole('heading', {name: 'Payroll'})).toBeVisible()
  })
})
