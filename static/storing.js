// @ts-check
import {FORMAT, Seal} from './sealing.js'

/** @import {HTTP} from './http.js' */
/** @import {KeptForm} from './keptform.js' */
/** @import {Sealed, Shelf} from './shelf.js' */
/** @import {Tab} from './tab.js' */

/** What was typed is stored this much later at the latest, while the page lives. */
const WRITE_MS = 200

/** How soon a key that could not be had is asked for again, at first and at most. */
const ASK_MS = 3_000
const ASK_SELDOM_MS = 60_000

/** Gets the key of this page's user, and asks for as long as there is none. */
export class Keyring {
  #http
  #signal
  #onfail
  /** Resolves once there is a key. @type {Promise<Seal>} */
  ready

  /** @param {HTTP} http @param {AbortSignal} signal ends it @param {() => void} onfail told each time that there is none */
  constructor(http, signal, onfail) {
    this.#http = http
    this.#signal = signal
    this.#onfail = onfail
    this.ready = this.#get()
  }

  /** Asks anew: the page has another session. */
  renewKey() {
    this.ready = this.#get()
  }

  /** @returns {Promise<Seal>} */
  async #get() {
    for (let pause = ASK_MS; !this.#signal.aborted; pause = Math.min(2 * pause, ASK_SELDOM_MS)) {
      const seal = await Seal.ask(this.#http).catch(() => undefined)
      if (seal) return seal
      this.#onfail()
      await new Promise(resolve => setTimeout(resolve, pause))
    }
    return new Promise(() => {})
  }
}

/**
 * Seals what was typed as it is typed, and stores it a moment later, so that a page that goes has
 * only to hand over what is sealed: nothing that takes time is done any more then.
 */
export class Storing {
  #keyring
  #shelf
  #tab
  #onstored
  /** @type {Set<KeptForm>} */
  #all = new Set()
  /** @type {Set<KeptForm>} what is not sealed as it is now */
  #dirty = new Set()
  /** What is sealed and not stored; undefined where a draft is to go. @type {Map<KeptForm, Sealed | undefined>} */
  #sealed = new Map()
  /** @type {Promise<void> | undefined} */
  #sealing
  #timer = 0

  /**
   * @param {Keyring} keyring
   * @param {Shelf} shelf
   * @param {Tab} tab
   * @param {(error?: unknown) => void} onstored told how it went
   */
  constructor(keyring, shelf, tab, onstored) {
    this.#keyring = keyring
    this.#shelf = shelf
    this.#tab = tab
    this.#onstored = onstored
  }

  /** @param {KeptForm} kept */
  changed(kept) {
    this.#all.add(kept)
    this.#dirty.delete(kept) // last in turn, so that it is not missed
    this.#dirty.add(kept)
    this.#begin()
  }

  #begin() {
    this.#sealing ??= this.#seal().finally(() => {
      this.#sealing = undefined
      if (this.#isDue) this.#begin()
    })
  }

  /** Whether something was typed that is not sealed yet. */
  get isDirty() {
    return this.#dirty.size > 0
  }

  get #isDue() {
    return [...this.#dirty].some(kept => kept.isFound)
  }

  /** The tab has another id: what it has stored under the first is another tab's. */
  renameTab() {
    for (const kept of this.#all) {
      kept.stored = undefined
      this.changed(kept)
    }
  }

  async #seal() {
    const seal = await this.#keyring.ready
    for (const kept of this.#dirty) {
      if (!kept.isFound) continue // it is told again then
      this.#dirty.delete(kept)
      const {place, isSubmitted} = kept
      if (kept.isEmpty) this.#sealed.set(kept, undefined)
      else {
        const name = await seal.nameOf(place)
        this.#sealed.set(kept, {
          ...(await seal.close(kept.content(), place)),
          place: name,
          tab: this.#tab.need(),
          key: seal.id,
          at: kept.at,
          submitted: isSubmitted,
          format: FORMAT,
        })
      }
      this.#timer ||= setTimeout(() => this.#write(true), WRITE_MS)
    }
  }

  /** @param {boolean} looks whether to look first what has become of the fields */
  async #write(looks = false) {
    clearTimeout(this.#timer)
    this.#timer = 0
    /** @type {Sealed[]} */
    const records = []
    /** @type {[place: string, tab: string][]} */
    const gone = []
    for (const [kept, record] of this.#sealed) {
      const {stored} = kept
      if (stored && (stored.place !== record?.place || stored.tab !== record.tab)) gone.push([stored.place, stored.tab])
      if (record) records.push({...record, submitted: kept.isSubmitted})
      kept.stored = record
    }
    const written = [...this.#sealed.keys()]
    this.#sealed.clear()
    if (looks) for (const kept of written) if (kept.look()) this.changed(kept)
    if (records.length === 0 && gone.length === 0) return
    try {
      await this.#shelf.store(records, gone)
      this.#onstored()
    } catch (error) {
      this.#onstored(error)
    }
    for (const kept of this.#all) {
      if ((kept.isPast || !kept.form.isConnected) && !this.#dirty.has(kept)) this.#all.delete(kept)
    }
  }

  /** What was typed has been submitted: it is set aside at once. @param {KeptForm} kept */
  setAside(kept) {
    if (kept.stored && !this.#sealed.has(kept)) this.#sealed.set(kept, kept.stored)
    this.#write()
  }

  /** Hands over all that is sealed, before the page goes. */
  hurry() {
    for (const kept of this.#all) {
      if (!kept.look()) continue
      if (kept.isEmpty) this.#sealed.set(kept, undefined)
      else this.changed(kept)
    }
    this.#write()
  }

  /** Stores all that was typed, but into forms of which it is not known yet what was stored. */
  async flush() {
    do {
      this.#write()
      await this.#sealing
    } while (this.#isDue)
    await this.#write()
  }
}
