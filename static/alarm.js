// @ts-check
import {listen} from './page.js'
import {LONGEST_TIMEOUT} from './time.js'

/** @import {Host} from './display.js' */

/** Taken before the page may replace them. WebKit has no scheduler. */
const {requestAnimationFrame, scheduler} = window

/**
 * Has deadlines look before the page paints, where the page comes to life past its end: after sleep
 * all timers are due, and those of the page, or a frame, may come first.
 *
 * A task at the end looks, which browsers run before timers and frames (Prioritized Task Scheduling,
 * WICG, user-blocking); its delay stands still in sleep as that of timers does. A frame may still be
 * the first of all. So each change of the page has a look too, by whatever clock the end is past: at
 * once, and in the next frame before that is painted (HTML, 8.1.7.3), which may come after a sleep. A
 * page at rest has neither frames nor callbacks.
 *
 * What moves without a change to the document is left to the task: animations, a canvas.
 */
export class Alarm {
  #deadlines
  #signal
  #set = new AbortController()
  /** Whether deadlines have looked since the end. */
  #hasRung = false
  #changes = new MutationObserver(() => this.#changed())

  /** @param {Pick<Host, 'signal' | 'deadlines'>} guard */
  constructor({signal, deadlines}) {
    this.#deadlines = deadlines
    this.#signal = signal
    for (const type of ['active', 'warn']) listen(document, 'curfew:' + type, () => this.set(), {signal})
    signal.addEventListener('abort', () => {
      this.#set.abort()
      this.#changes.disconnect()
    })
    this.#watch()
    this.set()
  }

  /** Takes over the end that deadlines know of: it may be another one. A later one it finds by itself. */
  set() {
    this.#set.abort()
    this.#set = new AbortController()
    const {signal} = this.#set
    const {remaining} = this.#deadlines
    if (remaining <= 0 || remaining === Infinity || this.#signal.aborted) return
    this.#hasRung = false
    const delay = Math.min(LONGEST_TIMEOUT, Math.ceil(remaining))
    const task = scheduler?.postTask(() => this.#look() || this.set(), {
      priority: 'user-blocking',
      delay,
      signal,
    })
    task?.catch(() => {}) // it was set anew
  }

  /** @returns {boolean} whether the end is past */
  #look() {
    const isPast = this.#deadlines.remaining <= 0
    if (isPast && !this.#hasRung) this.#deadlines.check()
    return (this.#hasRung = isPast)
  }

  #watch() {
    if (this.#signal.aborted) return
    this.#changes.observe(document, {subtree: true, childList: true, characterData: true, attributes: true})
  }

  /** However much the page changes, it costs one call a frame. */
  #changed() {
    this.#look()
    this.#changes.disconnect()
    requestAnimationFrame(() => {
      this.#look()
      this.#watch()
    })
  }
}
