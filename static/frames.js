// @ts-check
import {COPY, FRAME, KEEP, KEEPER, TAG, WORK} from './page.js'

/** So long a frame waits for the page around it to be read, which may have the tag at its end. */
const AROUND_MS = 2_000

/** What the guard dispatches. */
const EVENTS = ['warn', 'active', 'notice', 'expire', 'resume', 'connection']

/** The documents of this origin around this one, from the inside out. @returns {Document[]} */
function around() {
  const documents = []
  try {
    for (let view = /** @type {Window} */ (window); view.parent !== view; view = view.parent)
      documents.push(view.parent.document)
  } catch {} // of another origin: what is beyond does not see into this frame either
  return documents
}

/**
 * Whether a page has the script: its tag, or a script that runs though the page has lost its tag.
 * @param {Document} document
 */
const hasScript = document =>
  document.querySelector(TAG) || !document.dispatchEvent(new CustomEvent(COPY, {cancelable: true}))

/**
 * Finds the page around this frame that guards it, too, once the pages around it are read. In the
 * frame the script rests then, and passes on what the guard tells.
 * @returns {Promise<boolean>} false where the frame has to guard itself
 */
export async function rest() {
  const unread = around().find(document => document.readyState === 'loading')
  if (unread) {
    await new Promise(resolve => {
      unread.addEventListener('DOMContentLoaded', resolve, {once: true})
      setTimeout(resolve, AROUND_MS)
    })
  }
  const outer = document.querySelector(TAG) ? around().findLast(hasScript) : undefined
  if (outer) passOn(outer)
  return !!outer
}

/** @param {Document} outer */
function passOn(outer) {
  const life = new AbortController()
  for (const name of EVENTS) {
    outer.addEventListener(
      'curfew:' + name,
      event => {
        const {detail} = /** @type {CustomEvent} */ (event)
        document.dispatchEvent(new CustomEvent(event.type, {detail}))
      },
      {signal: life.signal},
    )
  }
  document.addEventListener(WORK, () => outer.dispatchEvent(new CustomEvent(WORK)))
  outer.dispatchEvent(new CustomEvent(FRAME, {detail: frameElement}))
  const keep = () => outer.dispatchEvent(new CustomEvent(KEEP, {detail: document}))
  outer.addEventListener(KEEPER, keep, {signal: life.signal})
  keep()
  window.addEventListener('pagehide', event => {
    if (!event.persisted) life.abort()
  })
}
