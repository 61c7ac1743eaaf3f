import {execFile} from 'node:child_process'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {promisify} from 'node:util'
import {type TestInfo, test as base} from '@playwright/test'
import {expect, Server, shown} from '../curfew'
import {Display, type Element, WebKit, Window} from './driver'

// What the tests of WebKit have in common. It keeps the cookie over TLS only, so their server has a
// certificate of its own, which nobody has signed.

/** How often a condition is looked at. */
const intervals = [50, 100]

/** One tab of WebKit, by what a person sees in it. */
export class Tab {
  constructor(
    readonly window: Window,
    readonly server: Server,
  ) {}

  /** Waits until the tab shows something of a role and a name. */
  async shows(role: string, name: string): Promise<Element> {
    let found: Element | undefined
    const look = async () => !!(found = await this.window.find(role, name))
    await expect.poll(look, {message: `${role} "${name}"`, intervals}).toBe(true)
    return found!
  }

  /** Waits until the page has all that it needs to warn, to wait and to leave. */
  async isGuarded() {
    const last = () =>
      document.readyState === 'complete' &&
      performance.getEntriesByType('resource').some(({name}) => name.endsWith('/leaving.js'))
    await expect.poll(() => this.window.evaluate(last), {message: 'guarded', intervals}).toBe(true)
  }

  async hides(role: string, name: string) {
    const look = async () => !!(await this.window.find(role, name))
    await expect.poll(look, {message: `no ${role} "${name}"`, intervals}).toBe(false)
  }

  async click(role: string, name: string) {
    await this.window.click(await this.shows(role, name))
  }

  async type(name: string, text: string) {
    await this.window.type(await this.shows('textbox', name), text)
  }

  async has(name: string, text: string) {
    const value = async () => this.window.property(await this.shows('textbox', name), 'value')
    await expect.poll(value, {message: name, intervals}).toBe(text)
  }

  /** Types name and password of a user of the demo, and sends them. */
  async signIn(user: string) {
    await this.type('User name', user)
    await this.type('Password', `${user}-demo`)
    await this.click('button', 'Sign in')
  }

  async says(text: string | RegExp) {
    await expect.poll(() => this.window.evaluate(() => document.body?.innerText), {intervals}).toMatch(text)
  }

  /** The page is blank, and waits for its user to sign in again. */
  async waits() {
    await this.shows('dialog', 'You have been signed out')
    expect(await this.window.evaluate(shown)).toEqual({text: '', title: new URL(this.server.url).host, fields: 0})
    await this.focuses('button', 'Sign in to continue')
  }

  async focuses(role: string, name: string) {
    await expect.poll(() => this.window.focused(), {intervals}).toEqual({role, name})
  }

  /** Opens the sign-in window. The first click may come too soon after the dialog: it does nothing. */
  async signInWindow(): Promise<Tab> {
    const {browser} = this.window
    const before = await browser.handles()
    let opened: string | undefined
    const open = async () => {
      await this.click('button', 'Sign in to continue')
      opened = (await browser.handles()).find(handle => !before.includes(handle))
      return !!opened
    }
    await expect.poll(open, {message: 'the sign-in window', intervals}).toBe(true)
    return new Tab(new Window(browser, opened!), this.server)
  }

  async closes() {
    await expect.poll(() => this.window.isOpen(), {intervals}).toBe(false)
  }
}

type Fixtures = {
  server: Server
  webkit: WebKit
  /** Opens a tab at a path, in a window of its own or behind the tab that there is. */
  openTab: (path?: string, type?: 'window' | 'tab') => Promise<Tab>
}

type Shared = {
  display: Display
  /** Files of a certificate that nobody has signed. */
  certificate: Certificate
  sharedServer: Server
}

type Certificate = {cert: string; key: string}

export const test = base.extend<Fixtures, Shared>({
  display: [
    async ({}, use) => {
      const display = await Display.start()
      await use(display)
      await display.stop()
    },
    {scope: 'worker'},
  ],

  certificate: [
    async ({}, use) => {
      const folder = await mkdtemp(join(tmpdir(), 'curfew-tls-'))
      const certificate = {cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem')}
      await makeCertificate(certificate)
      await use(certificate)
      await rm(folder, {recursive: true})
    },
    {scope: 'worker'},
  ],

  sharedServer: [
    async ({certificate: {cert, key}}, use) => {
      const server = await Server.start('--tls-cert', cert, '--tls-key', key)
      await use(server)
      await server.stop()
    },
    {scope: 'worker'},
  ],

  server: async ({sharedServer}, use, info) => {
    await useServer(sharedServer, use, info)
  },

  webkit: async ({display}, use, info) => {
    const webkit = await WebKit.start(display)
    await use(webkit)
    if (info.status !== info.expectedStatus) {
      for (const [i, handle] of (await webkit.handles()).entries()) {
        const window = new Window(webkit, handle)
        const body = Buffer.from(await window.screenshot(), 'base64')
        await info.attach(`window ${i} at ${await window.url()}`, {body, contentType: 'image/png'})
      }
    }
    await webkit.stop()
  },

  openTab: async ({server, webkit}, use) => {
    await use(async (path = '/', type = 'window') => {
      const tab = new Tab(await webkit.open(type), server)
      await tab.window.goto(server.url + path)
      return tab
    })
  },
})

/** Has a test use a server that it shares with others. */
export async function useServer(server: Server, use: (server: Server) => Promise<void>, info: TestInfo) {
  await server.reset()
  await use(server)
  if (info.status !== info.expectedStatus) {
    await info.attach('timeline', {body: JSON.stringify(await server.call('timeline'), null, 1)})
  }
}

async function makeCertificate({cert, key}: Certificate): Promise<void> {
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  await promisify(execFile)('openssl', ['req', ...kind, ...name, '-out', cert, '-keyout', key])
}

export {expect}
