// @ts-check
import {KeptForms} from './keptforms.js'
import {listen} from './page.js'
import {hasSubmitted, Shelf} from './shelf.js'
import {Keyring, Storing} from './storing.js'

/** @import {HTTP} from './http.js' */
/** @import {Panel} from './panel.js' */
/** @import {Tab} from './tab.js' */

/**
 * Keeps what is typed into the forms of a page and of the frames that rest below it, and brings it
 * back. warning.js imports it where there is such a form; it lives as long as the page.
 *
 * A draft is sealed as soon as it is typed, by a key that only a live session of its user gets, and
 * lies in IndexedDB for 24 h. It is found by page, form and user. Each tab has its own: one that
 * has none takes the newest that no open tab has.
 */
export class Drafts {
  #guard
  #panel
  #tab
  #shelf = new Shelf()
  #keyring
  #storing
  #tidied
  /** @type {WeakSet<Document>} */
  #documents = new WeakSet()
  /** @type {Set<Promise<void>>} */
  #finding = new Set()
  /** Takes the line away that says that nothing can be kept. @type {(() => void) | undefined} */
  #line
  #dismissed = false
  #isWanted = false // something has been typed that is to be kept
  #failed = false

  /** @param {{signal: AbortSignal, isOver: boolean}} guard @param {HTTP} http @param {Panel} panel @param {Tab} tab */
  constructor(guard, http, panel, tab) {
    this.#guard = guard
    this.#panel = panel
    this.#tab = tab
    const {signal} = guard
    this.#keyring = new Keyring(http, signal, () => this.#fared(false))
    this.#storing = new Storing(this.#keyring, this.#shelf, tab, error => this.#fared(!error))
    tab.onchange = () => this.#storing.renameTab()
    this.#tidied = this.#tidy().catch(() => {}) // who stores something hears of it
    listen(document, 'curfew:resume', () => this.#keyring.renewKey(), {signal})
    listen(window, 'pagehide', () => this.#storing.hurry(), {signal})
    listen(document, 'freeze', () => this.#storing.hurry(), {signal})
    listen(document, 'visibilitychange', () => this.#storing.hurry(), {signal})
  }

  /**
   * What this tab has submitted has arrived, now that a page of the session has loaded. Where the
   * person has come back to the page without having seen another, it has not.
   */
  async #tidy() {
    await this.#tab.ready
    const [navigation] = performance.getEntriesByType('navigation')
    const isBack = /** @type {PerformanceNavigationTiming | undefined} */ (navigation)?.type === 'back_forward'
    if (hasSubmitted()) await this.#shelf.settle(this.#tab.id, !isBack)
    await this.#shelf.purge()
  }

  /** Keeps the forms of a document of this page. @param {Document} document @param {string} selector */
  keep(document, selector) {
    if (this.#documents.has(document) || this.#guard.signal.aborted) return
    this.#documents.add(document)
    new KeptForms(document, selector, {
      guard: this.#guard,
      panel: this.#panel,
      tab: this.#tab,
      shelf: this.#shelf,
      keyring: this.#keyring,
      storing: this.#storing,
      tidied: this.#tidied,
      finding: this.#finding,
      want: () => {
        this.#isWanted = true
        this.#tell()
      },
    })
  }

  /** Stores what was typed up to now, into forms too of which it is not known yet what was stored. */
  async flush() {
    await this.#storing.flush()
    if (!this.#storing.isDirty) return
    await Promise.all(this.#finding)
    await this.#storing.flush()
  }

  /** @param {boolean} well */
  #fared(well) {
    this.#failed = !well
    if (well) this.#dismissed = false
    this.#tell()
  }

  /** Says once that nothing can be kept, to whoever types something, and no longer than that is so. */
  #tell() {
    if (!this.#failed) {
      this.#line?.()
      this.#line = undefined
    } else if (this.#isWanted && !this.#dismissed && !this.#guard.isOver) {
      this.#line ??= this.#panel.offer(this.#panel.text('draft.cannotKeep'), [
        [this.#panel.text('page.dismiss'), () => this.#dismiss()],
      ])
    }
  }

  #dismiss() {
    this.#dismissed = true
    this.#line?.()
    this.#line = undefined
  }
}
