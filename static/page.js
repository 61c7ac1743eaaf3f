// @ts-check
/** The elements that Curfew itself adds to a page. */
export const OURS = 'curfew-warning,curfew-panel,curfew-plain'

/** What Curfew shows on a page that is blank. */
export const WAITING = 'curfew-waiting'

/** What may hold another document. */
export const FRAMES = 'iframe, frame, object'

/** The script tag of a page that is guarded. */
export const TAG = 'script[type="module"][data-socket]'

/** What the script tells whoever guards a page: a person's work, as activity() does. */
export const WORK = 'curfew:work'

/** What asks whether a page has the script already: a copy of it that has begun prevents it. */
export const COPY = 'curfew:copy'

/** What a frame's script tells the page that guards it: the frame, which may be in a closed tree. */
export const FRAME = 'curfew:frame'

/**
 * What a frame's script tells the page that guards it: its document, whose forms may be kept. A page
 * that has just become able to hear that says so by the second.
 */
export const KEEP = 'curfew:keep'
export const KEEPER = 'curfew:keeper'

/** The elements that show the presence of a user. */
export const PRESENCE = '[data-curfew-presence]'

/** A page may change a lot at once: it is looked through so much later. */
export const SETTLED_MS = 100

/**
 * A property of the document itself. An element of the page may have its name, and be found in its
 * place: an iframe that is called `body`.
 * @param {string} name
 */
export const ofDocument = name => Reflect.get(Document.prototype, name, document)

/** @param {string} name @param {unknown} value */
export const setOfDocument = (name, value) => Reflect.set(Document.prototype, name, value, document)

/** Whether nobody sees the page. An element may be called `hidden`, too. */
export const isHidden = () => document.hidden === true

/** @type {[EventTarget, string, (event: any) => void, AddEventListenerOptions][]} */
const listeners = []

/**
 * Listens for as long as the page lives, even if the page is written anew.
 * @param {EventTarget} target @param {string} type @param {(event: any) => void} listener
 * @param {AddEventListenerOptions} options
 */
export function listen(target, type, listener, options) {
  listeners.push([target, type, listener, options])
  target.addEventListener(type, listener, options)
}

/** Makes good that document.open() has taken all listeners from window and document. */
export function listenAnew() {
  for (const [target, ...listener] of listeners) target.addEventListener(...listener)
}

/** Where the focus is, in shadow trees and frames of this origin too. */
export function focused() {
  let element = document.activeElement
  for (;;) {
    const frame = /** @type {HTMLIFrameElement | null} */ (element)?.contentDocument
    const inner = element?.shadowRoot?.activeElement ?? frame?.activeElement
    if (!inner || inner === frame?.body) return element
    element = inner
  }
}

/** Remembers where the focus and the selection are. @returns {() => void} puts them back */
export function rememberFocus() {
  const element = /** @type {HTMLInputElement | null} */ (focused())
  const selection = (element?.ownerDocument ?? document).getSelection()
  /** @type {Range[]} */
  const ranges = []
  while (selection && ranges.length < selection.rangeCount) ranges.push(selection.getRangeAt(ranges.length))
  const start = element?.selectionStart // only fields with a selection have one
  const end = /** @type {number} */ (element?.selectionEnd)
  const direction = element?.selectionDirection ?? 'none'
  return () => {
    if (!element?.isConnected) return
    if (element !== document.body) element.focus({preventScroll: true})
    if (typeof start === 'number') element.setSelectionRange(start, end, direction)
    else if (selection && ranges.length > 0 && ranges.every(range => range.startContainer.isConnected)) {
      selection.removeAllRanges()
      for (const range of ranges) selection.addRange(range)
    }
  }
}
