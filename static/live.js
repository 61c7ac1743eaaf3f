// @ts-check
// What the live pages of administrators share: the socket over which the server says what they
// show, and the words in which they say it. The pages work without it.
import {isolated, numberFormat, speaker} from './texts.js'

/** @import {Data, Text} from './texts.js' */

const script = /** @type {HTMLScriptElement} */ (document.querySelector('script[data-console]'))
const url = new URL(script.dataset.console ?? '', document.baseURI)

/** Below which path the routes of Curfew are. */
export const base = url.pathname.replace(/\/admin\/ws$/, '')
url.protocol = url.protocol.replace('http', 'ws')

/** What the tag of the page's script tells it. */
export const told = script.dataset

/** @param {string} id */
export const byId = id => /** @type {HTMLElement} */ (document.getElementById(id))

const language = document.documentElement.lang

/** @type {Record<string, Text>} the words that the server has put into the page */
const words = JSON.parse(document.getElementById('words')?.textContent ?? '{}')

const saying = speaker(language, words)

/** The text of a key, in the language of the page. @param {string} key @param {Data} [data] */
export const say = (key, data) => saying(key, isolated(document.documentElement.dir, data))

/** Puts texts into one line. @param {string[]} texts */
export const list = texts => texts.filter(text => text).reduce((First, Next) => say('console.list', {First, Next}))

/** A number as the language writes it. */
export const number = numberFormat(language)

/** How long ago something was, as words.go says it. @param {number} seconds */
export function ago(seconds) {
  const unit = (/** @type {string} */ name, /** @type {number} */ of) =>
    say('ago.' + name, {Count: Math.floor(seconds / of)})
  if (seconds < 60) return say('ago.now')
  if (seconds < 3600) return unit('minutes', 60)
  if (seconds < 48 * 3600) return unit('hours', 3600)
  return unit('days', 24 * 3600)
}

/**
 * Sets a text only where it differs: nothing moves under the reader.
 * @param {Element | null} element
 * @param {unknown} text
 */
export function setText(element, text) {
  if (element && element.textContent !== String(text)) element.textContent = String(text)
}

/**
 * Sets a name or an address: data that is isolated from the direction of the text around it.
 * @param {Element | null} element
 * @param {string} text
 */
export function setData(element, text) {
  const {firstElementChild: data} = element ?? {}
  if (element?.textContent === text && (!text || data?.localName === 'bdi')) return
  element?.replaceChildren(...(text ? [make('bdi', {}, text)] : []))
}

/** So long after a change a status says it, and so seldom. */
const TELL_AFTER_MS = 100
const TELL_EVERY_MS = 3_000

/**
 * Returns what has screen readers read out a text that changes often: a status that is always there
 * says it a moment later, and says no more than one every few seconds.
 * @param {HTMLElement} status
 * @returns {(text: string) => void}
 */
export function teller(status) {
  let wanted = ''
  let timer = 0
  let told = -Infinity
  const tell = () => {
    timer = 0
    if (status.textContent === wanted) return
    told = performance.now()
    status.textContent = wanted
  }
  return text => {
    wanted = text
    timer ||= setTimeout(tell, Math.max(TELL_AFTER_MS, told + TELL_EVERY_MS - performance.now()))
  }
}

/** @param {string} name @param {Record<string, string | undefined>} [attributes] @param {string} [text] */
export function make(name, attributes = {}, text = '') {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(key, value)
  element.textContent = text
  return element
}

/**
 * Asks the server over the socket, and shows what it answers, as often as that changes.
 * @param {(isNew: boolean) => object} question what the page wants to see now; isNew: over a new connection
 * @param {(answer: any) => void} show
 * @returns {() => void} asks anew, as soon as there is a connection
 */
export function converse(question, show) {
  /** @type {WebSocket | null} */
  let socket = null
  let wait = 500
  let timer = 0

  function ask(isNew = false) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(question(isNew)))
  }

  function connect() {
    clearTimeout(timer)
    const current = (socket = new WebSocket(url, 'curfew.console.v2'))
    socket.addEventListener('open', () => {
      wait = 500
      ask(true)
    })
    socket.addEventListener('message', event => {
      if (socket !== current) return
      setText(byId('live'), say('live.on'))
      show(JSON.parse(event.data))
    })
    socket.addEventListener('close', event => {
      if (socket !== current) return
      if (event.code === 1008) return location.reload() // the right is gone: the server says so
      setText(byId('live'), say('live.lost'))
      timer = setTimeout(connect, wait * (0.5 + Math.random() / 2))
      wait = Math.min(15_000, wait * 2)
    })
  }

  /** The session is over. The page is blank, and what it shows stays as it is until it comes back. */
  function rest() {
    clearTimeout(timer)
    socket?.close()
    socket = null
  }

  function renew() {
    rest()
    wait = 500
    connect()
  }

  // The page's own connection finds out sooner that there is none.
  let isCut = false
  document.addEventListener('curfew:connection', event => {
    const {connected} = /** @type {CustomEvent} */ (event).detail
    const wasCut = isCut
    isCut = !connected
    if (!socket) return
    if (isCut) return setText(byId('live'), say('live.lost'))
    if (wasCut) renew()
  })
  document.addEventListener('curfew:expire', rest)
  document.addEventListener('curfew:resume', renew) // the page goes on with another session
  connect()
  return () => ask()
}
