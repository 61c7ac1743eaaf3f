// @ts-check
import {attribute, fieldOf, fieldsOf, initialOf, isSame, valueOf} from './fields.js'

/** @import {Value} from './fields.js' */
/** @import {Sealed} from './shelf.js' */

/** What was typed into a field, and what it held before. @typedef {{was: Value, value: Value}} Entry */

/**
 * What a draft holds, with fields by key: what was typed, and what was typed earlier, to which the
 * person has not yet said whether they want it; and when it was typed last, by the browser's clock.
 * @typedef {{at: number, fields: [string, Value, Value][], others: [string, Value, Value][]}} Content
 */

/** A form whose text is kept, and what its person has entered. */
export class KeptForm {
  form
  /** Where it is: page, and form within the page. */
  place = ''
  /** @type {Map<string, Entry>} by field */
  entered = new Map()
  /** What a draft holds that is not in its field yet. @type {Map<string, Entry>} */
  due = new Map()
  /** What the person is asked about. @type {Map<string, Entry>} */
  others = new Map()
  /** When something was typed last, by the browser's clock. */
  at = Date.now()
  /** Set aside: it has been submitted as it is. */
  isSubmitted = false
  /** Fields that hold a draft that came back, which the page may still put something else over. @type {Set<string>} */
  returned = new Set()
  /** Whether it is known what was stored for it, so that it may be stored anew. */
  isFound = false
  /** What is stored. @type {Sealed | undefined} */
  stored
  /** The form is another page's by now, whose text is in it: what was typed stays with the first. */
  isPast = false
  #isOver
  /** What each field held before it was touched last. @type {Map<string, Value>} */
  #before = new Map()

  /** @param {HTMLFormElement} form @param {() => boolean} isOver says whether the session is over */
  constructor(form, isOver) {
    this.form = form
    this.#isOver = isOver
    for (const [key, field] of fieldsOf(form)) this.#before.set(key, valueOf(field))
  }

  /**
   * Somebody may have typed before anybody listened: what is in the fields now is taken for theirs,
   * where it is not what the page's markup says.
   * @returns {boolean} whether there is any
   */
  enteredEarly() {
    for (const [key, field] of fieldsOf(this.form)) {
      const [was, value] = [initialOf(field), valueOf(field)]
      if (!isSame(was, value)) this.entered.set(key, {was, value})
    }
    return this.entered.size > 0
  }

  /** The person turns to a field: what it holds now was there before. @param {Element} target */
  touch(target) {
    const field = fieldOf(fieldsOf(this.form), target)
    if (field) this.#before.set(field.key, valueOf(field))
  }

  /** The person has entered something. @param {Element} target @returns {boolean} whether it is kept */
  enter(target) {
    const fields = fieldsOf(this.form)
    const field = fieldOf(fields, target)
    if (!field) return false
    const {key} = field
    const before = this.#before.get(key)
    if (this.isSubmitted) {
      // What the page has changed since then has arrived.
      this.isSubmitted = false
      for (const [other, {value}] of this.entered) {
        const its = fields.get(other)
        const now = other === key ? before : its && valueOf(its)
        if (now !== undefined && !isSame(now, value)) this.entered.delete(other)
      }
    }
    const was = this.entered.get(key)?.was ?? (before === undefined ? initialOf(field) : before)
    const value = valueOf(field)
    this.at = Date.now()
    const due = this.due.get(key)
    this.due.delete(key)
    if (due && !isSame(due.value, value)) this.others.set(key, due) // it was about to come back
    this.returned.delete(key)
    if (isSame(was, value)) this.entered.delete(key)
    else this.entered.set(key, {was, value})
    return true
  }

  /**
   * Looks what the page has made of what was typed.
   * @param {boolean} [isSent] whether the page may have sent it: what it has emptied has arrived
   * @returns {boolean} whether it is something else
   */
  look(isSent = false) {
    if (this.#isOver() || this.isSubmitted || this.isElsewhere || !this.form.isConnected) return false
    const fields = fieldsOf(this.form)
    let changed = false
    for (const [key, entry] of this.entered) {
      const field = fields.get(key)
      const value = field && valueOf(field)
      if (value === undefined || this.returned.has(key) || isSame(value, entry.value)) continue
      changed = true
      if (isSame(value, entry.was) || (isSent && isBare(value))) this.entered.delete(key)
      else entry.value = value
    }
    return changed
  }

  /** A script has changed the page's address since. */
  get isElsewhere() {
    return this.isPast || JSON.parse(this.place)[0] !== addressOf(this.form)
  }

  /** Whether the fields hold what was typed into them. */
  get isIntact() {
    const fields = fieldsOf(this.form)
    return [...this.entered].every(([key, {value}]) => {
      const field = fields.get(key)
      return field && isSame(valueOf(field), value)
    })
  }

  clear() {
    for (const entries of [this.entered, this.due, this.others, this.returned]) entries.clear()
  }

  get isEmpty() {
    return this.entered.size + this.due.size + this.others.size === 0
  }

  /** @returns {Content} */
  content() {
    /** @param {Iterable<[string, Entry]>} entries @returns {[string, Value, Value][]} */
    const list = entries => Array.from(entries, ([key, {was, value}]) => [key, was, value])
    const typedElse = [...this.due].filter(([key]) => this.entered.has(key))
    return {
      at: this.at,
      fields: list(new Map([...this.due, ...this.entered])),
      others: list(new Map([...typedElse, ...this.others])),
    }
  }
}

/** Whether a field holds nothing. @param {Value} value */
const isBare = value => !value || (Array.isArray(value) && value.length === 0)

/** @param {HTMLFormElement} form @returns {string} path and query of its page */
function addressOf(form) {
  const {pathname, search} = /** @type {Window} */ (form.ownerDocument.defaultView ?? window).location
  return pathname + search
}

/**
 * Where a form is: path and query of its page; its id, else its name, and which of those that share
 * it; else its position among the kept forms that have neither.
 * @param {HTMLFormElement} form
 * @param {HTMLFormElement[]} forms all that are kept, in order
 */
export function placeOf(form, forms) {
  /** @param {HTMLFormElement} one */
  const nameOf = one => {
    const id = attribute(one, 'id')
    return id ? '#' + id : attribute(one, 'name')
  }
  const name = nameOf(form)
  const nth = forms.filter(one => nameOf(one) === name).indexOf(form)
  return JSON.stringify([addressOf(form), name, nth])
}
