// @ts-check
/**
 * The version of this script, which the server writes in when it serves the file. The script
 * imports modules below it, so that two versions never meet: a server that has another one answers
 * 404.
 */
export const VERSION = '__VERSION__'

/**
 * Returns a function that imports a module, relative to the script that asks. An import that failed
 * is tried again by the next call, with another query, since some browsers remember the failure of
 * a URL.
 * @param {string} url
 * @returns {() => Promise<any>}
 */
export function importer(url) {
  /** @type {Promise<any> | undefined} */
  let module
  let query = ''
  return () =>
    (module ??= import(url + query).catch(error => {
      module = undefined
      query += '?'
      throw error
    }))
}
