// @ts-check
/**
 * @typedef {{user: string, who: string, rights: string, warn_in_ms: number, expire_in_ms: number, csrf: string,
 *   heartbeat_ms: number, extend_on: string, reason?: string, message?: string}} Status
 */

/** How long an answer may take. */
export const ANSWER_MS = 5_000

/** Requests to Curfew's routes, and the token that those of the session need. */
export class HTTP {
  /** Where Curfew's routes are, with a slash at its end. */
  base
  /** Whose session the page is for; empty until the server has said so. */
  user = ''
  /** The token against cross-site requests; empty until the server has answered over HTTP. */
  csrf = ''
  #guard
  #required

  /**
   * @param {{end: (reason?: string, message?: string, location?: string) => undefined, rest: () =>
   *   void}} guard told when the session of this page is over, or when there is none and this page
   *   never knew of one
   * @param {string} base
   * @param {boolean} required whether to have no session is an end for this page
   */
  constructor(guard, base, required) {
    this.#guard = guard
    this.base = base
    this.#required = required
  }

  /**
   * Asks how the session stands. That it is over, or that there never was one, the guard is told
   * here.
   * @param {string} [path]
   * @param {RequestInit} [init]
   * @returns {Promise<Status | undefined>} undefined where there is no such answer, or no answer at
   *   all
   */
  async ask(path = 'session/status', init = {}) {
    /** @type {Response} */
    let response
    /** @type {any} */
    let body
    try {
      response = await this.#fetch(path, {...init, headers: {Accept: 'application/json', ...init.headers}})
      body = await response.json()
    } catch {
      return
    }
    if (response.ok) {
      if (this.user && body.user !== this.user) return this.#guard.end('replaced')
      this.csrf = body.csrf
      return body
    }
    if (response.status !== 401) return
    if (body.reason || this.user || this.#required) this.#guard.end(body.reason, body.message, body.location)
    else this.#guard.rest()
  }

  /** @param {string} path @param {Record<string, string>} fields */
  post(path, fields) {
    return this.ask(path, {
      method: 'POST',
      body: new URLSearchParams(fields),
      headers: {'X-CSRF-Token': this.csrf},
    })
  }

  /**
   * Signs out. A form would be subject to the page's own policy, and to its `beforeunload`.
   * @returns {Promise<boolean>} whether the session is over
   */
  async signOut() {
    try {
      const response = await this.#fetch('logout', {
        method: 'POST',
        redirect: 'manual',
        headers: {'X-CSRF-Token': this.csrf},
      })
      return response.ok || response.type === 'opaqueredirect'
    } catch {
      return false
    }
  }

  /** @param {string} path @param {RequestInit} init */
  #fetch(path, init) {
    // A service worker of the application may keep answers, whatever they say of that.
    const query = navigator.serviceWorker?.controller ? '?' + Math.random() : ''
    return fetch(this.base + path + query, {
      cache: 'no-store',
      credentials: 'same-origin',
      signal: AbortSignal.timeout(ANSWER_MS),
      ...init,
    })
  }
}
