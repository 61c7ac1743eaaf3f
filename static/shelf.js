// @ts-check
/** How long a draft is kept. */
export const KEPT_MS = 24 * 60 * 60 * 1000

/** Whether a draft may be kept still. @param {number} at when it was typed last */
export const isRecent = at => Date.now() - at < KEPT_MS

const DATABASE = 'curfew.drafts'
const STORE = 'drafts'

/**
 * Since when the oldest draft lies in this browser, in localStorage: pages that keep nothing look
 * there whether any is due to go, and open no database where there is none.
 */
const SINCE_KEY = 'curfew.drafts'

/** Whether this tab has submitted what was kept and nothing has come of it yet, in sessionStorage. */
const SUBMITTED_KEY = 'curfew.submitted'

/**
 * A draft as it is stored. All that can be read without its user's key is here.
 * @typedef {object} Sealed
 * @property {string} place where it was typed, as a name that tells nothing
 * @property {string} tab the tab whose it is: a random id
 * @property {string} key which key has sealed it
 * @property {number} at when it was typed last, by the browser's clock
 * @property {boolean} submitted whether it is set aside
 * @property {number} format
 * @property {Uint8Array<ArrayBuffer>} iv
 * @property {ArrayBuffer} sealed
 */

/** @param {'localStorage' | 'sessionStorage'} area @param {string} key */
function mark(area, key) {
  try {
    return window[area].getItem(key) ?? ''
  } catch {
    return '' // storage is turned off
  }
}

/** @param {'localStorage' | 'sessionStorage'} area @param {string} key @param {string} value empty to take it away */
function setMark(area, key, value) {
  try {
    if (value) window[area].setItem(key, value)
    else window[area].removeItem(key)
  } catch {}
}

/** Whether this tab has submitted a draft since a page of the session has loaded in it. */
export const hasSubmitted = () => !!mark('sessionStorage', SUBMITTED_KEY)

/** Whether there is anything to tidy: a draft that was submitted, or one that is too old. */
export function isUntidy() {
  const since = Number(mark('localStorage', SINCE_KEY))
  return hasSubmitted() || (since > 0 && Math.abs(Date.now() - since) > KEPT_MS)
}

/** The drafts of all users and tabs of this browser, in IndexedDB. */
export class Shelf {
  /** @type {Promise<IDBDatabase> | undefined} */
  #database

  /** @returns {Promise<IDBDatabase>} */
  #open() {
    return (this.#database ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(DATABASE, 1)
      request.onupgradeneeded = () => {
        const store = request.result.createObjectStore(STORE, {keyPath: ['place', 'tab']})
        store.createIndex('place', 'place')
        store.createIndex('tab', 'tab')
        store.createIndex('at', 'at')
      }
      request.onerror = () => reject(request.error)
      request.onblocked = () => reject(new Error('another version of the drafts is open'))
      request.onsuccess = () => {
        const database = request.result
        this.#opened = database
        const forget = () => {
          database.close()
          this.#database = this.#opened = undefined
        }
        database.onversionchange = forget
        database.onclose = () => (this.#database = this.#opened = undefined)
        resolve(database)
      }
    }).catch(error => {
      this.#database = undefined // the next one tries again
      throw error
    }))
  }

  /** The database where it is open, for what has to be done before the page goes. @type {IDBDatabase | undefined} */
  #opened

  /**
   * Does something in one transaction.
   * @template T
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore, give: (result: T) => void) => void} deed
   * @returns {Promise<T | undefined>} what it has given, once it is stored
   */
  async #inOne(mode, deed) {
    const database = this.#opened ?? (await this.#open())
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode)
      /** @type {T | undefined} */
      let given
      transaction.oncomplete = () => resolve(given)
      transaction.onabort = transaction.onerror = () => reject(transaction.error)
      deed(transaction.objectStore(STORE), result => (given = result))
    })
  }

  /**
   * Stores and takes away at once, without waiting for anything where the database is open.
   * @param {Sealed[]} records
   * @param {[place: string, tab: string][]} gone
   */
  store(records, gone) {
    const stored = this.#inOne('readwrite', store => {
      for (const record of records) store.put(record)
      for (const key of gone) store.delete(key)
      store.transaction.commit()
    })
    if (records.length > 0 && !mark('localStorage', SINCE_KEY)) setMark('localStorage', SINCE_KEY, String(Date.now()))
    if (records.some(record => record.submitted)) setMark('sessionStorage', SUBMITTED_KEY, '1')
    return stored
  }

  /** @param {string} place @returns {Promise<Sealed[]>} */
  async at(place) {
    const found = await this.#inOne('readonly', (store, give) => {
      const request = store.index('place').getAll(place)
      request.onsuccess = () => give(request.result)
    })
    return /** @type {Sealed[]} */ (found ?? []).filter(record => isRecent(record.at))
  }

  /**
   * Gives a draft to another tab.
   * @param {Sealed} record
   * @param {string} tab
   * @returns {Promise<boolean>} false where another one has taken it
   */
  async move(record, tab) {
    const moved = await this.#inOne('readwrite', (store, give) => {
      const key = [record.place, record.tab]
      const request = store.get(key)
      request.onsuccess = () => {
        if (!request.result) return
        store.delete(key)
        store.put({...request.result, tab})
        give(true)
      }
    })
    return !!moved
  }

  /** @param {string} index @param {IDBValidKey | IDBKeyRange} range @param {(cursor: IDBCursorWithValue) => void} deed */
  #each(index, range, deed) {
    return this.#inOne('readwrite', store => {
      const request = store.index(index).openCursor(range)
      request.onsuccess = () => {
        const cursor = request.result
        if (!cursor) return
        deed(cursor)
        cursor.continue()
      }
    })
  }

  /**
   * Settles what a tab has submitted.
   * @param {string} tab
   * @param {boolean} arrived whether it is dropped, or kept as if it had not been submitted
   */
  async settle(tab, arrived) {
    if (!hasSubmitted()) return
    await this.#each('tab', tab, cursor => {
      if (!cursor.value.submitted) return
      if (arrived) cursor.delete()
      else cursor.update({...cursor.value, submitted: false})
    })
    setMark('sessionStorage', SUBMITTED_KEY, '')
  }

  /** Takes away what is older than it may be. A clock that was set back makes none younger than now. */
  async purge() {
    const now = Date.now()
    await this.#each('at', IDBKeyRange.upperBound(now - KEPT_MS), cursor => cursor.delete())
    await this.#each('at', IDBKeyRange.lowerBound(now, true), cursor => cursor.update({...cursor.value, at: now}))
    const oldest = await this.#inOne('readonly', (store, give) => {
      const request = store.index('at').openKeyCursor()
      request.onsuccess = () => give(request.result?.key)
    })
    setMark('localStorage', SINCE_KEY, String(oldest ?? ''))
  }
}
