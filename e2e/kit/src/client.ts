import {randomUUID} from 'node:crypto'
import {request as http} from 'node:http'
import {request as https} from 'node:https'

/** What breaks sockets, until `none`: see POST /testing/fault. */
export type Fault = 'drop' | 'stall' | 'refuse' | 'none'

/** What POST /api/v1/logouts takes: exactly one of the first five, and how. */
export interface Logout {
  user?: string
  group?: string
  session?: string
  sessions?: string[]
  everyone?: true
  message?: string
  grace_ms?: number
  block_ms?: number
  dry_run?: boolean
}

/** What it answers. */
export interface LoggedOut {
  id: string
  sessions: number
  tabs: number
  waiting: number
  skipped: number
  effective_at: string
}

/** A session that was made without a sign-in. */
export interface Minted {
  /** The cookies, each as `name=value`. */
  cookie: string
  seen: string
  /** What it is called in the API, and by `age`. */
  ref: string
}

/** An entry of the timeline. */
export interface Moment {
  at: string
  session: string
  user: string
  kind: 'input' | 'decision' | 'push'
  what: string
}

export interface ClientOptions {
  /** A bearer token of the API, of scope `admin`. */
  token?: string | undefined
  /** A group whose members may administer; `admins` by default. Without a token, somebody of it forces logouts. */
  adminGroup?: string | undefined
  /** Whether certificates are taken as they are. */
  ignoreHTTPSErrors?: boolean | undefined
}

/** Calls a Curfew that runs with `--testing`. */
export class Curfew {
  readonly url: string
  readonly #options: ClientOptions

  /** @param url the server's, with its base path: http://localhost:8080/.curfew */
  constructor(url: string, options: ClientOptions = {}) {
    this.url = url.replace(/\/+$/, '')
    this.#options = options
  }

  /** Calls one of the /testing/ routes. */
  call<T = unknown>(path: string, body?: object): Promise<T> {
    return this.#json(body ? 'POST' : 'GET', `/testing/${path}`, {body: JSON.stringify(body)})
  }

  /** Calls the API as a program does, which takes the token. */
  api<T = any>(method: string, path: string, body?: object): Promise<T> {
    const headers = {Authorization: `Bearer ${this.#options.token ?? ''}`}
    return this.#json(method, `/api/v1${path}`, {headers, body: JSON.stringify(body)})
  }

  /** Moves the server's clock, for all sessions. What is due by then has been told when it answers. */
  advance(ms: number): Promise<unknown> {
    return this.call('clock', {advance_ms: ms})
  }

  /** Makes one session alone so much older. */
  age(ref: string, ms: number): Promise<unknown> {
    return this.call('age', {ref, by_ms: ms})
  }

  /** Makes a session without a sign-in. */
  mint(user: string, groups: string[] = []): Promise<Minted> {
    return this.call('session', {user, groups})
  }

  /** Breaks all sockets so, until `none`. */
  fault(kind: Fault): Promise<unknown> {
    return this.call('fault', {kind})
  }

  /** What the server heard from pages, decided and told them, oldest first. */
  async timeline(): Promise<Moment[]> {
    return (await this.call<{items: Moment[]}>('timeline')).items
  }

  /** Ends all sessions, and sets back whatever tests may have changed, the clock too. */
  async reset(): Promise<void> {
    await this.call('reset', {})
  }

  /** Ends sessions as an administrator: {user: 'grace'}, {everyone: true, grace_ms: 30_000}, … */
  async forceLogout(order: Logout): Promise<LoggedOut> {
    if (this.#options.token) return this.api('POST', '/logouts', order)
    const {cookie} = await this.mint(`curfew-kit-${randomUUID()}`, [this.#options.adminGroup ?? 'admins'])
    const {csrf} = await this.#json<{csrf: string}>('GET', '/session/status', {headers: {Cookie: cookie}})
    const headers = {Cookie: cookie, 'X-CSRF-Token': csrf}
    try {
      return await this.#json('POST', '/api/v1/logouts', {headers, body: JSON.stringify({...order, except_self: true})})
    } finally {
      await send('POST', this.url + '/logout', {headers, ...this.#trust})
    }
  }

  get #trust() {
    return {ignoreHTTPSErrors: this.#options.ignoreHTTPSErrors}
  }

  async #json<T>(method: string, path: string, options: Omit<Sent, 'ignoreHTTPSErrors'>): Promise<T> {
    const what = `${method} ${this.url}${path}`
    const {status, body} = await send(method, this.url + path, {...options, ...this.#trust}).catch(error => {
      throw new Error(`${what}: ${(error as Error).message}`)
    })
    const hint = path.startsWith('/testing/') && (status === 404 || status === 401) ? HINT : ''
    if (status !== 200) throw new Error(`${what}: ${status} ${body.trim()}${hint}`)
    return JSON.parse(body) as T
  }
}

const HINT = '\nIs the URL with its base path (http://localhost:8080/.curfew), and does the server run with --testing?'

interface Sent {
  headers?: Record<string, string>
  body?: string | undefined
  ignoreHTTPSErrors?: boolean | undefined
}

/** Sends a request over a connection of its own: the server may be another process than a moment ago. */
function send(
  method: string,
  url: string,
  {headers, body, ignoreHTTPSErrors}: Sent,
): Promise<{status: number; body: string}> {
  return new Promise((resolve, reject) => {
    const options = {method, headers, agent: false, rejectUnauthorized: !ignoreHTTPSErrors}
    const request = url.startsWith('https:') ? https : http
    const sent = request(url, options as object, answer => {
      answer.toArray().then(chunks => {
        resolve({status: answer.statusCode!, body: Buffer.concat(chunks).toString()})
      }, reject)
    })
    sent.on('error', reject).end(body)
  })
}
