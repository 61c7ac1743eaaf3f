// @ts-check
// What the page says, in the language of the person in front of it, but for the few words that
// plain.js has to say without this file. The texts are those of locale/words: English comes along,
// another language is fetched as the page starts.
import {cookie} from './cookies.js'
import ENGLISH from './english.json'
import {TAG} from './page.js'
import {isolated, speaker} from './texts.js'

/** @import {Data, Text} from './texts.js' */

/** So long the page waits for its language at most, in ms; then it speaks English. */
const LEARN_MS = 1_500

/** The cookie with the language that a person has chosen. */
const COOKIE = '__Host-curfew-lang'

let language = 'en'
let direction = 'ltr'
let saying = speaker(language, ENGLISH)
let listing = new Intl.ListFormat(language)
/** @type {(() => void)[]} put what stands already into the language */
const marks = []

/**
 * Fetches the words of the language that the tag names, or the person has chosen, or else the
 * browser asks for: the server knows which are offered. Who asks for English does not wait for that
 * answer: it is another language only where English is not offered.
 */
export async function learn() {
  const {lang} = /** @type {HTMLElement | null} */ (document.querySelector(TAG))?.dataset ?? {}
  const kept = cookie(COOKIE)
  const learnt = fetchWords([lang, kept, ...navigator.languages].filter(name => name))
  const chosen = lang || kept
  if (chosen ? chosen !== 'en' : !/^en\b/i.test(navigator.language)) await learnt
}

/** @param {unknown[]} wanted languages */
async function fetchWords(wanted) {
  try {
    const url = new URL('words.json?lang=' + encodeURIComponent(wanted.join()), import.meta.url)
    const answer = await fetch(url, {signal: AbortSignal.timeout(LEARN_MS)})
    if (answer.ok) speak(await answer.json())
  } catch {} // English will do
}

/** @param {{lang: string, dir: string, words: Record<string, Text>}} learnt */
function speak({lang, dir, words}) {
  language = lang
  direction = dir
  saying = speaker(lang, {...ENGLISH, ...words})
  listing = new Intl.ListFormat(lang)
  for (const mark of marks) mark()
}

/**
 * Words an element that stays for as long as the page, and marks it as one in the language of the
 * words.
 * @param {HTMLElement} element
 * @param {() => void} tell says what stands in it
 */
export function speaks(element, tell) {
  const mark = () => {
    element.lang = language
    element.dir = direction
    tell()
  }
  marks.push(mark)
  mark()
}

/**
 * The text of a key.
 * @param {string} key
 * @param {Data} [data]
 */
export const say = (key, data) => saying(key, isolated(direction, data))

/** Several texts as one. @param {string[]} texts */
export const list = texts => listing.format(texts)

/** @param {string} key @returns {boolean} whether there is such a text */
export const canSay = key => key in ENGLISH

/** @param {number} seconds */
export function inWords(seconds) {
  if (seconds >= 3600 && seconds % 3600 === 0) return say('time.hours', {Count: seconds / 3600})
  if (seconds >= 60 && seconds % 60 === 0) return say('time.minutes', {Count: seconds / 60})
  return say('time.seconds', {Count: seconds})
}

/** @param {number} seconds to the end */
export const timeLeft = seconds => say('page.left', {Time: inWords(seconds)})

/**
 * When the session ends, as a warning says it.
 * @param {number} seconds to the end
 * @param {boolean} canStay
 */
export const soon = (seconds, canStay) =>
  say(canStay ? 'page.soonUnlessYouStay' : 'page.soon', {Time: inWords(seconds)})

/**
 * What the server tells of a warning or an end.
 * @typedef {{reason?: string, message?: string, text?: string, data?: Record<string, string>}} Told
 */

/**
 * Why something happens: a sentence in the page's language, and what an administrator has written.
 * @typedef {{sentence: string, quote: string}} Why
 */

/** Why a session is about to end. @param {Told} told @returns {Why} */
export const whyDue = told => why('due.' + told.reason, {}, told)

/** Why a session has ended. @param {Told} told @returns {Why} */
export function whyOver(told) {
  const {reason, data} = told
  const {by = '', device = '', address = ''} = data ?? {}
  const exact = device && by !== 'browser' ? `reason.${reason}By` : `reason.${reason}-${by}`
  const key = canSay(exact) ? exact : 'reason.' + reason
  return why(key, data && device ? {Device: deviceText(data), Address: address} : {}, told)
}

/**
 * The sentence of a key, or the message where this version has none. A message that the sentence
 * does not stand for is an older server's, whose administrator's words are in it, or tells of
 * something that this version does not know.
 * @param {string} key
 * @param {Data} values
 * @param {Told} told
 * @returns {Why}
 */
function why(key, values, {reason, message = '', text = '', data}) {
  const sentence = canSay(key) ? say(key, values) : message
  const isKnown = !message || !!text || !!data || message === ENGLISH[key]
  if (isKnown) return {sentence, quote: text}
  return reason === 'admin' ? {sentence, quote: message} : {sentence: message, quote: ''}
}

/**
 * What a notice is about that no administrator has written; empty for a kind that this version does
 * not know.
 * @param {string} kind
 * @param {Record<string, string>} data
 */
export function noticeText(kind, data) {
  if (kind === 'sign-in') return say('page.signedInElsewhere', {Device: deviceText(data), Address: data.address ?? ''})
  return kind === 'password' ? passwordText(data) : ''
}

/** When the password ends; empty where this version does not know how that is told. @param {Record<string, string>} data */
function passwordText({days, hours, sign_ins: signIns}) {
  if (days) return say('page.passwordDays', {Count: Number(days)})
  if (hours) return hours === '0' ? say('page.passwordSoon') : say('page.passwordHours', {Count: Number(hours)})
  if (!signIns) return ''
  return signIns === '0' ? say('page.passwordLast') : say('page.passwordSignIns', {Count: Number(signIns)})
}

/** The browser and the system that a session is in. @param {Record<string, string>} data */
function deviceText({browser: Browser = '', system: System = ''}) {
  if (!Browser && !System) return say('device.unknown')
  if (!System) return Browser
  return Browser ? say('device.both', {Browser, System}) : say('device.system', {System})
}

/** The seconds as a clock shows them. @param {number} seconds */
export const countdown = seconds => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
