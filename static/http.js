// @ts-check
import {instant, since} from './time.js'

/**
 * @typedef {{who: string, rights: string, handle: string, keep_ms: number}} Own
 * @typedef {{user: string, warn_in_ms: number, expire_in_ms: number, csrf: string, heartbeat_ms: number,
 *   extend_on: string, reason?: string, message?: string,
 *   ended?: {reason?: string, ago_ms: number, revoked: boolean}} & Own} Status
 * @typedef {{reason?: string, message?: string, text?: string, data?: Record<string, string>, location?: string,
 *   keep_ms?: number, handle?: string}} End
 */

/** How long an answer may take. */
export const ANSWER_MS = 5_000

/** Requests to Curfew's routes, and the token that those of the session need. */
export class HTTP {
  /** Where Curfew's routes are, with a slash at its end. */
  base
  /**
   * The session that the page is for, whose user and rights are those that it was told first.
   * @type {Own | undefined} none until the server has said so
   */
  own
  /** The token against cross-site requests; empty until the server has answered over HTTP. */
  csrf = ''
  #guard
  #required

  /**
   * @param {{end: (end?: End) => Promise<undefined>, rest: () => void}} guard told when the session of this
   *   page is over, or when there is none and this page never knew of one
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
  async ask(path, init) {
    const answer = await this.look(path, init)
    if (!answer) return
    const {status, body} = answer
    if (status < 300) {
      if (this.isOther(body)) return this.#guard.end(body)
      this.csrf = body.csrf
      return body
    }
    if (status !== 401) return
    if (body.reason || this.own || this.#required) this.#guard.end(body)
    else this.#guard.rest()
  }

  /**
   * Asks, and does nothing else. By default it asks how the session stands.
   * @param {string} [path] with a query
   * @param {RequestInit} [init]
   * @returns {Promise<{status: number, body: any} | undefined>} undefined where there is no answer,
   *   or one that is old by now: the page slept
   */
  async look(path, init = {}) {
    const asked = instant()
    try {
      const response = await this.#fetch(path || 'session/status?handle=' + (this.own?.handle ?? ''), {
        ...init,
        headers: {Accept: 'application/json', ...init.headers},
      })
      const body = await response.json()
      if (since(asked) < ANSWER_MS) return {status: response.status, body}
    } catch {}
  }

  /** Takes over which session it is. @param {Own} told */
  know({who, rights, handle, keep_ms}) {
    this.own = {who, rights, ...this.own, handle, keep_ms}
  }

  /** Whether the browser has another session than this page. @param {Own} told */
  isOther({handle}) {
    return this.own && this.own.handle !== handle
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
    // A service worker of the application may keep answers, whatever they say of that: all but a POST's.
    const query = navigator.serviceWorker?.controller && !init.method ? '&' + Math.random() : ''
    return fetch(this.base + path + query, {
      cache: 'no-store',
      credentials: 'same-origin',
      signal: AbortSignal.timeout(ANSWER_MS),
      ...init,
    })
  }
}
