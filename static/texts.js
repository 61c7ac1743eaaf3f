// @ts-check
// Texts with values in them, as locale.go says them: the server and the browser choose the same
// plural form, and write a number in the same way.

/** @typedef {string | Partial<Record<Intl.LDMLPluralRule, string>>} Text a text, or its plural forms (CLDR) */
/** @typedef {Record<string, string | number>} Data values in a text, by their names; Count chooses the form */

/** Numbers as a language writes them, in Latin digits. @param {string} language */
export const numberFormat = language => new Intl.NumberFormat(language, {numberingSystem: 'latn'})

/**
 * Data of which none disturbs the direction of the text around it: names and addresses run from
 * left to right.
 * @param {Data} [data]
 * @returns {Data}
 */
export const isolated = (data = {}) =>
  Object.fromEntries(
    Object.entries(data).map(([name, value]) => [name, typeof value === 'string' ? `\u2068${value}\u2069` : value]),
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
