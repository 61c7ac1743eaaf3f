// @ts-check
import {FRAME, FRAMES, isHidden, listen, listenAnew} from './page.js'
import {instant, since} from './time.js'

/** @import {Instant} from './time.js' */

/**
 * Everything by which a person can be noticed. Scrolling counts while a button is held: scripts
 * scroll as well.
 */
const ACTS = (
  'pointerdown pointerup pointermove mousedown mousemove wheel touchstart touchmove keydown keyup ' +
  'input paste cut drop drag dragover scroll'
).split(' ')

/**
 * How long after a tab is shown a first movement may be the browser's own: it tells a page where
 * the mouse rests.
 */
const SETTLING_MS = 500

/**
 * Where the pointer rests, kept for the next page of the tab: a reload under a resting mouse is no
 * act.
 */
const POINTER_KEY = 'curfew.pointer'

/**
 * What ends the holding of a button or a finger: a touch that turns into scrolling has no
 * pointerup.
 */
const LET_GO = 'pointerup pointercancel touchend touchcancel'.split(' ')

/**
 * Calls act for whatever a person does in the page, its same-origin frames included. Listeners sit
 * at the very top and capture, so that nothing in the page can hide an event from them.
 *
 * A frame may be led to another document at any time, and document.open() takes the listeners from
 * one that stays. So nothing is remembered of frames: whoever finds one listens to all that is in
 * it, which changes nothing where this was done before. One in a shadow tree is found when the
 * pointer enters it or the focus moves into it; one in a closed tree tells of itself, where it has
 * the script.
 */
export class Acts {
  #act
  #signal
  /** Where the pointer was last: a browser may tell a new page of one here that nobody has moved. */
  #position = '0,0'
  #held = false
  /** @type {Instant | null} when the tab was last shown */
  #shown = null
  #added

  // The same objects each time, so that to watch a document or a frame twice is to watch it once.
  #hear = (/** @type {Event} */ event) => this.#heard(event)
  #release = (/** @type {Event} */ event) => {
    if (event.isTrusted) this.#held = false
  }
  #enter = (/** @type {Event} */ event) => this.#frame(event.composedPath()[0])
  #focusMoved = () => {
    this.#lookAtFocus() // a key that comes with it is an act
    setTimeout(() => this.#lookAtFocus()) // in some browsers it has only arrived then
  }
  #loaded = (/** @type {Event} */ event) => this.#frame(event.target)
  #left = (/** @type {Event} */ event) => {
    const frame = /** @type {Document} */ (event.target).defaultView?.frameElement
    setTimeout(() => this.#frame(frame)) // the next document is there then, though it has not loaded
  }

  /**
   * @param {(event: Event) => void} act
   * @param {AbortSignal} signal ends it
   */
  constructor(act, signal) {
    this.#act = act
    this.#signal = signal
    this.#added = new MutationObserver(changes => {
      for (const {target, addedNodes} of changes) {
        const view = /** @type {Document} */ (target).defaultView
        if (target === document) listenAnew()
        if (view) this.#watch(view) // a document that is written anew
        for (const node of addedNodes) this.#search(/** @type {Element | Text} */ (node))
      }
    })
    signal.addEventListener('abort', () => this.#added.disconnect())
    this.#watch(window)
    this.#lookAtFocus()
    listen(document, FRAME, event => this.#frame(event.detail), {signal})
    listen(document, 'visibilitychange', () => (this.#shown = isHidden() ? null : instant()), {signal})
    try {
      this.#position = sessionStorage.getItem(POINTER_KEY) ?? this.#position
      listen(window, 'pagehide', () => sessionStorage.setItem(POINTER_KEY, this.#position), {signal})
    } catch {} // storage is turned off: the first movement counts then
  }

  /** @param {Window} view */
  #watch(view) {
    const options = {capture: true, passive: true, signal: this.#signal}
    for (const type of ACTS) view.addEventListener(type, this.#hear, options)
    for (const type of LET_GO) view.addEventListener(type, this.#release, options)
    view.addEventListener('pointerover', this.#enter, options)
    view.addEventListener('blur', this.#focusMoved, options)
    this.#added.observe(view.document, {subtree: true, childList: true})
    this.#search(view.document)
  }

  /** @param {Partial<ParentNode>} root any node: only some have others below them */
  #search(root) {
    this.#frame(root)
    for (const frame of root.querySelectorAll?.(FRAMES) ?? []) this.#frame(frame)
  }

  /**
   * @param {unknown} element listened to if it is a frame of this origin: else its document is null
   */
  #frame(element) {
    const frame = /** @type {HTMLIFrameElement | null | undefined} */ (element)
    // A form may have a field called `matches`: that is no function, and has no bind.
    if (this.#signal.aborted || !frame?.matches?.bind || !frame.matches(FRAMES)) return
    frame.addEventListener('load', this.#loaded, {signal: this.#signal})
    const view = frame.contentDocument?.defaultView
    if (!view) return
    view.addEventListener('pagehide', this.#left, {signal: this.#signal})
    this.#watch(view)
  }

  /** Follows the focus through shadow trees and frames to where it is. */
  #lookAtFocus() {
    if (!document.hasFocus()) this.#held = false // the button is let go of somewhere else
    let element = document.activeElement
    while (element) {
      this.#frame(element)
      element =
        element.shadowRoot?.activeElement ??
        /** @type {HTMLIFrameElement} */ (element).contentDocument?.activeElement ??
        null
    }
  }

  /** @param {Event} event */
  #heard(event) {
    if (!event.isTrusted) return
    const mouse = /** @type {MouseEvent} */ (event)
    switch (event.type) {
      case 'pointerdown':
        this.#held = true
        break
      case 'pointermove':
      case 'mousemove': {
        // browsers repeat the last position when the page moves under a resting mouse
        const position = `${mouse.screenX},${mouse.screenY}`
        if (position === this.#position) return
        this.#position = position
        this.#held = mouse.buttons > 0
        const settling = this.#shown && since(this.#shown) < SETTLING_MS
        this.#shown = null
        if (settling) return
        break
      }
      case 'scroll':
        if (!this.#held) return
    }
    this.#act(event)
  }
}
