import {type ChildProcess, execFile, spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtemp, readdir, readFile, rm} from 'node:fs/promises'
import {request} from 'node:http'
import {tmpdir, userInfo} from 'node:os'
import {join, resolve} from 'node:path'
import {promisify} from 'node:util'
import {expect, Server} from './curfew'
import {freePort} from './slapd'

/** The Django application of examples/django under gunicorn, started as its README says. */
class Application {
  log = ''
  readonly #process: ChildProcess
  readonly #gone: Promise<unknown>

  private constructor(
    readonly folder: string,
    publicURL: string,
  ) {
    this.#process = spawn('examples/django/run.sh', ['app'], {
      env: {...process.env, STATE: folder, PUBLIC_URL: publicURL},
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#process.stderr!.on('data', data => {
      this.log += data
    })
    this.#gone = once(this.#process, 'exit')
  }

  /** @param publicURL what browsers see; its port does not matter */
  static async start(publicURL = 'http://localhost'): Promise<Application> {
    const application = new Application(await mkdtemp(join(tmpdir(), 'curfew-django-')), publicURL)
    await expect(async () => {
      expect(application.#process.exitCode, application.log).toBeNull()
      expect(await application.status()).toBe(403) // nobody vouches for this request
    }).toPass({intervals: [50], timeout: 30_000})
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

/** The form whose text is kept, as in run.sh. */
const KEPT = '--keep-forms=form.entry'

/** nginx with the configuration that proxy-config prints. */
class Nginx {
  log = ''
  readonly #process: ChildProcess
  readonly #gone: Promise<unknown>

  /** @param folder that of nginx.conf, in which it keeps all else, too */
  private constructor(folder: string) {
    const directives = `daemon off; user ${userInfo().username};` // the workers may open the application's socket
    this.#process = spawn('/usr/sbin/nginx', ['-p', folder, '-c', 'nginx.conf', '-g', directives], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#process.stderr!.on('data', data => {
      this.log += data
    })
    this.#gone = once(this.#process, 'exit')
  }

  /** @param settings of the Curfew that it asks */
  static async start(application: Application, origin: string, settings: string[]): Promise<Nginx> {
    const folder = join(application.folder, 'nginx')
    await promisify(execFile)(process.env.CURFEW_BIN ?? 'bin/curfew', [
      'proxy-config',
      'nginx',
      '--inject',
      `--app=unix:${application.socket}`,
      `--out=${folder}`,
      ...settings,
    ])
    const nginx = new Nginx(folder)
    await expect(async () => {
      expect(nginx.#process.exitCode, nginx.log).toBeNull()
      expect((await fetch(origin + '/.curfew/healthz')).status).toBe(200)
    }).toPass({intervals: [20], timeout: 10_000})
    return nginx
  }

  async stop(): Promise<void> {
    this.#process.kill('SIGTERM')
    await this.#gone
  }
}

/** The application and what stands in front of it. */
export class Site {
  private constructor(
    readonly origin: string,
    /** Curfew, whose own routes are below its base path. */
    readonly server: Server,
    readonly application: Application,
    readonly proxy?: Nginx,
  ) {
    server.url = origin
  }

  /** Curfew is the application's reverse proxy. */
  static async behindCurfew(): Promise<Site> {
    const application = await Application.start()
    const server = await Server.start('--upstream', 'unix:' + application.socket, KEPT)
    return new Site(server.url, server, application)
  }

  /** The same where Curfew serves TLS, with a certificate that nobody has signed. */
  static async behindTLS(): Promise<Site> {
    const application = await Application.start('https://localhost')
    const [key, cert] = [join(application.folder, 'key.pem'), join(application.folder, 'cert.pem')]
    const request = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost'.split(' ')
    await promisify(execFile)('openssl', [...request, '-keyout', key, '-out', cert])
    const flags = ['--upstream', 'unix:' + application.socket, '--tls-cert', cert, '--tls-key', key]
    const server = await Server.start(...flags)
    return new Site(server.url, server, application)
  }

  /** nginx is the application's reverse proxy, and asks Curfew. */
  static async behindNginx(): Promise<Site> {
    const application = await Application.start()
    const origin = `http://localhost:${await freePort()}`
    const settings = [
      `--verify-listen=127.0.0.1:${await freePort()}`,
      '--base-path=/.curfew',
      `--public-url=${origin}`,
      '--trusted-proxies=127.0.0.1/32',
      KEPT,
    ]
    const server = await Server.start(...settings)
    const proxy = await Nginx.start(application, origin, [`--listen=${new URL(server.url).host}`, ...settings])
    return new Site(origin, server, application, proxy)
  }

  async stop(): Promise<void> {
    await this.proxy?.stop()
    await this.server.stop()
    await this.application.stop()
  }
}

/** The whole example, as its run.sh starts it. */
export class Example {
  log = ''
  readonly origin: string
  readonly #process: ChildProcess
  readonly #gone: Promise<unknown>

  /** @param folder where all that it writes is */
  private constructor(
    mode: string,
    readonly folder: string,
    [port, guard, doors]: number[],
  ) {
    this.origin = `http://localhost:${port}`
    const {STATE, PUBLIC_URL, ...inherited} = process.env
    this.#process = spawn('examples/django/run.sh', [mode, '--testing'], {
      env: {
        ...inherited,
        TMPDIR: folder,
        CURFEW_BIN: resolve(process.env.CURFEW_BIN ?? 'bin/curfew'),
        PORT: String(port),
        GUARD_PORT: String(guard),
        DOORS_PORT: String(doors),
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#process.stderr!.on('data', data => {
      this.log += data
    })
    this.#gone = once(this.#process, 'exit')
  }

  static async start(mode: string): Promise<Example> {
    const ports = [await freePort(), await freePort(), await freePort()]
    const example = new Example(mode, await mkdtemp(join(tmpdir(), 'curfew-example-')), ports)
    await expect(async () => {
      expect(example.#process.exitCode, example.log).toBeNull()
      expect((await fetch(example.origin + '/.curfew/healthz')).status).toBe(200)
    }).toPass({intervals: [50], timeout: 30_000})
    return example
  }

  /** Stops it as a service manager does, and returns what is left of it. */
  async stop(): Promise<{files: string[]; processes: string[]}> {
    this.#process.kill('SIGTERM')
    await this.#gone
    const files = await readdir(this.folder)
    await rm(this.folder, {recursive: true, force: true})
    const processes = []
    for (const id of await readdir('/proc')) {
      const command = await readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '') // no process, or gone by now
      if (command.includes(this.folder)) processes.push(command)
    }
    return {files, processes}
  }
}
