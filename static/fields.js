// @ts-check
import {read, SKIPPED, write} from './editable.js'

// What a field of a form is, what it is called in a draft, and what it holds.

/**
 * What a field holds: text, or an editable element's content as read() tells it; whether it is
 * ticked; what is chosen of a list; what is chosen of a group, null for nothing.
 * @typedef {string | boolean | string[] | null} Value
 */

/**
 * A field of a form: one element, or the radio buttons of a group.
 * @typedef {object} Field
 * @property {string} key its name in drafts, which the page's next load has as well
 * @property {Kind} kind
 * @property {Control[]} elements
 */

/** @typedef {'text' | 'tick' | 'choice' | 'list' | 'rich'} Kind */
/** @typedef {HTMLInputElement & HTMLSelectElement & HTMLTextAreaElement} Control any element that may be one */

/** Editable elements, and with them others that are editable within. */
const EDITABLE = '[contenteditable]:not([contenteditable="false" i])'

/** Inputs that hold nothing that a person has entered, or nothing that may be kept. */
const NO_FIELDS = new Set(['hidden', 'file', 'password', 'submit', 'reset', 'button', 'image'])

/** What `autocomplete` says of a secret: HTML, 4.10.18.7 "Autofill". */
const SECRET = /(^|\s)(one-time-code|current-password|new-password|cc-\S*)(\s|$)/i

let setting = false

/** Whether events are of a value that has come back, and no person's. */
export const isSetting = () => setting

/** Elements that were of type password once: a page may show what was typed there. @type {WeakSet<Element>} */
const passwords = new WeakSet()

/**
 * What those elements are called, by form: a page may show what was typed there in another element
 * of that name.
 * @type {WeakMap<Element, Set<string>>}
 */
const passwordNames = new WeakMap()

/** @param {Element} element @returns {string} its name, else its id */
const nameOf = element => element.getAttribute('name') || (element.id && '#' + element.id)

/** Notes that an element was of type password. @param {Element} element */
export function wasPassword(element) {
  passwords.add(element)
  const [form, name] = [formOf(element), nameOf(element)]
  if (form && name) passwordNames.set(form, (passwordNames.get(form) ?? new Set()).add(name))
}

/**
 * A property of an element by its class's own getter or setter. A page may have put one of its own
 * on the element, as frameworks do, and a form may have a field of that name.
 * @param {object} element @param {string} name
 */
function native(element, name) {
  for (let object = Object.getPrototypeOf(element); object; object = Object.getPrototypeOf(object)) {
    const found = Object.getOwnPropertyDescriptor(object, name)
    if (found) return found
  }
}

/** @param {object} element @param {string} name */
export const get = (element, name) => native(element, name)?.get?.call(element)

/** @param {object} element @param {string} name @param {unknown} value */
const set = (element, name, value) => native(element, name)?.set?.call(element, value)

/** An attribute of a form, which may have a field that is called `getAttribute`. @param {Element} form @param {string} name */
export const attribute = (form, name) => Element.prototype.getAttribute.call(form, name) ?? ''

/** @param {Element} element @returns {Kind | undefined} undefined for what is no field */
function kindOf(element) {
  switch (element.localName) {
    case 'textarea':
      return 'text'
    case 'select':
      return 'list'
    case 'input': {
      const {type} = /** @type {HTMLInputElement} */ (element)
      if (type === 'password') wasPassword(element)
      if (NO_FIELDS.has(type)) return
      return type === 'checkbox' ? 'tick' : type === 'radio' ? 'choice' : 'text'
    }
    case 'button':
    case 'fieldset':
    case 'object':
    case 'output':
      return
    default:
      return element.matches(EDITABLE) ? 'rich' : undefined
  }
}

/** Whether an element holds a secret, or what is not to be kept. @param {Element} element */
const isKept = element =>
  !passwords.has(element) &&
  !passwordNames.get(formOf(element) ?? element)?.has(nameOf(element)) &&
  !SECRET.test(element.getAttribute('autocomplete') ?? '') &&
  !element.closest(SKIPPED) &&
  !/^csrf/i.test(element.getAttribute('name') ?? '')

/**
 * The fields of a form that may be kept, by key: by name, else by id, else by position among those
 * of their kind. Those of one name are told apart by value or by position.
 * @param {HTMLFormElement} form
 */
export function fieldsOf(form) {
  /** @type {Map<string, Field>} */
  const fields = new Map()
  if (Element.prototype.closest.call(form, SKIPPED)) return fields
  /** @type {Map<string, number>} */
  const count = new Map()
  const hosts = Array.from(Element.prototype.querySelectorAll.call(form, EDITABLE)).filter(
    element => !element.parentElement?.closest(EDITABLE),
  )
  for (const element of /** @type {Control[]} */ ([...get(form, 'elements'), ...hosts])) {
    const kind = kindOf(element)
    if (!kind) continue
    const name = nameOf(element)
    const isGroup = kind === 'choice' && !!name
    const path = [kind, name, kind === 'tick' ? element.value : '']
    const kin = path.join('\n')
    const nth = isGroup ? 0 : (count.get(kin) ?? 0)
    count.set(kin, nth + 1)
    if (!isKept(element)) continue
    const key = JSON.stringify([...path, nth])
    const field = fields.get(key)
    if (field) field.elements.push(element)
    else fields.set(key, {key, kind, elements: [element]})
  }
  return fields
}

/** The field that an event is for. @param {Map<string, Field>} fields @param {Element} target */
export function fieldOf(fields, target) {
  let element = target
  for (let host = target.closest(EDITABLE); host; host = host.parentElement?.closest(EDITABLE) ?? null) element = host
  return [...fields.values()].find(field => field.elements.includes(/** @type {Control} */ (element)))
}

/** The form that an element belongs to, wherever it stands. @param {Element} element @returns {HTMLFormElement | null} */
export const formOf = element => /** @type {Control} */ (element).form ?? element.closest('form')

/** @param {Field} field @returns {Value} */
export function valueOf({kind, elements}) {
  const [element] = elements
  switch (kind) {
    case 'tick':
      return element.checked
    case 'choice':
      return elements.find(radio => radio.checked)?.value ?? null
    case 'list':
      return Array.from(element.selectedOptions, option => option.value)
    case 'rich':
      return read(element)
    default:
      return element.value
  }
}

/**
 * What the page's own markup has the field hold, which a browser may have put something else in the
 * place of.
 * @param {Field} field @returns {Value}
 */
export function initialOf({kind, elements}) {
  const [element] = elements
  switch (kind) {
    case 'tick':
      return element.defaultChecked
    case 'choice':
      return elements.find(radio => radio.defaultChecked)?.value ?? null
    case 'list': {
      const options = Array.from(element.options)
      const selected = options.filter(option => option.defaultSelected)
      if (element.multiple) return selected.map(option => option.value)
      const option = selected.at(-1) ?? options.find(option => !option.disabled)
      return option ? [option.value] : []
    }
    case 'rich':
      return read(element)
    default:
      return element.defaultValue
  }
}

/** @param {Value} one @param {Value} other */
export const isSame = (one, other) =>
  one === other || (typeof one !== 'string' && JSON.stringify(one) === JSON.stringify(other)) // texts may be long

/** Whether the field can hold that now. @param {Field} field @param {Value} value */
export function canHold({kind, elements}, value) {
  const [element] = elements
  if (elements.every(one => one.matches(':disabled') || one.readOnly)) return false
  if (kind === 'choice') return value === null || elements.some(radio => radio.value === value)
  if (kind === 'text') {
    const probe = /** @type {Control} */ (element.cloneNode())
    probe.value = /** @type {string} */ (value)
    return probe.value === value // not where it takes only numbers by now
  }
  if (kind !== 'list') return true
  const offered = new Set(Array.from(element.options, option => option.value))
  return /** @type {string[]} */ (value).every(one => offered.has(one))
}

/**
 * Has the field hold a value, and tells the page as if somebody had entered it: past whatever the
 * page has put on the element, then by `input` and `change`. React hears of a tick or a choice by
 * `click`: one that is no mouse's changes nothing itself.
 * @param {Field} field @param {Value} value
 */
export function setValue(field, value) {
  setting = true
  try {
    put(field, value)
  } finally {
    setting = false
  }
}

/** @param {Field} field @param {Value} value */
function put({kind, elements}, value) {
  /** @type {Element[]} */
  let changed = [elements[0]]
  if (kind === 'tick') set(elements[0], 'checked', value)
  else if (kind === 'rich') write(elements[0], /** @type {string} */ (value))
  else if (kind === 'text') set(elements[0], 'value', value)
  else if (kind === 'list') {
    for (const option of elements[0].options)
      set(option, 'selected', /** @type {string[]} */ (value).includes(option.value))
  } else {
    const chosen = elements.filter(radio => (value === null ? radio.checked : radio.value === value)).slice(0, 1)
    for (const radio of chosen) set(radio, 'checked', value !== null)
    changed = chosen
  }
  for (const element of changed) {
    if (Object.hasOwn(element, 'checked')) element.dispatchEvent(new Event('click', {bubbles: true, composed: true}))
    element.dispatchEvent(new Event('input', {bubbles: true, composed: true}))
    element.dispatchEvent(new Event('change', {bubbles: true}))
  }
}

/** What a person calls the field. @param {Field} field */
export function labelOf({elements: [element]}) {
  const label = element.labels?.[0]?.textContent ?? element.getAttribute('aria-label') ?? element.placeholder
  return (label || element.getAttribute('name') || '').replace(/\s+/g, ' ').trim().slice(0, 60)
}
