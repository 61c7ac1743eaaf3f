// @ts-check
import {ofDocument} from './page.js'

/**
 * The value of a cookie that scripts can read; empty where there is none, and where the page may
 * read none: a frame in a sandbox.
 * @param {string} name
 * @returns {string}
 */
export function cookie(name) {
  try {
    const pairs = /** @type {string} */ (ofDocument('cookie')).split('; ')
    return pairs.find(pair => pair.startsWith(name + '='))?.slice(name.length + 1) ?? ''
  } catch {
    return ''
  }
}
