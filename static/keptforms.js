// @ts-check
import {formOf, isSetting, wasPassword} from './fields.js'
import {KeptForm, placeOf} from './keptform.js'
import {listen, SETTLED_MS} from './page.js'
import {Return} from './returning.js'
import {FORMAT} from './sealing.js'
import {isRecent} from './shelf.js'

/** @import {Content, Entry} from './keptform.js' */
/** @import {Panel} from './panel.js' */
/** @import {Shelf} from './shelf.js' */
/** @import {Keyring, Storing} from './storing.js' */
/** @import {Tab} from './tab.js' */

/**
 * What the drafts of all documents of a page share.
 * @typedef {object} Shared
 * @property {{signal: AbortSignal, isOver: boolean}} guard
 * @property {Panel} panel
 * @property {Tab} tab
 * @property {Shelf} shelf
 * @property {Keyring} keyring
 * @property {Storing} storing
 * @property {Promise<void>} tidied resolves once what was submitted earlier is settled
 * @property {Set<Promise<void>>} finding resolve once it is known what was stored for a form
 * @property {() => void} want told when something has been typed that is to be kept
 */

/** So soon after a form was read for it a navigation is a form's that a script has submitted. */
const SUBMITS_MS = 1_000

/**
 * How often it is looked whether a page has taken what it did not let a form send: it may send it
 * itself, or have found a fault in it.
 */
const TAKEN_MS = [2_000, 4_000, 8_000, 16_000]

/** What makes a form or field another one. */
const ATTRIBUTES = ['type', 'disabled', 'readonly', 'data-curfew-keep', 'data-curfew-skip']

/**
 * The kept forms of one document: those that are there, and those that appear later. Forms in
 * shadow trees are not among them.
 */
export class KeptForms {
  #document
  #selector
  #shared
  /** @type {WeakMap<HTMLFormElement, KeptForm>} */
  #kept = new WeakMap()
  /** @type {Map<KeptForm, Return>} */
  #returns = new Map()
  #pending = false
  /** What the page has not let its forms send, until somebody types on. @type {Set<KeptForm>} */
  #prevented = new Set()
  /** @type {{kept: KeptForm, at: number} | undefined} the form that was read last */
  #read

  /** @param {Document} document @param {string} selector @param {Shared} shared */
  constructor(document, selector, shared) {
    this.#document = document
    this.#selector = selector
    this.#shared = shared
    const view = /** @type {Window} */ (document.defaultView)
    const life = new AbortController()
    const {signal} = life
    shared.guard.signal.addEventListener('abort', () => life.abort(), {signal})
    /** @param {EventTarget} target @param {string} type @param {(event: any) => void} deed */
    const on = (target, type, deed) => {
      const options = {capture: true, passive: true, signal}
      if (view === window) listen(target, type, deed, options)
      else target.addEventListener(type, deed, options)
    }
    for (const type of ['focusin', 'beforeinput', 'pointerdown']) on(view, type, event => this.#touched(event))
    for (const type of ['input', 'change']) on(view, type, event => this.#entered(event))
    on(view, 'submit', event => this.#sends(event))
    on(view, 'reset', event => this.#reset(event))
    on(view, 'formdata', event => {
      const kept = this.#kept.get(event.target)
      if (kept) this.#read = {kept, at: performance.now()}
    })
    const {navigation} = /** @type {any} */ (view)
    if (navigation) on(navigation, 'navigate', event => event.destination.sameDocument || this.#leaves(event))
    on(view, 'pagehide', event => {
      if (!navigation) this.#leaves()
      if (view !== window && !event.persisted) life.abort()
    })
    const changes = new MutationObserver(all => this.#changed(all))
    changes.observe(document, {
      subtree: true,
      childList: true,
      attributeFilter: ATTRIBUTES,
      attributeOldValue: true,
    })
    signal.addEventListener('abort', () => changes.disconnect())
    this.#look()
    if (navigator.userActivation?.hasBeenActive) this.#lookForEarly()
  }

  #lookForEarly() {
    for (const form of this.#forms) {
      const kept = this.#keep(form)
      if (!kept.enteredEarly()) continue
      this.#shared.storing.changed(kept)
      this.#shared.want()
    }
  }

  /** All that are kept, in order. @returns {HTMLFormElement[]} */
  get #forms() {
    const found = /** @type {NodeListOf<HTMLFormElement>} */ (this.#document.querySelectorAll(this.#selector))
    return Array.from(found).filter(element => element.localName === 'form')
  }

  /** @param {MutationRecord[]} changes */
  #changed(changes) {
    for (const {target, attributeName, oldValue} of changes)
      if (attributeName === 'type' && /^password$/i.test(oldValue ?? '')) wasPassword(/** @type {Element} */ (target))
    if (this.#pending) return
    this.#pending = true
    setTimeout(() => {
      this.#pending = false
      this.#look()
    }, SETTLED_MS)
  }

  #look() {
    if (this.#shared.guard.isOver) return
    for (const form of this.#forms) this.#keep(form)
    for (const [kept, back] of this.#returns) {
      back.look()
      if (!kept.form.isConnected || kept.isPast) this.#returns.delete(kept)
    }
  }

  /** @param {HTMLFormElement} form @returns {KeptForm} */
  #keep(form) {
    let kept = this.#kept.get(form)
    if (kept && !this.#hasLeft(kept)) return kept
    kept = new KeptForm(form, () => this.#shared.guard.isOver)
    kept.place = placeOf(form, this.#forms)
    kept.isFound = !this.#shared.tab.id // a tab that is new has nothing that could be lost
    this.#kept.set(form, kept)
    const {finding} = this.#shared
    const its = this.#begin(kept).finally(() => finding.delete(its))
    finding.add(its)
    return kept
  }

  /**
   * A page may go elsewhere without a load, and use its form again. What was typed goes along where it
   * is still in its fields; else the form begins anew.
   * @param {KeptForm} kept
   */
  #hasLeft(kept) {
    if (!kept.isElsewhere || this.#shared.guard.isOver || (kept.entered.size > 0 && kept.isIntact)) return false
    this.#prevented.delete(kept)
    kept.isPast = true
    this.#returns.get(kept)?.look()
    return true
  }

  /** @param {KeptForm} kept */
  async #begin(kept) {
    try {
      await this.#find(kept)
    } catch {} // who stores something hears of it
    this.#found(kept)
  }

  /** Nothing is lost any more where the form is stored. @param {KeptForm} kept */
  #found(kept) {
    kept.isFound = true
    if (!kept.isEmpty) this.#shared.storing.changed(kept)
  }

  /** Looks for a draft of the form, and brings it back. @param {KeptForm} kept */
  async #find(kept) {
    const {keyring, tab, tidied, shelf, storing, panel, guard} = this.#shared
    const {place} = kept
    const seal = await keyring.ready
    await storing.flush() // of a form that was there before, in the same place
    const name = await seal.nameOf(place)
    if (!(await shelf.at(name)).some(one => one.tab === tab.id)) this.#found(kept)
    await tidied
    const stored = await shelf.at(name)
    const fit = stored.filter(({submitted, format, key}) => !submitted && format === FORMAT && key === seal.id)
    const {stored: early} = kept // since the page began
    let record = early ? undefined : fit.find(one => one.tab === tab.id)
    if (!record && fit.length > 0) {
      const open = await tab.others()
      const free = fit
        .filter(one => !open.has(one.tab) && one.tab !== early?.tab)
        .sort((one, other) => other.at - one.at)
      for (const one of free) {
        if (!(await shelf.move(one, tab.need()))) continue
        record = {...one, tab: tab.id}
        break
      }
    }
    /** @type {Content | undefined} */
    const content = record && (await seal.open(record, place))
    if (!content || !isRecent(content.at)) return // the record may say what a script has made of it
    if (kept.entered.size === 0) kept.at = content.at
    kept.stored = record
    for (const [key, was, value] of content.fields) kept.due.set(key, {was, value})
    for (const [key, was, value] of content.others) kept.others.set(key, {was, value})
    const bringBack = () => this.#returns.set(kept, new Return(kept, panel, () => storing.changed(kept)))
    if (!guard.isOver) bringBack()
    else document.addEventListener('curfew:resume', bringBack, {once: true, signal: guard.signal})
  }

  /** The kept form that an event is in. @param {Event} event */
  #of(event) {
    const [target] = event.composedPath()
    if (this.#shared.guard.isOver || /** @type {Node} */ (target).nodeType !== Node.ELEMENT_NODE) return
    const element = /** @type {Element} */ (target)
    const isControl = element.matches('input, textarea, select')
    const control = isControl ? element : (element.closest('label')?.control ?? element)
    const form = formOf(control)
    if (form && this.#forms.includes(form)) return {kept: this.#keep(form), control}
  }

  /** @param {Event} event */
  #touched(event) {
    const found = this.#of(event)
    found?.kept.touch(found.control)
  }

  /**
   * The person has entered something: by their own hand, or by what works for it, such as a
   * calendar of the page's.
   * @param {Event} event
   */
  #entered(event) {
    const {userActivation} = navigator
    if (isSetting() || !(event.isTrusted || (userActivation?.isActive ?? true))) return
    const found = this.#of(event)
    if (!found?.kept.enter(found.control)) return
    const {kept} = found
    const {storing, want} = this.#shared
    this.#prevented.delete(kept)
    kept.place = placeOf(kept.form, this.#forms)
    this.#returns.get(kept)?.typed()
    storing.changed(kept)
    want()
  }

  /** A form is about to be sent, unless the page prevents it. @param {SubmitEvent} event */
  #sends(event) {
    const kept = this.#kept.get(/** @type {HTMLFormElement} */ (event.target))
    if (!kept || this.#shared.guard.isOver) return
    this.#setAside(kept) // at once: the page may be gone before it is known
    setTimeout(() => {
      if (event.defaultPrevented) this.#prevents(kept)
      else this.#returns.get(kept)?.finish()
    })
  }

  /** @param {KeptForm} kept @param {boolean} [isSubmitted] */
  #setAside(kept, isSubmitted = true) {
    kept.isSubmitted = isSubmitted
    this.#shared.storing.setAside(kept)
  }

  /**
   * The page sends the form itself, or has found a fault in it. It is a draft until the page has
   * emptied its fields, has taken the form away, or goes elsewhere by itself.
   * @param {KeptForm} kept
   */
  #prevents(kept) {
    if (!kept.isSubmitted || this.#shared.guard.isOver) return
    this.#setAside(kept, false)
    this.#prevented.add(kept)
    const [pause, ...pauses] = TAKEN_MS
    setTimeout(() => this.#lookTaken(kept, pauses), pause)
  }

  /** @param {KeptForm} kept @param {number[]} pauses */
  #lookTaken(kept, pauses) {
    if (!this.#prevented.has(kept) || this.#shared.guard.isOver) return
    if (!kept.form.isConnected) return this.#submitted(kept)
    if (kept.look(true)) this.#shared.storing.changed(kept)
    const [pause, ...rest] = pauses
    if (pause && !kept.isEmpty) setTimeout(() => this.#lookTaken(kept, rest), pause)
  }

  /** @param {KeptForm} kept */
  #submitted(kept) {
    if (this.#shared.guard.isOver) return
    this.#prevented.delete(kept)
    this.#returns.get(kept)?.finish()
    this.#setAside(kept)
  }

  /**
   * The page goes elsewhere: maybe since a script has submitted a form, of which no event tells; or
   * has sent it itself.
   * @param {{userInitiated?: boolean}} [navigation]
   */
  #leaves(navigation) {
    if (navigation?.userInitiated === false) for (const kept of this.#prevented) this.#submitted(kept)
    if (this.#read && performance.now() - this.#read.at < SUBMITS_MS) this.#submitted(this.#read.kept)
  }

  /** @param {Event} event */
  #reset(event) {
    const kept = this.#kept.get(/** @type {HTMLFormElement} */ (event.target))
    if (!kept) return
    setTimeout(() => {
      if (event.defaultPrevented) return
      kept.clear()
      this.#returns.get(kept)?.finish()
      this.#shared.storing.changed(kept)
    })
  }
}
