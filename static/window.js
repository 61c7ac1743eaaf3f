// @ts-check
import {instant, since} from './time.js'

/** @import {Instant} from './time.js' */

/** The channel on which a sign-in window tells its number, and hears that another takes its place. */
const WINDOWS = 'curfew.windows'

/** A click so soon after another is no wish for another window: the first one may still be on its way. */
const AGAIN_MS = 3_000

/** What the application may put something else in the place of later: see originals.js. */
const {BroadcastChannel, open} = window

const WIDTH = 480
const HEIGHT = 640

/**
 * The sign-in window of a page that waits. The opener policy of Curfew's pages parts the two at
 * once: the page sees neither whether its window is still open nor can it bring it to the front. So
 * a later click opens another one, and has the first close itself. One in which somebody is being
 * signed in stays until that is done.
 */
export class SignInWindow {
  #url
  /** @type {Instant | undefined} */
  #opened
  /** What the window is called on the channel. */
  #number = 0
  /** @type {BroadcastChannel | undefined} */
  #channel

  /** @param {string} url */
  constructor(url) {
    this.#url = url
  }

  /**
   * Opens it. A click must have asked for it, or the browser holds it back.
   * @returns {boolean} false where no window can be had
   */
  show() {
    if (this.#opened && since(this.#opened) < AGAIN_MS) return true
    this.forget()
    const left = Math.round(screenX + (outerWidth - WIDTH) / 2)
    const top = Math.round(screenY + (outerHeight - HEIGHT) / 2)
    try {
      if (!open(this.#url, '_blank', `popup,width=${WIDTH},height=${HEIGHT},left=${left},top=${top}`)) return false
    } catch {
      return false // the application has put something of its own in its place
    }
    this.#opened = instant()
    const channel = (this.#channel = new BroadcastChannel(WINDOWS))
    if (this.#number) channel.postMessage({replaced: this.#number})
    channel.onmessage = ({data}) => {
      if (!data.opened) return
      this.#number = data.opened
      this.forget()
    }
    return true
  }

  /** Listens no more: a channel that is open keeps a page out of the cache for Back. */
  forget() {
    this.#channel?.close()
  }
}
