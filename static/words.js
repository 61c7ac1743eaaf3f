// @ts-check
// What the page says, but for the few words that plain.js has to say without this file.

export const TITLE = 'Your session is about to end'
export const STAY = 'Stay signed in'
export const CONTINUE = 'Continue working'
export const SIGN_OUT = 'Sign out now'
export const SIGNED_OUT_SOON = 'You will be signed out soon'
export const SHOW = 'Show'
export const SIGNED_OUT = 'You have been signed out'
export const SIGN_IN_AGAIN = 'Sign in to continue'
export const LEAVE_PAGE = 'Leave this page'
export const NOTICES = 'Notices'
export const DISMISS = 'Dismiss'

/** What is said of a draft. */
export const IS_BACK = 'What you typed is back.'
export const DISCARD = 'Discard'
export const USE_IT = 'Use it'
export const CANNOT_KEEP = 'What you type here cannot be kept in this browser.'

/** @param {string[]} labels of the fields */
export const TYPED_ELSE = labels =>
  'You had typed something else ' +
  (labels.length > 0 ? `in ${labels.map(label => `“${label}”`).join(', ')}.` : 'here.')

/** What has come of a button. @type {Record<string, string>} */
export const OUTCOMES = {
  wait: 'One moment…',
  stillTrying: 'The server cannot be reached. Still trying…',
  notSignedOut: 'The server cannot be reached, so you are still signed in. Please try again.',
}

/** How the connection is. @type {Record<string, string>} */
export const CONNECTION = {
  lost: 'The connection is lost. Reconnecting…',
  polling: 'Live updates are not possible here. Checking every second…',
}

/** @param {number} seconds */
export const inWords = seconds => {
  const [n, unit] = seconds >= 60 && seconds % 60 === 0 ? [seconds / 60, 'minute'] : [seconds, 'second']
  return `${n} ${unit}${n === 1 ? '' : 's'}`
}

/** @param {number} seconds to the end */
export const timeLeft = seconds => `${inWords(seconds)} left`

/**
 * What a warning says.
 * @param {string} message
 * @param {number} seconds to the end
 * @param {boolean} canStay
 */
export const warningText = (message, seconds, canStay) =>
  `${message} You will be signed out in ${inWords(seconds)}${canStay ? ' unless you stay.' : '.'}`.trim()

/** The seconds as a clock shows them. @param {number} seconds */
export const countdown = seconds => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
