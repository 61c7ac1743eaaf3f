// @ts-check
// Texts with values in them, as locale.go says them: the server and the browser choose the same
// plural form, and write a number in the same way.

/** @typedef {string | Partial<Record<Intl.LDMLPluralRule, string>>} Text a text, or its plural forms (CLDR) */
/** @typedef {Record<string, string | number>} Data values in a text, by their names; Count chooses the form */

/** Numbers as a language writes them, in Latin digits. @param {string} language */
export const numberFormat = language => new Intl.NumberFormat(language, {numberingSystem: 'latn'})

/** What runs from right to left, or may set a direction: isolate.go in package locale has the same. */
const TURNS =
  /[\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u

/**
 * A value, such that neither it nor the text around it turns the other, as isolate.go has it.
 * @param {string} value
 * @param {string} direction of the text around it: ltr or rtl
 */
export const isolatedText = (value, direction) =>
  /\D/.test(value) && (direction === 'rtl' || TURNS.test(value)) ? `\u2068${balanced(value)}\u2069` : value

/** A value that ends no isolate but those that it begins, and ends all of them. @param {string} value */
function balanced(value) {
  let open = 0
  const kept = value.replace(/[\u2066-\u2069]/g, mark => {
    if (mark !== '\u2069') open++
    else if (open === 0) return ''
    else open--
    return mark
  })
  return kept + '\u2069'.repeat(open)
}

/**
 * Data of which no text disturbs the direction of the sentence that it is put into.
 * @param {string} direction of the sentence
 * @param {Data} [data]
 * @returns {Data}
 */
export const isolated = (direction, data = {}) =>
  Object.fromEntries(
    Object.entries(data).map(([name, value]) => [
      name,
      typeof value === 'string' ? isolatedText(value, direction) : value,
    ]),
  )

/**
 * Returns what says the text of a key.
 * @param {string} language
 * @param {Record<string, Text>} texts by their keys
 */
export function speaker(language, texts) {
  const plural = new Intl.PluralRules(language)
  const number = numberFormat(language)
  return (/** @type {string} */ key, /** @type {Data} */ data = {}) => {
    const text = texts[key] ?? ''
    const form = typeof text === 'string' ? text : (text[plural.select(Number(data.Count))] ?? text.other ?? '')
    return form.replace(/{{\.(\w+)}}/g, (_, name) => {
      const value = data[name] ?? ''
      return typeof value === 'number' ? number.format(value) : value
    })
  }
}
