// @ts-check
import {isHidden} from './page.js'

/** So long it is told that the page polls. */
const TOLD_MS = 10_000

/**
 * Each answer to a poll is heard of. So long after the last one the server is out of reach as well:
 * no poll takes longer.
 */
const SILENCE_MS = 6_000

/**
 * What is told of the connection: that it is lost, or for a while that the page polls, which is
 * well. Where it polls, a socket that was refused once more is no news.
 */
export class Line {
  #tell
  #polls = false
  #toldTimer = 0
  #silenceTimer = 0

  /** @param {(code: string) => void} tell empty: there is nothing to tell */
  constructor(tell) {
    this.#tell = tell
  }

  /** @param {string} code how the connection is: lost, polling, or empty when all is well */
  set(code) {
    if (code === 'polling') this.#answered()
    else if (!code || !this.#polls) this.#turn(code)
  }

  #answered() {
    clearTimeout(this.#silenceTimer)
    this.#silenceTimer = setTimeout(() => this.#silent(), SILENCE_MS)
    if (this.#polls) return
    this.#polls = true
    this.#tell('polling')
    this.#toldTimer = setTimeout(() => this.#tell(''), TOLD_MS)
  }

  #silent() {
    if (isHidden())
      this.#silenceTimer = setTimeout(() => this.#silent(), SILENCE_MS) // its polls are slow
    else this.#turn('lost')
  }

  /** The page does not poll, or in vain. @param {string} code */
  #turn(code) {
    this.#polls = false
    clearTimeout(this.#toldTimer)
    clearTimeout(this.#silenceTimer)
    this.#tell(code)
  }

  /** There is nobody to tell any more. */
  end() {
    clearTimeout(this.#toldTimer)
    clearTimeout(this.#silenceTimer)
  }
}
