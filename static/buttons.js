// @ts-check
import style from './curfew.css'

// What the elements of the warning have in common: their look, and buttons that no listener of the
// page can take away.

/**
 * What Curfew's elements look like. A sheet that is constructed needs no leave of the page's own
 * policy.
 */
export const look = new CSSStyleSheet()
look.replaceSync(style)

/** What the buttons of Curfew do. @type {WeakMap<EventTarget, () => void>} */
export const deeds = new WeakMap()

/** @param {string} text @param {() => void} deed */
export function button(text, deed) {
  const element = document.createElement('button')
  element.type = 'button'
  element.textContent = text
  deeds.set(element, deed)
  return element
}

/** Heard at the window, where no listener of the page has come between yet. @param {Event} event */
export function clicked(event) {
  const pressed = event.composedPath().find(target => deeds.has(target))
  if (!pressed) return
  stopImmediate.call(event) // the shield would keep it from stopping
  deeds.get(pressed)?.()
}

/** How a listener keeps an event from others and from the browser. */
export const [stopImmediate, stop, prevent] = [
  Event.prototype.stopImmediatePropagation,
  Event.prototype.stopPropagation,
  Event.prototype.preventDefault,
]

let shielded = false

/**
 * Keeps listeners of the page that were there first from taking away events.
 * @param {((event: Event) => boolean) | null} isOurs says which events; null: none any more
 */
export function shield(isOurs) {
  if (shielded === !!isOurs) return
  shielded = !!isOurs
  /** @param {(this: Event) => void} original */
  const guarded = original =>
    isOurs
      ? /** @this {Event} */ function () {
          if (!isOurs(this)) original.call(this)
        }
      : original
  Event.prototype.stopImmediatePropagation = guarded(stopImmediate)
  Event.prototype.stopPropagation = guarded(stop)
  Event.prototype.preventDefault = guarded(prevent)
}
