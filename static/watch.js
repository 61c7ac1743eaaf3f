// @ts-check
import {importer} from './modules.js'
import {PRESENCE, SETTLED_MS} from './page.js'
import {say} from './words.js'

/** @typedef {import('./presence.js').Presence} Presence */

/** Imports presence.js once the page shows any, and passes on to it what there is to know. */
export class PresenceWatch {
  #import = importer('./presence.js')
  #watch
  #signal
  /** @type {Presence | undefined} */
  #presence
  #isOpen = false
  #failed = false // on this connection
  #pending = false
  #changes = new MutationObserver(() => this.#look())

  /**
   * @param {(users: string[]) => boolean} watch asks for the presence of users; false where nobody
   *   can be asked now
   * @param {AbortSignal} signal ends it
   */
  constructor(watch, signal) {
    this.#watch = watch
    this.#signal = signal
    this.#changes.observe(document, {subtree: true, childList: true, attributeFilter: ['data-curfew-presence']})
    signal.addEventListener('abort', () => this.#changes.disconnect())
  }

  #look() {
    if (this.#pending) return
    this.#pending = true
    setTimeout(() => {
      this.#pending = false
      this.#load()
    }, SETTLED_MS)
  }

  async #load() {
    if (this.#presence || !this.#isOpen || this.#failed || !document.querySelector(PRESENCE)) return
    const {Presence} = await this.#import().catch(() => ({}))
    this.#failed = !Presence
    if (!Presence || this.#presence || this.#signal.aborted) return
    this.#changes.disconnect()
    this.#presence = new Presence(this.#watch, this.#signal, say)
    if (this.#isOpen) this.#presence?.begin()
  }

  /** There is a new connection. */
  begin() {
    this.#isOpen = true
    this.#failed = false
    if (this.#presence) this.#presence.begin()
    else this.#load()
  }

  /** There is no connection any more. */
  end() {
    this.#isOpen = false
    this.#presence?.end()
  }

  /** @param {Record<string, string>} users */
  update(users) {
    this.#presence?.update(users)
  }
}
