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
    // What Curfew's own pages mark, and what is sent to its sign-out: others are an application's own.
    this.#selector = `input[data-curfew-csrf], form[action="${CSS.escape(action)}"] input[name="csrf"]`
  }

  /** @returns {NodeListOf<HTMLInputElement>} what holds the token */
  get #fields() {
    return document.querySelectorAll(this.#selector)
  }

  /** Asks for the token of the session, where the page has forms that need it. */
  async renew() {
    if (this.#fields.length > 0 && (await this.#http.ask())) this.update()
  }

  /** Puts the token in that the server told last. */
  update() {
    const {csrf} = this.#http
    if (csrf) for (const field of this.#fields) field.value = csrf
  }
}
