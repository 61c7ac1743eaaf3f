import {type ChildProcess, spawn} from 'node:child_process'
import {mkdtemp, rm} from 'node:fs/promises'
import {request} from 'node:http'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect, Server} from './curfew'

/** The Django application of examples/django under gunicorn, started as its README says. */
class Application {
  log = ''
  readonly #process: ChildProcess
  readonly #gone: Promise<unknown>

  private constructor(readonly folder: string) {
    this.#process = spawn('examples/django/run.sh', ['app'], {
      env: {...process.env, STATE: folder},
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#process.stderr!.on('data', data => {
      this.log += data
    })
    this.#gone = new Promise(resolve => this.#process.once('exit', resolve))
  }

  static async start(): Promise<Application> {
    const application = new Application(await mkdtemp(join(tmpdir(), 'curfew-django-')))
    await expect(async () => {
      expect(application.#process.exitCode, application.log).toBeNull()
      expect(await application.status()).toBe(403) // nobody vouches for this request
    }).toPass({intervals: [50], timeout: 20_000})
    return application
  }

  get socket(): string {
    return join(this.folder, 'app.sock')
  }

  /** Asks the application itself, past whatever stands in front of it. */
  private status(): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      request({socketPath: this.socket, path: '/', headers: {host: 'localhost'}}, answer => {
        answer.resume().on('end', () => resolve(answer.statusCode))
      })
        .on('error', reject)
        .end()
    })
  }

  async stop(): Promise<void> {
    this.#process.kill('SIGTERM')
    await this.#gone
    await rm(this.folder, {recursive: true, force: true})
  }
}

/** The application and what stands in front of it. */
export class Site {
  private constructor(
    readonly origin: string,
    /** Curfew; its URL has the base path, below which its own routes are. */
    readonly server: Server,
    readonly application: Application,
  ) {}

  /** Curfew is the application's reverse proxy. */
  static async behindCurfew(): Promise<Site> {
    const application = await Application.start()
    const server = await Server.start('--upstream', 'unix:' + application.socket)
    const origin = server.url
    server.url += '/.curfew'
    return new Site(origin, server, application)
  }

  async stop(): Promise<void> {
    await this.server.stop()
    await this.application.stop()
  }
}
