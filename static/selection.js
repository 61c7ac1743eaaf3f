// @ts-check
// Which sessions are selected, by their refs: over pages, searches and live updates, and kept for
// the tab and the user.
import {base, byId, list, say, setText, teller, told} from './live.js'

/** Where the tab keeps it, for each Curfew of the host and each of its users. */
const KEPT = `curfew-selection ${base} ${told.user}`

export class Selection {
  /** @type {Set<string>} */
  #refs = new Set()
  /** How many of the selected have ended since. */
  #lost = 0
  #changed
  #most
  #tell = teller(byId('selected-told'))
  /** @type {HTMLInputElement} */
  #field

  /**
   * @param {number} most how many may be selected
   * @param {() => void} changed
   * @param {HTMLElement} form gets the refs as one field
   */
  constructor(most, changed, form) {
    this.#most = most
    this.#changed = changed
    this.#field = /** @type {HTMLInputElement} */ (form.querySelector('input[type=hidden][name=refs]'))
    try {
      this.set((sessionStorage.getItem(KEPT) ?? '').split(',').concat(this.#field.value.split(',')), true)
    } catch {} // a browser may keep nothing
  }

  get size() {
    return this.#refs.size
  }

  get refs() {
    return [...this.#refs]
  }

  /** @param {string} ref */
  has(ref) {
    return this.#refs.has(ref)
  }

  /** @param {string[]} refs @param {boolean} on */
  set(refs, on) {
    for (const ref of refs) {
      if (!on) this.#refs.delete(ref)
      else if (ref && this.#refs.size < this.#most) this.#refs.add(ref)
    }
    if (this.#refs.size === 0) this.#lost = 0
  }

  /** What has ended is not selected any more, and the bar says so. @param {string[]} refs */
  drop(refs) {
    const gone = refs.filter(ref => this.#refs.delete(ref)).length
    if (gone === 0) return
    this.#lost += gone
    this.changed()
  }

  clear() {
    this.#refs.clear()
    this.#lost = 0
    this.changed()
  }

  /** Shows what is selected, and tells whoever wants to know. */
  changed() {
    const refs = this.refs.join()
    this.#field.value = refs
    try {
      sessionStorage.setItem(KEPT, refs)
    } catch {}
    byId('actions').hidden = this.size === 0 && this.#lost === 0
    const selected = say('console.selected', {Count: this.size})
    const lost = say('console.lost', {Count: this.#lost})
    const text = this.#lost ? list([selected, lost]) : selected
    setText(byId('selected'), text)
    this.#tell(byId('actions').hidden ? '' : text)
    for (const button of byId('actions').querySelectorAll('button')) button.disabled = this.size === 0
    this.#changed()
  }
}
