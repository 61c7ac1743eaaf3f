// @ts-check
import {canHold, fieldsOf, initialOf, isSame, labelOf, setValue, valueOf} from './fields.js'

/** @import {Field, Value} from './fields.js' */
/** @import {Entry, KeptForm} from './keptform.js' */
/** @import {Panel} from './panel.js' */

/**
 * How long after the page began, or after the form appeared, its fields may take to hold what the
 * application has for them. Until then nobody is asked about what they hold.
 */
const LOADED_MS = 3_500
const APPEARED_MS = 900

/** How often fields are looked at, and for how long: some are filled or built anew after a while. */
const LOOK_MS = 100
const LOOKS_MS = 12_000

/** So often a page may put its own value over a draft that has just returned. */
const MAX_PUT = 3

/** How long the line stays at least while the person types on. */
const LINE_MS = 10_000

/**
 * Brings a draft back into the fields of its form: unasked where a field still holds what it did
 * when typing began. Where the application has something else by now both are kept, and the person
 * is asked.
 */
export class Return {
  #kept
  #panel
  #onchange
  /** What fields held that have the draft now. @type {Map<string, {held: Value, value: Value, puts: number}>} */
  #back = new Map()
  #began = performance.now()
  #timer = 0
  /** Takes the line away. @type {(() => void) | undefined} */
  #line
  #shown = 0
  /** @type {(() => void) | undefined} */
  #question

  /** @param {KeptForm} kept @param {Panel} panel @param {() => void} onchange told when what is kept has changed */
  constructor(kept, panel, onchange) {
    this.#kept = kept
    this.#panel = panel
    this.#onchange = onchange
    this.look()
    this.#ask()
  }

  /** Looks at the fields: some may have appeared, or hold what they had to. */
  look() {
    clearTimeout(this.#timer)
    const kept = this.#kept
    if (!kept.form.isConnected || kept.isElsewhere) return this.#end()
    const fields = fieldsOf(kept.form)
    const age = performance.now() - this.#began
    const isSettled = age > APPEARED_MS && performance.now() > LOADED_MS
    for (const entries of [kept.due, kept.others]) {
      for (const [key, {was, value}] of entries) {
        const field = fields.get(key)
        if (!field) continue
        const now = valueOf(field)
        if (isSame(now, value)) {
          // A browser may have brought it back itself. What is the application's own has arrived.
          if (!isSame(initialOf(field), value)) kept.entered.set(key, {was, value})
          this.#settle(entries, key)
        } else if (canHold(field, value)) {
          if (isSame(now, was) && !kept.entered.has(key)) {
            this.#settle(entries, key)
            this.#put(key, {was, value}, field)
          } else if (isSettled && kept.due.delete(key)) kept.others.set(key, {was, value})
        }
      }
    }
    for (const [key, back] of this.#back) {
      const field = fields.get(key)
      const entry = kept.entered.get(key)
      if (!field || !entry || !isSame(entry.value, back.value)) continue // the person has typed on
      const now = valueOf(field)
      if (isSame(now, back.value)) continue
      if (isSame(now, entry.was) && back.puts < MAX_PUT) this.#put(key, entry, field)
      else if (isSettled) {
        this.#back.delete(key)
        kept.returned.delete(key)
        kept.entered.delete(key)
        kept.others.set(key, entry)
        this.#onchange()
      }
    }
    this.#ask()
    if (age < LOOKS_MS) this.#timer = setTimeout(() => this.look(), LOOK_MS)
    else kept.returned.clear()
  }

  /** @param {Map<string, Entry>} entries @param {string} key */
  #settle(entries, key) {
    entries.delete(key)
    this.#onchange()
  }

  /** @param {string} key @param {Entry} entry @param {Field} field */
  #put(key, {was, value}, field) {
    const {entered} = this.#kept
    const {puts = 0, held = valueOf(field)} = this.#back.get(key) ?? {}
    setValue(field, value)
    const now = valueOf(field) // the page may have it in a form of its own
    this.#kept.returned.add(key)
    this.#back.set(key, {held, value: now, puts: puts + 1})
    entered.set(key, {was, value: now})
    this.#onchange()
    this.#shown ||= performance.now()
    const {text} = this.#panel
    this.#line ??= this.#panel.offer(text('draft.isBack'), [
      [text('draft.discard'), () => this.#discard()],
      [text('page.dismiss'), () => this.#end()],
    ])
  }

  #discard() {
    const {entered, form} = this.#kept
    const fields = fieldsOf(form)
    for (const [key, {held, value}] of this.#back) {
      const field = fields.get(key)
      if (!field || !isSame(valueOf(field), value)) continue // the person has typed on: that is theirs
      const {was = held} = entered.get(key) ?? {}
      if (isSame(held, was)) entered.delete(key)
      else entered.set(key, {was, value: held})
      setValue(field, held)
    }
    this.#back.clear()
    this.#kept.returned.clear()
    this.#end()
    this.#onchange()
  }

  /** Asks about what the application has changed meanwhile. */
  #ask() {
    const {others, form} = this.#kept
    if (others.size === 0) {
      this.#question?.()
      this.#question = undefined
    }
    if (others.size === 0 || this.#question) return
    const fields = fieldsOf(form)
    const found = [...others.keys()].flatMap(key => fields.get(key) ?? [])
    if (found.length === 0) return
    const {text, list} = this.#panel
    const labels = found.map(labelOf).filter(Boolean)
    const Fields = list(labels.map(Name => text('draft.field', {Name})))
    const typedElse = text(Fields ? 'draft.typedElse' : 'draft.typedElseHere', {Fields})
    this.#question = this.#panel.offer(typedElse, [
      [text('draft.useIt'), () => this.#use()],
      [text('draft.discard'), () => this.#refuse()],
    ])
  }

  #use() {
    const {others, entered, form} = this.#kept
    const fields = fieldsOf(form)
    for (const [key, {value}] of others) {
      const field = fields.get(key)
      if (!field || !canHold(field, value)) continue
      this.#back.delete(key)
      this.#settle(others, key)
      this.#put(key, {was: entered.get(key)?.was ?? valueOf(field), value}, field)
    }
    this.#ask()
  }

  #refuse() {
    this.#kept.others.clear()
    this.#onchange()
    this.#ask()
  }

  /** The person has typed on: the line has been read. */
  typed() {
    if (this.#line && performance.now() - this.#shown > LINE_MS) this.#end()
  }

  /** Takes the line away; what is asked stays. */
  #end() {
    this.#line?.()
    this.#line = undefined
    if (this.#kept.form.isConnected && !this.#kept.isElsewhere) return
    this.#question?.()
    this.#question = undefined
  }

  /** The form was submitted or reset. */
  finish() {
    this.#back.clear()
    this.#kept.returned.clear()
    this.#end()
    this.#ask()
  }
}
