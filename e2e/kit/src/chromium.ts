import {type ChildProcessByStdio, spawn} from 'node:child_process'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {Readable} from 'node:stream'
import {setTimeout as sleep} from 'node:timers/promises'
import {type Browser, type BrowserContext, chromium} from '@playwright/test'
import {killWhenWeAreGone} from './outlived.js'

/** A Chromium as people have it: tabs behind others are hidden, and can be frozen. */
export interface RealBrowser {
  browser: Browser
  context: BrowserContext
  /** The folder that holds what it keeps. */
  profile: string
  /** The browser's own process: its group has all of them. */
  pid: number
  /** Ends it as a person does: it writes what it keeps. */
  quit: () => Promise<void>
  /** Ends it as a power cut would. */
  kill: () => Promise<void>
  /** Ends it so, and starts it with what it had stored. */
  restart: () => Promise<void>
}

export interface LaunchOptions {
  executablePath?: string | undefined
  args?: string[] | undefined
}

type Launched = Pick<RealBrowser, 'browser' | 'context' | 'quit' | 'pid'> & {end: () => Promise<void>}

/** Contexts of such browsers. */
const contexts = new WeakSet<BrowserContext>()

export const isReal = (context: BrowserContext): boolean => contexts.has(context)

/** @param adopt is told each context before a page of the test is opened in it */
export async function startChromium(
  options: LaunchOptions,
  adopt: (context: BrowserContext) => Promise<void>,
): Promise<RealBrowser> {
  const profile = await mkdtemp(join(tmpdir(), 'curfew-chromium-'))
  const launch = async () => {
    const launched = await launchChromium(profile, options)
    try {
      await adopt(launched.context)
    } catch (error) {
      await launched.end()
      throw error
    }
    return launched
  }
  let {end, ...rest} = await launch()
  const real: RealBrowser = {
    ...rest,
    profile,
    restart: async () => {
      await end()
      ;({end, ...rest} = await launch())
      Object.assign(real, rest)
    },
    kill: async () => {
      await end()
      for (let tries = 0; tries < 20; tries++) {
        // its helpers may still write
        try {
          return await rm(profile, {recursive: true, force: true})
        } catch {
          await sleep(100)
        }
      }
    },
  }
  return real
}

async function launchChromium(profile: string, {executablePath, args = []}: LaunchOptions): Promise<Launched> {
  const child = spawn(
    executablePath ?? chromium.executablePath(),
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      ...args,
      'about:blank',
    ],
    {detached: true, stdio: ['ignore', 'ignore', 'pipe']},
  )
  const {pid} = child
  const gone = new Promise(resolve => child.once('exit', resolve))
  const callOff = pid === undefined ? () => {} : killWhenWeAreGone(-pid)
  void gone.then(callOff)
  const killAll = async () => {
    if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    process.kill(-pid, 'SIGKILL')
    await gone
  }
  try {
    const browser = await chromium.connectOverCDP(await endpointOf(child), {noDefaults: true})
    const context = browser.contexts()[0]!
    contexts.add(context)
    const end = async () => {
      await killAll()
      await browser.close().catch(() => {})
    }
    const quit = async () => {
      await (await browser.newBrowserCDPSession()).send('Browser.close')
      const late = setTimeout(killAll, 10_000)
      await gone
      clearTimeout(late)
    }
    return {end, browser, context, quit, pid: pid!}
  } catch (error) {
    await killAll()
    throw error
  }
}

/** Where a Chromium that starts can be driven. */
function endpointOf(child: ChildProcessByStdio<null, null, Readable>): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const late = setTimeout(() => reject(new Error('Chromium does not start: ' + text)), 20_000)
    child.stderr.on('data', data => {
      text += data
      const found = /DevTools listening on (ws:\S+)/.exec(text)
      if (found) resolve(found[1]!)
      if (found) clearTimeout(late)
    })
    child.once('error', reject)
    child.once('exit', () => reject(new Error('Chromium ended: ' + text)))
  })
}
