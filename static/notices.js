// @ts-check
/**
 * Where the notices are kept that were dismissed in this tab: the next page is told of the last
 * minute's again.
 */
const DISMISSED_KEY = 'curfew.dismissed'

/** So many notices are kept and shown: the oldest go. A server tells a page that opens of fewer. */
export const MAX_NOTICES = 50

/** @returns {string[]} */
export function dismissedNotices() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(DISMISSED_KEY) ?? '[]')
    return Array.isArray(kept) ? kept : []
  } catch {
    return [] // storage is turned off
  }
}

/** Keeps a notice from coming back in this tab. @param {string} id */
export function dismissNotice(id) {
  try {
    sessionStorage.setItem(DISMISSED_KEY, JSON.stringify([...dismissedNotices(), id].slice(-MAX_NOTICES)))
  } catch {}
}
