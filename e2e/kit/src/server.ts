import {type ChildProcess, spawn} from 'node:child_process'
import {mkdtemp, readFile, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from '@playwright/test'
import {killWhenWeAreGone} from './outlived.js'

/**
 * A Curfew server of our own: the real program, on a free port of loopback, with a folder of its own for
 * its data, and `--testing`. Without flags it has the demo directory.
 */
export class Server {
  /** Where this process is reached, without the base path. */
  url = ''
  /** What it has logged. */
  log = ''
  /** Below which path the routes of Curfew are; empty for none. */
  base: string
  #process: ChildProcess | undefined
  #port = '0'

  protected constructor(
    readonly binary: string,
    readonly flags: string[],
    readonly folder: string,
  ) {
    this.base = basePath(flags)
  }

  /** @param binary the path of the program @param flags further ones of its command line */
  static async start(binary: string, ...flags: string[]): Promise<Server> {
    return new Server(binary, flags, await Server.newFolder()).started()
  }

  protected static newFolder(): Promise<string> {
    return mkdtemp(join(tmpdir(), 'curfew-'))
  }

  protected async started(): Promise<this> {
    try {
      await this.run()
    } catch (error) {
      await this.stop() // one that was too slow would stay
      throw error
    }
    return this
  }

  /** Starts the process, on the port that it had before. */
  async run(): Promise<void> {
    const ready = join(this.folder, 'ready')
    await rm(ready, {force: true})
    const args = [
      `--listen=127.0.0.1:${this.#port}`,
      `--data-dir=${join(this.folder, 'data')}`,
      `--ready-file=${ready}`,
      '--testing',
      ...this.flags,
    ]
    const child = spawn(this.binary, args, {stdio: ['ignore', 'ignore', 'pipe']})
    if (child.pid) child.once('exit', killWhenWeAreGone(child.pid))
    let failure = ''
    child.once('error', error => (failure = `${this.binary}: ${error.message}`))
    this.#process = child
    child.stderr.on('data', data => {
      this.log += data
    })
    await expect(async () => {
      expect(failure).toBe('')
      expect(child.exitCode, this.log).toBeNull()
      this.url = (await readFile(ready, 'utf8')).trim()
    }).toPass({intervals: [20], timeout: 10_000})
    this.#port = new URL(this.url).port
  }

  get running(): boolean {
    const child = this.#process
    return !!child?.pid && child.exitCode === null && child.signalCode === null
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process
    if (!child || !this.running) return
    const gone = new Promise(resolve => child.once('exit', resolve))
    child.kill(signal)
    await gone
  }

  /** Has it read its settings anew. */
  hangUp(): void {
    this.#process?.kill('SIGHUP')
  }

  async stop(): Promise<void> {
    await this.kill('SIGTERM')
    await rm(this.folder, {recursive: true, force: true})
  }
}

/** The base path of a server with these flags. */
function basePath(flags: string[]): string {
  const value = (name: string) => {
    const at = flags.findLastIndex(flag => flag === name || flag.startsWith(name + '='))
    return at < 0 ? undefined : flags[at] === name ? flags[at + 1] : flags[at]!.slice(name.length + 1)
  }
  return (value('--base-path') ?? (value('--upstream') ? '/.curfew' : '')).replace(/\/$/, '')
}
