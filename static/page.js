// @ts-check
/** The elements that Curfew itself adds to a page. */
export const OURS = 'curfew-warning, curfew-panel, curfew-plain'

/** What may hold another document. */
export const FRAMES = 'iframe, frame, object'

/** The script tag of a page that is guarded. */
export const TAG = 'script[type="module"][data-socket]'

/** What a frame's script tells the page that guards it: a person's work, as activity() does. */
export const WORK = 'curfew:work'

/** The elements that show the presence of a user. */
export const PRESENCE = '[data-curfew-presence]'

/** A page may change a lot at once: it is looked through so much later. */
export const SETTLED_MS = 100

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
  const ranges = selection ? Array.from({length: selection.rangeCount}, (_, i) => selection.getRangeAt(i)) : []
  const start = element?.selectionStart // only fields with a selection have one
  const end = /** @type {number} */ (element?.selectionEnd)
  return () => {
    if (!element?.isConnected || element === document.body) return
    element.focus({preventScroll: true})
    if (typeof start === 'number') element.setSelectionRange(start, end)
    else if (selection && ranges.length > 0 && ranges.every(range => range.startContainer.isConnected)) {
      selection.removeAllRanges()
      for (const range of ranges) selection.addRange(range)
    }
  }
}
