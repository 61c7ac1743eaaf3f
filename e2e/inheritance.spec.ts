import {createServer, type Server as HTTPServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import type {Page} from '@playwright/test'
import {expect, Server, test as base} from './curfew'

// What one user has left in a browser is not for the next.

/** Cookies of all kinds, as an application may set them. */
const COOKIES = [
  'plain=1; Path=/',
  'hidden=1; Path=/; HttpOnly; SameSite=Strict',
  'lasting=1; Path=/; Max-Age=86400; Secure; SameSite=None',
  'cart[1]=1; Path=/',
  '__Host-own=1; Path=/; Secure',
  '__Secure-own=1; Path=/; Secure',
  'deep=1; Path=/deep',
]

/** An application that tells which cookies it gets, and Curfew in front of it. */
const test = base.extend<{guarded: Server}>({
  guarded: async ({}, use) => {
    const application: HTTPServer = createServer((request, answer) => {
      const names = (request.headers.cookie ?? '').split('; ').map(pair => pair.split('=')[0]!)
      answer.writeHead(200, {
        'content-type': 'text/html',
        ...(request.url === '/start' && {'set-cookie': COOKIES}),
      })
      answer.end(`<!doctype html><title>Shop</title><p>${names.filter(Boolean).sort().join(' ') || 'none'}</p>`)
    })
    await new Promise<void>(resolve => application.listen(0, '127.0.0.1', resolve))
    const {port} = application.address() as AddressInfo
    const server = await Server.start('--upstream', `http://127.0.0.1:${port}`, '--app-cookies', 'deep;path=/deep')
    await use(server)
    await server.stop()
    application.closeAllConnections()
    application.close()
  },
})

async function signIn(page: Page, server: Server, user: string, path: string) {
  await page.goto(server.url + path)
  await page.getByLabel('User name').fill(user)
  await page.getByLabel('Password').fill(`${user}-demo`)
  await page.getByRole('button', {name: 'Sign in'}).click()
  await expect(page).toHaveURL(server.url + path)
}

async function signOut(page: Page, server: Server) {
  await page.goto(server.url + '/.curfew/logout')
  await page.getByRole('button', {name: 'Sign out'}).click()
  await expect(page.getByText('You have signed out.')).toBeVisible()
}

test('the next user of a browser gets none of the application’s cookies @engines', async ({context, guarded}) => {
  const page = await context.newPage()
  const names = page.getByRole('paragraph')
  await signIn(page, guarded, 'ada', '/start')
  await page.goto(guarded.url + '/deep')
  const all = '__Host-own __Secure-own cart[1] deep hidden lasting plain'
  await expect(names).toHaveText(all)

  await signOut(page, guarded)
  await signIn(page, guarded, 'ada', '/deep')
  await expect(names).toHaveText(all) // the same person goes on

  await signOut(page, guarded)
  await signIn(page, guarded, 'grace', '/deep')
  await expect(names).toHaveText('none')
  const left = (await context.cookies()).map(cookie => cookie.name).sort()
  expect(left.filter(name => name !== 'curfew-signed-in')).toEqual([
    '__Host-curfew',
    '__Host-curfew-last',
    '__Host-curfew-seen',
  ])
})
