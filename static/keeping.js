// @ts-check
import {importer} from './modules.js'
import {KEEP, KEEPER, listen, SETTLED_MS, TAG} from './page.js'
import {isUntidy} from './shelf.js'
import {Tab} from './tab.js'

/** @import {HTTP} from './http.js' */
/** @import {Panel} from './panel.js' */
/** @typedef {import('./drafts.js').Drafts} Drafts */

/** How long a page whose drafts.js could not be had goes without. */
const AGAIN_MS = 5_000

/**
 * Imports drafts.js once this page, or a frame that rests below it, has a form whose text is kept;
 * or where there is a draft that has to go.
 */
export class Keeping {
  #import = importer('./drafts.js')
  #guard
  #http
  #panel
  #tab
  /** @type {Drafts | undefined} */
  #drafts

  /** @param {{signal: AbortSignal, isOver: boolean}} guard @param {HTTP} http @param {Panel} panel */
  constructor(guard, http, panel) {
    this.#guard = guard
    this.#http = http
    this.#panel = panel
    this.#tab = new Tab(guard.signal)
    this.#watch(document)
    listen(document, KEEP, event => this.#watch(event.detail), {signal: guard.signal})
    document.dispatchEvent(new CustomEvent(KEEPER)) // frames that were there first tell of themselves again
    if (isUntidy()) this.#load()
  }

  /** @returns {Promise<Drafts | undefined>} undefined once the page is over */
  async #load() {
    while (!this.#guard.signal.aborted) {
      try {
        const {Drafts} = await this.#import()
        return (this.#drafts ??= new Drafts(this.#guard, this.#http, this.#panel, this.#tab))
      } catch {
        await new Promise(resolve => setTimeout(resolve, AGAIN_MS))
      }
    }
  }

  /** @param {Document} document */
  #watch(document) {
    const selector = selectorOf(document)
    let pending = false
    const keep = async () => {
      changes.disconnect()
      ;(await this.#load())?.keep(document, selector)
    }
    const look = () => {
      pending = false
      if (document.querySelector(selector)) keep()
    }
    const changes = new MutationObserver(() => {
      if (!pending) setTimeout(look, SETTLED_MS)
      pending = true
    })
    changes.observe(document, {subtree: true, childList: true, attributes: true})
    this.#guard.signal.addEventListener('abort', () => changes.disconnect())
    look()
  }

  /** Stores what was typed up to now. @returns {Promise<void>} */
  async flush() {
    await this.#drafts?.flush()
  }
}

/** Which elements of a page are kept, by the mark and by its tag. @param {Document} document */
function selectorOf(document) {
  const marked = 'form[data-curfew-keep]'
  const {keep} = /** @type {HTMLElement | null} */ (document.querySelector(TAG))?.dataset ?? {}
  if (!keep) return marked
  try {
    document.querySelector(keep)
    return `${marked}, ${keep}`
  } catch {
    console.warn(`Curfew keeps no form by data-keep: it is no CSS selector: ${keep}`)
    return marked
  }
}
