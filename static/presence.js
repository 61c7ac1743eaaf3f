// @ts-check
import {PRESENCE, SETTLED_MS} from './page.js'

/** What users may be. */
const STATES = ['active', 'idle', 'warned', 'away', 'gone']

/** So many users may one page watch. */
const MAX_WATCHED = 100

/** Keeps the elements that show the presence of others. */
export class Presence {
  #watch
  #say
  /** @type {Record<string, string>} */
  #states = {}
  #asked = ''
  /** @type {WeakSet<Element>} those whose whole text is ours */
  #ours = new WeakSet()
  #pending = false

  /**
   * @param {(users: string[]) => boolean} watch asks for the presence of users; false where nobody
   *   can be asked now
   * @param {AbortSignal} signal ends it
   * @param {(key: string) => string} say the words of the page
   */
  constructor(watch, signal, say) {
    this.#watch = watch
    this.#say = say
    const changes = new MutationObserver(() => this.#look())
    changes.observe(document.documentElement, {
      subtree: true,
      childList: true,
      attributes: true,
      attributeFilter: ['data-curfew-presence'],
    })
    signal.addEventListener('abort', () => changes.disconnect())
  }

  /** Asks anew, on a new connection. */
  begin() {
    this.#asked = ''
    this.#states = {}
    this.#ask()
  }

  /** Without a connection nobody knows who is here. */
  end() {
    this.#states = {}
    this.#show()
  }

  /** @param {Record<string, string>} users */
  update(users) {
    if (Object.keys(users).length === 0) this.#states = {}
    Object.assign(this.#states, users)
    this.#show()
  }

  #look() {
    if (this.#pending) return
    this.#pending = true
    setTimeout(() => {
      this.#pending = false
      this.#ask()
      this.#show()
    }, SETTLED_MS)
  }

  #ask() {
    const names = new Set(
      Array.from(document.querySelectorAll(PRESENCE), element => element.getAttribute('data-curfew-presence') ?? ''),
    )
    names.delete('')
    const users = [...names].slice(0, MAX_WATCHED)
    const asked = users.length > 0 ? JSON.stringify(users) : ''
    if (asked !== this.#asked && this.#watch(users)) this.#asked = asked
  }

  #show() {
    for (const element of document.querySelectorAll(PRESENCE)) {
      const state = this.#states[element.getAttribute('data-curfew-presence') ?? '']
      const text = state && STATES.includes(state) ? this.#say('presence.' + state) : (state ?? '')
      if (!element.hasChildNodes()) this.#ours.add(element)
      if (this.#ours.has(element)) {
        if (element.textContent !== text) element.textContent = text
      } else if (element.getAttribute('aria-description') !== text) {
        element.setAttribute('aria-description', text)
        element.setAttribute('title', text)
      }
      if (state && element.getAttribute('data-state') !== state) element.setAttribute('data-state', state)
      else if (!state) element.removeAttribute('data-state')
    }
  }
}
