// @ts-check
/** @import {HTTP} from './http.js' */

/**
 * Gives the forms of Curfew's in this page the token of the session that there is now: it may be
 * another one than when the page was made.
 */
export class Forms {
  #http
  #selector

  /** @param {HTTP} http */
  constructor(http) {
    this.#http = http
    const action = new URL(http.base).pathname + 'logout'
    this.#selector = `form[action="${CSS.escape(action)}"] input[name="csrf"]`
  }

  /** The token that the page has; empty where it has none. */
  get #token() {
    const field = /** @type {HTMLInputElement | null} */ (document.querySelector(this.#selector))
    return field?.value ?? ''
  }

  /** Asks for the token of the session, where the page has forms that need it. */
  async renew() {
    if (this.#token && (await this.#http.ask())) this.update()
  }

  /** Puts the token in that the server told last. */
  update() {
    const old = this.#token
    const {csrf} = this.#http
    if (!old || old === csrf) return
    const fields = /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll('input[name="csrf"]'))
    for (const field of fields) if (field.value === old) field.value = csrf // others are an application's own
  }
}
