// @ts-check
// What the page says, in the language of the person in front of it, but for the few words that
// plain.js has to say without this file. The texts are those of locale/words: English comes along,
// another language is fetched as the page starts.
import ENGLISH from './english.json'
import {TAG} from './page.js'
import {speaker} from './texts.js'

/** @import {Data, Text} from './texts.js' */

/** So long the page waits for its language at most, in ms; then it speaks English. */
const LEARN_MS = 5_000

/** The cookie with the language that a person has chosen. */
const COOKIE = '__Host-curfew-lang'

let language = 'en'
let direction = 'ltr'
let saying = speaker(language, ENGLISH)

/**
 * Fetches the words of the language that the tag names, or the person has chosen, or else the
 * browser asks for: the server knows which are offered.
 */
export async function learn() {
  const {lang} = /** @type {HTMLElement | null} */ (document.querySelector(TAG))?.dataset ?? {}
  const [, chosen] = document.cookie.match(`(?:^|; )${COOKIE}=([^;]*)`) ?? []
  const wanted = [lang, chosen, ...navigator.languages].filter(name => name).join()
  try {
    const url = new URL('words.json?lang=' + encodeURIComponent(wanted), import.meta.url)
    const answer = await fetch(url, {signal: AbortSignal.timeout(LEARN_MS)})
    if (answer.ok) speak(await answer.json())
  } catch {} // English will do
}

/** @param {{lang: string, dir: string, words: Record<string, Text>}} learnt */
function speak({lang, dir, words}) {
  language = lang
  direction = dir
  saying = speaker(lang, {...ENGLISH, ...words})
}

/** Marks an element as one whose text is in the language of the words. @param {HTMLElement} element */
export function speaks(element) {
  element.lang = language
  element.dir = direction
}

/**
 * The text of a key.
 * @param {string} key
 * @param {Data} [data]
 */
export const say = (key, data) => saying(key, data)

/** @param {string} key @returns {boolean} whether there is such a text */
export const canSay = key => key in ENGLISH

/** @param {number} seconds */
export const inWords = seconds =>
  seconds >= 60 && seconds % 60 === 0
    ? say('time.minutes', {Count: seconds / 60})
    : say('time.seconds', {Count: seconds})

/** @param {number} seconds to the end */
export const timeLeft = seconds => say('page.left', {Time: inWords(seconds)})

/**
 * Why a session is about to end, but for what an administrator has written.
 * @param {string} reason
 */
export const dueText = reason => say('due.' + reason)

/**
 * When the session ends, as a warning says it.
 * @param {number} seconds to the end
 * @param {boolean} canStay
 */
export const soon = (seconds, canStay) =>
  say(canStay ? 'page.soonUnlessYouStay' : 'page.soon', {Time: inWords(seconds)})

/**
 * Why a session has ended, but for what an administrator has written.
 * @param {string} reason
 * @param {Data} [data]
 */
export function reasonText(reason, data) {
  const {device = '', address = '', by = ''} = data ?? {}
  const exact = device ? `reason.${reason}By` : `reason.${reason}-${by}`
  return say(canSay(exact) ? exact : `reason.${reason}`, {Device: device, Address: address})
}

/** The seconds as a clock shows them. @param {number} seconds */
export const countdown = seconds => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
