import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {Readable} from 'node:stream'
import {setTimeout as sleep} from 'node:timers/promises'
import {freePort} from '../slapd'

// A client of WebDriver (W3C WebDriver 2) for WebKitGTK, which Playwright cannot drive. It has what
// the tests here need.

/** The key under which WebDriver speaks of an element (section 12). */
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'

/** How long WebKit may take for a command. */
const COMMAND_MS = 15_000

/** How long a program may take to start. */
const START_MS = 10_000

const DRIVER = '/usr/bin/WebKitWebDriver'
const BROWSER = '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser'

/** How WebDriver speaks of an element. */
export type Element = {[ELEMENT]: string}
export type Cookie = {name: string; value: string; httpOnly: boolean; secure: boolean; sameSite: string; path: string}

/**
 * Starts a program in a process group of its own, so that it is ended with all that it has started.
 * The kernel ends it where this process is killed before it could.
 */
function start(command: string, args: string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    env: {...process.env, ...env},
  })
}

const isRunning = ({exitCode, signalCode}: ChildProcess) => exitCode === null && signalCode === null

async function end(child: ChildProcess): Promise<void> {
  const gone = isRunning(child) && once(child, 'exit')
  try {
    process.kill(-child.pid!, 'SIGKILL')
  } catch {} // all of them have ended
  await gone
}

/** A screen that nobody sees, for browsers that need one. Those that are left end with it. */
export class Display {
  private constructor(
    readonly name: string,
    readonly process: ChildProcess,
  ) {}

  /** The server itself finds a number that no other one has. */
  static async start(): Promise<Display> {
    const child = start('Xvfb', ['-displayfd', '3', '-nolisten', 'tcp', '-screen', '0', '1024x768x24'])
    const output = child.stdio[3] as Readable
    const [number] = await Promise.race([
      once(output, 'data', {signal: AbortSignal.timeout(START_MS)}),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`Xvfb ended with ${code}`))),
    ])
    return new Display(':' + String(number).trim(), child)
  }

  stop(): Promise<void> {
    return end(this.process)
  }
}

/** A WebKitGTK of its own: cookies and storage are in memory, and go with it. */
export class WebKit {
  /** The window to which commands go. */
  #current = ''

  private constructor(
    readonly process: ChildProcess,
    readonly folder: string,
    readonly url: string,
    readonly session: string,
  ) {}

  static async start(display: Display): Promise<WebKit> {
    const folder = await mkdtemp(join(tmpdir(), 'curfew-webkit-'))
    const port = await freePort()
    const child = start(DRIVER, [`--port=${port}`, '--host=127.0.0.1'], {
      DISPLAY: display.name,
      HOME: folder,
      XDG_RUNTIME_DIR: folder,
      GDK_BACKEND: 'x11',
    })
    const url = `http://127.0.0.1:${port}`
    const options = {binary: BROWSER, args: ['--automation']}
    const capabilities = {alwaysMatch: {acceptInsecureCerts: true, 'webkitgtk:browserOptions': options}}
    try {
      await answers(child, url)
      const {sessionId} = await command<{sessionId: string}>('POST', url + '/session', {capabilities})
      return new WebKit(child, folder, url, sessionId)
    } catch (error) {
      await end(child)
      await rm(folder, {recursive: true, force: true})
      throw error
    }
  }

  async stop(): Promise<void> {
    await this.call('DELETE', '').catch(() => {}) // it is ended anyway
    await end(this.process)
    await rm(this.folder, {recursive: true, force: true, maxRetries: 10})
  }

  call<T>(method: string, path: string, body?: object): Promise<T> {
    return command(method, `${this.url}/session/${this.session}${path}`, body)
  }

  /** Sends a command to a window. Two windows take turns: commands are awaited one by one. */
  async callIn<T>(handle: string, method: string, path: string, body?: object): Promise<T> {
    if (this.#current !== handle) {
      await this.call('POST', '/window', {handle})
      this.#current = handle
    }
    return this.call(method, path, body)
  }

  handles(): Promise<string[]> {
    return this.call('GET', '/window/handles')
  }

  /** Opens an empty window, or a tab behind the one that there is. The first window is there already. */
  async open(type: 'window' | 'tab' = 'window'): Promise<Window> {
    if (!this.#current) {
      this.#current = await this.call<string>('GET', '/window')
      return new Window(this, this.#current)
    }
    const {handle} = await this.call<{handle: string}>('POST', '/window/new', {type})
    return new Window(this, handle)
  }
}

/** A window, or a tab of one. */
export class Window {
  constructor(
    readonly browser: WebKit,
    readonly handle: string,
  ) {}

  #call<T = null>(method: string, path: string, body?: object): Promise<T> {
    return this.browser.callIn(this.handle, method, path, body)
  }

  goto(url: string) {
    return this.#call('POST', '/url', {url})
  }

  url(): Promise<string> {
    return this.#call('GET', '/url')
  }

  back() {
    return this.#call('POST', '/back', {})
  }

  /** Closes it as a person does. */
  close() {
    return this.#call('DELETE', '/window')
  }

  async isOpen(): Promise<boolean> {
    return (await this.browser.handles()).includes(this.handle)
  }

  /** The cookies of the page that shows, those that are closed to scripts as well. */
  cookies(): Promise<Cookie[]> {
    return this.#call('GET', '/cookie')
  }

  /** Runs a function in the page, which knows nothing but its arguments. */
  evaluate<T, A extends unknown[]>(run: (...args: A) => T, ...args: A): Promise<T> {
    return this.#call('POST', '/execute/sync', {script: `return (${run}).apply(null, arguments)`, args})
  }

  /** Finds what is rendered and has a role and a name for who cannot see it, in shadow trees too. */
  async find(role: string, name: string): Promise<Element | undefined> {
    for (const element of await this.evaluate(rendered, SELECTORS[role] ?? `[role="${role}"]`)) {
      try {
        if ((await this.computed(element, 'label')) !== name) continue
        if ((await this.computed(element, 'role')) === role) return element
      } catch (error) {
        if (!/stale element|unknown error/.test(String(error))) throw error // else it has been hidden meanwhile
      }
    }
    return
  }

  private computed(element: Element, what: 'label' | 'role'): Promise<string> {
    return this.#call('GET', `/element/${element[ELEMENT]}/computed${what}`)
  }

  click(element: Element) {
    return this.#call('POST', `/element/${element[ELEMENT]}/click`, {})
  }

  /** Types into an element, which gets the focus. */
  type(element: Element, text: string) {
    return this.#call('POST', `/element/${element[ELEMENT]}/value`, {text})
  }

  /** Presses keys, which go to what has the focus. */
  keys(text: string) {
    const actions = [...text].flatMap(value => [
      {type: 'keyDown', value},
      {type: 'keyUp', value},
    ])
    return this.#call('POST', '/actions', {actions: [{type: 'key', id: 'keys', actions}]})
  }

  property(element: Element, name: string) {
    return this.#call<unknown>('GET', `/element/${element[ELEMENT]}/property/${name}`)
  }

  /** What the window shows, as a picture. */
  screenshot(): Promise<string> {
    return this.#call('GET', '/screenshot')
  }

  /** The role and name of what has the focus, in shadow trees too. */
  async focused(): Promise<{role: string; name: string}> {
    const element = await this.evaluate(focus)
    return {role: await this.computed(element, 'role'), name: await this.computed(element, 'label')}
  }
}

/** What may have a role. */
const SELECTORS: Record<string, string> = {
  alertdialog: 'dialog',
  button: 'button',
  dialog: 'dialog',
  heading: 'h1, h2',
  link: 'a',
  textbox: 'input, textarea',
}

// ---- in the page

function rendered(selector: string): Element[] {
  const found: globalThis.Element[] = []
  const look = (tree: Document | ShadowRoot) => {
    for (const element of tree.querySelectorAll(selector)) {
      if (element.checkVisibility({visibilityProperty: true, contentVisibilityAuto: true})) found.push(element)
    }
    for (const {shadowRoot} of tree.querySelectorAll('*')) if (shadowRoot) look(shadowRoot)
  }
  look(document)
  return found as never // the driver makes references of them
}

function focus(): Element {
  let element = document.activeElement ?? document.documentElement
  while (element.shadowRoot?.activeElement) element = element.shadowRoot.activeElement
  return element as never
}

// ---- the wire

async function command<T>(method: string, url: string, body?: object): Promise<T> {
  const response = await fetch(url, {
    method,
    signal: AbortSignal.timeout(COMMAND_MS),
    ...(body && {body: JSON.stringify(body)}),
  })
  const {value} = (await response.json()) as {value: any}
  if (!response.ok) throw new Error(`${method} ${url}: ${value.error}: ${value.message}`)
  return value
}

/** Waits until a driver answers. */
async function answers(child: ChildProcess, url: string): Promise<void> {
  for (const limit = Date.now() + START_MS; Date.now() < limit; await sleep(20)) {
    if (!isRunning(child)) throw new Error(`WebKitWebDriver ended with ${child.exitCode ?? child.signalCode}`)
    try {
      return void (await command('GET', url + '/status'))
    } catch {}
  }
  throw new Error('WebKitWebDriver did not start')
}
