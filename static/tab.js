// @ts-check
import {listen} from './page.js'

/** The channel on which the tabs of this browser tell which they are. */
const CHANNEL = 'curfew.tabs'

/** Where a tab's id is kept, so that its next page has the same. */
const TAB_KEY = 'curfew.tab'

/** How long another tab may take to say that it is open. */
const ANSWER_MS = 300

/** What the application may put something else in the place of later: see originals.js. */
const {BroadcastChannel} = window

const random = () => Array.from(crypto.getRandomValues(new Uint32Array(3)), n => n.toString(36)).join('')

/**
 * Which tab this is, and which others are open. A tab that was duplicated has the id of the first
 * and finds that out, and takes one of its own. Frames are of the tab around them.
 *
 * A page that is kept for Back or frozen answers nobody: an open channel or a message would take it
 * out of the cache, and a frozen one does not run.
 */
export class Tab {
  /** Empty until something is to be kept. */
  id = ''
  #page = random()
  #isTop = window === window.top
  /** @type {BroadcastChannel | undefined} */
  #channel
  /** @type {Set<string>} */
  #others = new Set()
  #settled = false
  /** Told that the tab has got another id, since it was a duplicate. */
  onchange = () => {}

  /** @param {AbortSignal} [signal] ends it */
  constructor(signal) {
    this.#open()
    listen(window, 'pageshow', () => this.#open(), {signal})
    listen(window, 'pagehide', () => this.#close(), {signal})
    signal?.addEventListener('abort', () => this.#close())
    this.ready = this.others().then(() => (this.#settled = true))
  }

  #open() {
    try {
      this.id = sessionStorage.getItem(TAB_KEY) ?? this.id
    } catch {} // storage is turned off: each page is a tab of its own
    if (this.#channel) return
    this.#channel = new BroadcastChannel(CHANNEL)
    this.#channel.onmessage = event => this.#heard(event.data)
  }

  #close() {
    this.#channel?.close()
    this.#channel = undefined
  }

  /** @param {boolean} asks */
  #say(asks) {
    this.#channel?.postMessage({tab: this.id, page: this.#page, top: this.#isTop, asks})
  }

  /** @param {{tab: string, page: string, top: boolean, asks: boolean}} message */
  #heard({tab, page, top, asks}) {
    if (tab !== this.id) this.#others.add(tab)
    else if (tab && top && this.#isTop && (!asks || (!this.#settled && page < this.#page))) return this.#change()
    if (asks && this.id) this.#say(false)
  }

  #change() {
    this.#others.add(this.id)
    this.#set()
    this.onchange()
  }

  #set() {
    this.id = random()
    try {
      sessionStorage.setItem(TAB_KEY, this.id)
    } catch {}
  }

  /** Gives the tab an id where it has none. */
  need() {
    if (!this.id) this.#set()
    return this.id
  }

  /** Asks which other tabs are open. @returns {Promise<Set<string>>} their ids */
  async others() {
    this.#others.clear()
    this.#say(true)
    await new Promise(resolve => setTimeout(resolve, ANSWER_MS))
    return this.#others
  }
}
