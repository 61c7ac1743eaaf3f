// @ts-check
/**
 * Curfew's browser client. One script tag is all it needs:
 *
 *   <script type="module" src="/static/curfew.js" data-socket="/session/ws"></script>
 *
 * It holds a socket to the server, reports that a person acts, shows the warning, and blanks the page at the end. The
 * server decides and this page shows: a deadline known here only blanks the page until the server has said more. It
 * dispatches curfew:warn, curfew:active, curfew:notice, curfew:expire and curfew:connection on document, and keeps
 * data-state and a text on every element marked data-curfew-presence="USER".
 * A page that never knew a session is left alone, or goes to the sign-in page where the tag has data-required. In a frame
 * the script rests below a page of the same origin that has it, which guards its frames as well.
 *
 * In this file: time, the curtain, the warning, presence, what counts as an act, the connection, and how the page comes and goes.
 */

/**
 * @typedef {{type: string, seq: number, user?: string, reason?: string, message?: string, location?: string,
 *   warn_in_ms?: number, expire_in_ms?: number, heartbeat_ms?: number, extend_on?: string, id?: string,
 *   users?: Record<string, string>}} Message
 * @typedef {{user: string, warn_in_ms: number, expire_in_ms: number, csrf: string, heartbeat_ms: number,
 *   extend_on: string, reason?: string, message?: string}} Status
 * @typedef {{mono: number, wall: number}} Mark
 */

// ---- time

/** An instant of this page. @returns {Mark} */
const mark = () => ({mono: performance.now(), wall: Date.now()})

/** Milliseconds since m: of two clocks, one stands still in sleep and one may be set; the one that says more is believed. @param {Mark} m */
const since = m => Math.max(performance.now() - m.mono, Date.now() - m.wall)

/** A random share of ms, so that pages do not all come back at once. @param {number} ms */
const jitter = ms => ms * (0.5 + Math.random() / 2)

/** Ten thousand tabs of a server that stops come back over so long a time. @param {number} from @param {number} to in ms */
const spread = (from, to) => from + Math.random() * (to - from)

/** setTimeout cannot wait longer. */
const LONGEST_TIMEOUT = 2 ** 31 - 1

// ---- the curtain

/** Inline styles that no sheet, layer or transition of a page outdoes, and that come back when a script takes them away. */
class Hold {
  /** @type {Map<HTMLElement, {styles: Record<string, string>, page: Record<string, [value: string, priority: string]>}>} */
  #held = new Map()
  #watch = new MutationObserver(changes => {
    for (const {target} of changes) this.#put(/** @type {HTMLElement} */ (target))
  })

  /** @param {Element} element @param {Record<string, string>} styles */
  put(element, styles) {
    const styled = /** @type {HTMLElement} */ (element)
    if (!styled.style || this.#held.has(styled)) return
    this.#held.set(styled, {styles, page: {}})
    this.#put(styled)
    this.#watch.observe(styled, {attributeFilter: ['style']})
  }

  /** What the page has set meanwhile is kept for later. @param {HTMLElement} element */
  #put(element) {
    const held = this.#held.get(element)
    for (const [name, value] of Object.entries(held?.styles ?? {})) {
      if (held?.page[name] && isImportant(element, name, value)) continue
      if (held) held.page[name] = [element.style.getPropertyValue(name), element.style.getPropertyPriority(name)]
      element.style.setProperty(name, value, 'important')
    }
  }

  release() {
    this.#watch.disconnect()
    this.#giveBack(name => name !== STILL)
    for (const element of this.#held.keys()) void getComputedStyle(element).display // all is as it was, before it may move
    this.#giveBack(name => name === STILL)
    for (const element of this.#held.keys()) if (element.getAttribute('style') === '') element.removeAttribute('style')
    this.#held.clear()
  }

  /** @param {(name: string) => boolean} which */
  #giveBack(which) {
    for (const [element, {styles, page}] of this.#held) {
      for (const [name, value] of Object.entries(styles).filter(([name]) => which(name))) {
        if (isImportant(element, name, value)) element.style.setProperty(name, ...(page[name] ?? ['', '']))
      }
    }
  }
}

/** @param {HTMLElement} element @param {string} name @param {string} value */
const isImportant = (element, name, value) =>
  element.style.getPropertyValue(name) === value && element.style.getPropertyPriority(name) === 'important'

/** The property that keeps others from changing slowly. */
const STILL = 'transition-property'

/** The elements that Curfew itself adds to a page. */
const OURS = 'curfew-warning, curfew-panel'

const UNSEEN = {visibility: 'hidden', 'background-image': 'none', [STILL]: 'none'}
const UNSEEN_BODY = {...UNSEEN, 'content-visibility': 'hidden'} // holds text and the page's own modal dialogs, too
const UNRENDERED = {display: 'none', [STILL]: 'none'}

/** Hides what cannot have a style of its own, and what a script adds until it is held. No id of a page weighs more. */
const UNSEEN_SHEET = ':root:not(#\\0#\\0#\\0#\\0)'.replace(
  /.+/,
  root => `
  ${root}, ${root} > body { visibility: hidden !important; background: none !important; transition: none !important }
  ${root} > body > *, ${root} > :not(head, body, ${OURS}) { display: none !important; transition: none !important }
  ${root}::before, ${root}::after, ${root} > body::before, ${root} > body::after { content: none !important }
  ${root}::view-transition { display: none !important }`,
)

/** Hides the page: no text, no title, no field is rendered, and all of it can come back. */
class Curtain {
  #sheet = new CSSStyleSheet()
  #hold = new Hold()
  #down = false
  #title = ''
  /** @type {{icon: Element, parent: ParentNode, next: Node | null}[]} */
  #icons = []
  /** @type {() => void} */
  #refocus = () => {}
  #scroll = {x: 0, y: 0}
  /** The document itself is watched: a script may replace all that is in it. */
  #changes = new MutationObserver(() => this.#hide())

  get isDown() {
    return this.#down
  }

  down() {
    if (this.#down) return
    this.#down = true
    this.#refocus = rememberFocus()
    this.#scroll = {x: scrollX, y: scrollY}
    this.#sheet.replaceSync(UNSEEN_SHEET)
    adopt(this.#sheet)
    this.#title = document.title
    this.#hide()
    this.#changes.observe(document, {subtree: true, childList: true, characterData: true})
    for (const icon of document.querySelectorAll('link[rel~="icon"]')) {
      if (icon.parentNode) this.#icons.push({icon, parent: icon.parentNode, next: icon.nextSibling})
      icon.remove()
    }
  }

  up() {
    if (!this.#down) return
    this.#down = false
    this.#changes.disconnect()
    this.#hold.release()
    this.#sheet.replaceSync('') // a list of sheets that the page copied meanwhile may still hold it
    disown(this.#sheet)
    for (const ours of document.querySelectorAll(OURS)) ours.toggleAttribute('blank', false)
    document.title = this.#title
    for (const {icon, parent, next} of this.#icons.splice(0).reverse()) parent.insertBefore(icon, next)
    scrollTo(this.#scroll.x, this.#scroll.y)
    this.#refocus()
  }

  #hide() {
    const root = document.documentElement
    if (!root) return
    this.#hold.put(root, UNSEEN)
    for (const child of root.children) {
      if (child.matches(OURS)) child.toggleAttribute('blank', true)
      else this.#hold.put(child, child === document.body ? UNSEEN_BODY : UNRENDERED)
    }
    for (const child of document.body?.children ?? []) this.#hold.put(child, UNRENDERED)
    this.#hideTitle()
  }

  /** The page may go on working behind the curtain: what it makes of its title is kept for later. */
  #hideTitle() {
    if (document.title === location.host) return
    this.#title = document.title
    document.title = location.host // for an empty one a browser shows the address, and that may tell as much
  }

  /** Takes all of the page away, for good. Its scripts may still run: what they add and set is hidden as before. */
  forget() {
    this.down()
    for (const field of document.querySelectorAll('input, textarea')) /** @type {HTMLInputElement} */ (field).value = ''
    document.documentElement.replaceChildren(document.createElement('head'), document.createElement('body'))
    this.#hide()
  }
}

/** Adds a sheet that stays while the page sets sheets of its own: no event tells of that. @param {CSSStyleSheet} sheet */
function adopt(sheet) {
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]
  const own = Object.getOwnPropertyDescriptor(Document.prototype, 'adoptedStyleSheets')
  if (!own?.get || !own.set) return
  const {get, set} = own
  Object.defineProperty(document, 'adoptedStyleSheets', {
    configurable: true,
    get: () => get.call(document),
    set: sheets => set.call(document, [...Array.from(sheets).filter(other => other !== sheet), sheet]),
  })
}

/** @param {CSSStyleSheet} sheet */
function disown(sheet) {
  delete (/** @type {Partial<Document>} */ (document).adoptedStyleSheets) // the shadow: the property itself stays
  document.adoptedStyleSheets = document.adoptedStyleSheets.filter(other => other !== sheet)
}

/** Where the focus is, in shadow trees and frames of this origin too. */
function focused() {
  let element = document.activeElement
  for (;;) {
    const frame = /** @type {HTMLIFrameElement | null} */ (element)?.contentDocument
    const inner = element?.shadowRoot?.activeElement ?? frame?.activeElement
    if (!inner || inner === frame?.body) return element
    element = inner
  }
}

/** Remembers where the focus and the selection are. @returns {() => void} puts them back */
function rememberFocus() {
  const element = /** @type {HTMLInputElement | null} */ (focused())
  const selection = (element?.ownerDocument ?? document).getSelection()
  const ranges = selection ? Array.from({length: selection.rangeCount}, (_, i) => selection.getRangeAt(i)) : []
  let start = /** @type {number | null} */ (null),
    end = start
  try {
    start = element?.selectionStart ?? null
    end = element?.selectionEnd ?? null
  } catch {} // fields without a selection
  return () => {
    if (!element?.isConnected || element === document.body) return
    element.focus({preventScroll: true})
    if (start !== null && element.setSelectionRange) element.setSelectionRange(start, end)
    else if (selection && ranges.length > 0 && ranges.every(range => range.startContainer.isConnected)) {
      selection.removeAllRanges()
      for (const range of ranges) selection.addRange(range)
    }
  }
}

// ---- the warning

const TITLE = 'Your session is about to end'
const STAY = 'Stay signed in'
const CONTINUE = 'Continue working'
const SIGN_OUT = 'Sign out now'

/** Keys that work the buttons of the warning, and so do not withdraw it by themselves. */
const BUTTON_KEYS = new Set(['Tab', 'Shift', 'Enter', ' ', 'ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight'])

/** Keys that press a button of the warning: Escape means 'Stay signed in'. */
const PRESSING_KEYS = new Set(['Enter', ' ', 'Escape'])

/** So long no key presses a button of a warning that has come while somebody types: the key was meant for the page. */
const TYPING_MS = 1_000

/** @param {number} seconds */
const inWords = seconds => {
  const [n, unit] = seconds >= 60 && seconds % 60 === 0 ? [seconds / 60, 'minute'] : [seconds, 'second']
  return `${n} ${unit}${n === 1 ? '' : 's'}`
}

/** The time left is spoken at every minute, then at 40 and 20 seconds: this is the last of these marks. @param {number} seconds */
const markOf = seconds => (seconds <= 20 ? 20 : seconds <= 40 ? 40 : Math.ceil(seconds / 60) * 60)

/** What Curfew's elements look like. A sheet that is constructed needs no leave of the page's own policy. */
const look = new CSSStyleSheet()
fetch(new URL('curfew.css', import.meta.url))
  .then(async answer => {
    if (answer.ok) look.replaceSync(await answer.text())
  })
  .catch(() => {})

/** What the buttons of Curfew do. @type {WeakMap<EventTarget, () => void>} */
const deeds = new WeakMap()

/** @param {string} text @param {() => void} deed */
function button(text, deed) {
  const element = document.createElement('button')
  element.type = 'button'
  element.textContent = text
  deeds.set(element, deed)
  return element
}

/** Heard at the window, where no listener of the page has come between yet. @param {Event} event */
function clicked(event) {
  const pressed = event.composedPath().find(target => deeds.has(target))
  if (!pressed) return
  event.stopImmediatePropagation()
  deeds.get(pressed)?.()
}

/** How a listener keeps an event from others and from the browser. */
const [stopImmediate, stop, prevent] = [
  Event.prototype.stopImmediatePropagation,
  Event.prototype.stopPropagation,
  Event.prototype.preventDefault,
]

let shielded = false

/** Keeps listeners of the page that were there first from taking away events. @param {((event: Event) => boolean) | null} isOurs */
function shield(isOurs) {
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

/** The application's modal dialog that has the page to itself: nothing outside of it takes a click. */
function topmostModal() {
  for (
    let node = /** @type {any} */ (focused());
    node;
    node = node.parentNode ?? node.host ?? node.defaultView?.frameElement
  ) {
    if (node instanceof HTMLDialogElement && node.matches(':modal')) return node
  }
  return Array.from(document.querySelectorAll('dialog:modal')).at(-1) ?? null
}

/** What takes a click or a key. */
const CONTROLS =
  'a[href], button, input, select, textarea, summary, label, [role=button], [role=link], [tabindex], [contenteditable]'

/** How far apart the points lie at which the page is probed for controls, in pixels. */
const PROBE_PX = 20

/**
 * Notices, the line that tells of a lost connection, and the one of a warning that was put aside. It lies above the page,
 * and within its modal dialog where one is open, and takes clicks on its buttons and notices only.
 */
class CurfewPanel extends HTMLElement {
  #life = new AbortController()
  #box = document.createElement('div')
  #notices = document.createElement('div')
  #lines = document.createElement('div')
  #line = document.createElement('p')
  #aside = document.createElement('div')
  #count = document.createElement('span')
  #spoken = document.createElement('p')
  /** @type {Set<string>} ids of the notices that were shown */
  #shown = new Set()
  #retired = false
  #isUnder = false
  /** What the button of the line does; set by the warning. */
  onreopen = () => {}

  constructor() {
    super()
    this.#box.className = 'panel'
    this.#box.lang = 'en'
    this.#box.dir = 'ltr'
    this.#notices.className = 'notices'
    this.#notices.setAttribute('role', 'log')
    this.#notices.setAttribute('aria-label', 'Notices')
    this.#lines.className = 'lines'
    this.#line.className = 'line'
    this.#line.setAttribute('role', 'status')
    this.#aside.className = 'line aside'
    this.#aside.hidden = true
    this.#count.setAttribute('aria-hidden', 'true')
    this.#spoken.className = 'spoken'
    this.#spoken.setAttribute('aria-live', 'assertive')
    const text = document.createElement('p')
    text.setAttribute('role', 'status')
    text.append('You will be signed out soon ', this.#count)
    this.#aside.append(
      text,
      this.#spoken,
      button('Show', () => this.onreopen()),
    )
    this.#lines.append(this.#line, this.#aside)
    this.#box.append(this.#notices, this.#lines)
    const shadow = this.attachShadow({mode: 'open'})
    shadow.adoptedStyleSheets = [look]
    shadow.append(this.#box)
    const {signal} = this.#life
    document.addEventListener('toggle', event => this.#moved(event), {capture: true, signal})
    document.addEventListener('close', event => this.#moved(event), {capture: true, signal})
    window.addEventListener('resize', () => this.#place(), {signal})
  }

  /** A modal dialog of the page that goes takes what is in it along. */
  disconnectedCallback() {
    queueMicrotask(() => {
      if (!this.isConnected && !this.#isEmpty) this.arrange()
    })
  }

  /** Takes the panel away for good. */
  retire() {
    this.#retired = true
    this.#life.abort()
    this.remove()
  }

  get #isEmpty() {
    return this.#retired || (this.#aside.hidden && !this.#line.textContent && !this.#notices.firstChild)
  }

  /** @param {Event} event */
  #moved(event) {
    if (event.target instanceof HTMLDialogElement && !this.#isEmpty) this.arrange()
  }

  /** Puts the panel where it can be seen and used, but under the warning. @param {boolean} [isUnder] whether the warning shows now */
  arrange(isUnder = this.#isUnder) {
    this.#isUnder = isUnder
    if (this.#retired) return
    const above = !this.#isEmpty && !this.#isUnder
    const place = (above && topmostModal()) || document.documentElement
    if (this.parentNode !== place) place.append(this)
    const popover = above ? 'manual' : null
    if (this.#box.popover !== popover) this.#box.popover = popover
    if (above && !this.#box.matches(':popover-open')) this.#box.showPopover?.()
    this.#place()
  }

  /** Puts the lines where no control of the page lies under them: at the bottom, else at the top. */
  #place() {
    const top = [false, true].find(top => {
      this.#box.toggleAttribute('data-top', top)
      return !this.#liesOnControls()
    })
    this.#box.toggleAttribute('data-top', top ?? false)
  }

  #liesOnControls() {
    return [this.#line, this.#aside].some(line => {
      const {left, right, top, bottom} = line.getBoundingClientRect()
      for (let x = left; x < right; x += PROBE_PX) {
        for (const y of [top + 1, (top + bottom) / 2, bottom - 1]) {
          if (document.elementsFromPoint(x, y).some(element => !element.matches(OURS) && element.closest(CONTROLS)))
            return true
        }
      }
      return false
    })
  }

  /** Tells of the connection; empty when all is well. @param {string} text */
  line(text) {
    if (this.#line.textContent === text) return
    this.#line.textContent = text
    this.arrange()
  }

  /** Shows the line of a warning that was put aside. @param {boolean} shown */
  aside(shown) {
    if (this.#aside.hidden !== shown) return
    this.#aside.hidden = !shown
    this.#spoken.textContent = ''
    this.arrange()
  }

  /** @param {string} text the time that is left @param {boolean} soon whether it is the last minute */
  count(text, soon) {
    this.#count.textContent = text
    this.#aside.classList.toggle('soon', soon)
  }

  /** @param {string} text what is spoken at once */
  say(text) {
    this.#spoken.textContent = text
  }

  /**
   * Shows what an administrator has to say, until the person dismisses it.
   * @param {string} id @param {string} message plain text
   * @returns {boolean} whether it is new to this tab
   */
  notice(id, message) {
    if (this.#shown.has(id) || dismissedNotices().includes(id)) return false
    this.#shown = new Set([...this.#shown, id].slice(-MAX_NOTICES))
    const box = document.createElement('div')
    box.className = 'notice'
    const text = document.createElement('p')
    text.textContent = message
    box.append(
      text,
      button('Dismiss', () => {
        box.remove()
        this.arrange()
        try {
          sessionStorage.setItem(DISMISSED_KEY, JSON.stringify([...dismissedNotices(), id].slice(-MAX_NOTICES)))
        } catch {}
      }),
    )
    this.#notices.append(box)
    if (this.#notices.childElementCount > MAX_NOTICES) this.#notices.firstElementChild?.remove()
    this.arrange()
    return true
  }
}

/** Where the notices are kept that were dismissed in this tab: the next page is told of the last minute's again. */
const DISMISSED_KEY = 'curfew.dismissed'

/** So many notices are kept and shown: the oldest go. A server tells a page that opens of fewer. */
const MAX_NOTICES = 50

/** @returns {string[]} */
function dismissedNotices() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(DISMISSED_KEY) ?? '[]')
    return Array.isArray(kept) ? kept : []
  } catch {
    return [] // storage is turned off
  }
}

/** So often in a second the warning comes back on top of what the page opens: a page may do the same. */
const MAX_RAISED = 5

/** The warning: a dialog, out of reach of the page's own style, which may be put aside where it cannot be withdrawn. */
class CurfewWarning extends HTMLElement {
  #life = new AbortController()
  #dialog = document.createElement('dialog')
  #title = document.createElement('h2')
  #text = document.createElement('p')
  #count = document.createElement('p')
  #spoken = document.createElement('p')
  #outcome = document.createElement('p')
  #stay = button(STAY, () => this.onstay())
  #continue = button(CONTINUE, () => this.#putAside())
  #leave = button(SIGN_OUT, () => this.onleave())
  #panel = /** @type {CurfewPanel} */ (document.createElement('curfew-panel'))
  /** The reason of the warning that stands; empty for none. */
  #reason = ''
  #aside = false
  #timer = 0
  #mark = 0 // the last one that was told
  #raised = 0 // in this second
  /** @type {() => number} */
  #left = () => 0
  /** What the server said last. */
  #message = ''
  /** @type {Mark | null} when the person typed last */
  #typed = null
  /** @type {Mark | null} since when a key may have been meant for the page */
  #surprise = null
  /** @type {Set<string>} codes of the keys that were pressed in the dialog and are still held */
  #held = new Set()
  #waits = false
  /** @type {() => void} */
  #refocus = () => {}
  /** What the buttons do; set by the guard. */
  onstay = () => {}
  onleave = () => {}

  constructor() {
    super()
    this.#title.id = 'curfew-title'
    this.#title.textContent = TITLE
    this.#title.tabIndex = -1
    this.#text.id = 'curfew-text'
    this.#dialog.setAttribute('role', 'alertdialog')
    this.#dialog.setAttribute('aria-modal', 'true')
    this.#dialog.setAttribute('aria-labelledby', this.#title.id)
    this.#dialog.setAttribute('aria-describedby', this.#text.id)
    this.#dialog.setAttribute('closedby', 'none')
    this.#dialog.lang = 'en'
    this.#dialog.dir = 'ltr'
    this.#count.className = 'count'
    this.#count.setAttribute('aria-hidden', 'true')
    this.#spoken.className = 'spoken'
    this.#spoken.setAttribute('aria-live', 'assertive')
    this.#outcome.className = 'outcome'
    this.#outcome.setAttribute('role', 'status')
    this.#stay.className = this.#continue.className = 'first'
    const buttons = document.createElement('div')
    buttons.className = 'buttons'
    buttons.append(this.#stay, this.#continue, this.#leave)
    this.#dialog.append(this.#title, this.#text, this.#count, this.#spoken, buttons, this.#outcome)
    const shadow = this.attachShadow({mode: 'open'})
    shadow.adoptedStyleSheets = [look]
    shadow.append(this.#dialog)
    this.#panel.onreopen = () => this.#reopen()
    this.#watch()
  }

  #watch() {
    this.#dialog.addEventListener('cancel', event => event.preventDefault())
    this.#dialog.addEventListener('close', () => {
      if (!this.#dialog.open) this.#raise()
    })
    const options = {capture: true, signal: this.#life.signal}
    document.addEventListener('toggle', event => this.#covered(event), options)
    document.addEventListener('fullscreenchange', event => this.#covered(event), options)
    window.addEventListener('click', clicked, options)
    for (const type of /** @type {const} */ (['keydown', 'keypress', 'keyup'])) {
      window.addEventListener(type, event => this.#key(event), options)
    }
  }

  connectedCallback() {
    this.#raise()
    this.#panel.arrange()
  }

  /** Takes all of Curfew's elements away for good. */
  remove() {
    this.#end()
    this.#life.abort()
    this.#panel.retire()
    super.remove()
  }

  /** Whether the dialog shows. */
  get isOpen() {
    return this.#reason !== '' && !this.#aside
  }

  /**
   * Shows the warning, or tells it anew. One that was put aside stays there while its reason and its text are the same: an
   * earlier end is spoken, and a dialog in the last seconds would only be in the way of saving.
   * @param {string} reason
   * @param {string} message plain text
   * @param {() => number} left milliseconds to the end
   */
  show(reason, message, left) {
    const canStay = reason === 'idle'
    const anew = reason !== this.#reason || (message !== this.#message && this.#aside)
    const seconds = Math.ceil(left() / 1000)
    this.#left = left
    this.#message = message
    this.#text.textContent =
      `${message} You will be signed out in ${inWords(seconds)}${canStay ? ' unless you stay.' : '.'}`.trim()
    this.#stay.hidden = !canStay
    this.#continue.hidden = canStay
    this.#outcome.textContent = ''
    if (!this.isConnected) document.documentElement.append(this)
    if (this.#reason === '') this.#mark = seconds === markOf(seconds) ? Infinity : markOf(seconds)
    else if (seconds > this.#mark + 1) this.#mark = markOf(seconds) // the end has moved away, by more than the way of a message
    if (anew) this.#open(reason)
    this.#countDown()
  }

  /** @param {string} reason */
  #open(reason) {
    this.#waits = false
    if (!this.isOpen && focused()?.getRootNode() !== this.#panel.shadowRoot) this.#refocus = rememberFocus()
    this.#reason = reason
    this.#aside = false
    // Who is idle types nothing, but for the one who comes back in this moment. All others may be at work.
    const typing = this.#typed !== null && since(this.#typed) < TYPING_MS
    this.#surprise = reason !== 'idle' || typing ? mark() : null
    this.#panel.aside(false)
    this.#raise()
    this.#focus()
  }

  /** The first focus is on no button that signs out, nor on one that a space would press by chance. */
  #focus() {
    if (this.#reason === 'idle') this.#stay.focus()
    else this.#title.focus()
  }

  hide() {
    if (this.#reason === '') return
    const wasOpen = this.isOpen
    this.#end()
    if (wasOpen) this.#focusBack()
  }

  /** A key that is still held would go on in a frame, where this window does not hear it: there the focus waits for its end. */
  #focusBack() {
    this.#refocus()
    const frame = /** @type {HTMLElement | null} */ (document.activeElement)
    this.#waits = this.#held.size > 0 && !!frame?.matches(FRAMES)
    if (this.#waits) frame?.blur()
  }

  /** Puts the warning aside, to a line that goes on counting, so that the page can be used until the end. */
  #putAside() {
    this.#aside = true
    this.#close()
    this.#panel.aside(true)
    this.#countDown()
    this.#focusBack()
  }

  #reopen() {
    this.#open(this.#reason)
    this.#surprise = null // the person has asked for it
    this.#countDown()
  }

  #end() {
    this.#reason = ''
    this.#aside = false
    clearTimeout(this.#timer)
    this.#spoken.textContent = ''
    this.#close()
    this.#panel.aside(false)
  }

  #close() {
    shield(null)
    this.#dialog.close()
    this.#panel.arrange(false)
  }

  /** Puts the dialog on top of all that the page has opened, where it has been hidden or closed by anything but a button. */
  #raise() {
    if (!this.isOpen || !this.isConnected) return
    const element = focused()
    const inside = this.#dialog.open && this.shadowRoot?.activeElement
    if (this.#dialog.open && !inside && element !== document.body) this.#refocus = rememberFocus() // the page's own dialog has it now
    this.#panel.arrange(true)
    this.#dialog.close()
    this.#dialog.showModal()
    shield(event => event.isTrusted && this.#isOurs(event))
    if (inside && element instanceof HTMLElement) element.focus()
    else this.#focus()
  }

  /** @param {Event} event the page has opened something */
  #covered(event) {
    if (!this.isOpen || this.#raised >= MAX_RAISED) return
    if (!(event.target instanceof Element) || !event.target.matches(':modal, :popover-open')) return
    this.#raised++
    this.#raise()
  }

  /** Whether another dialog makes this one inert. */
  get #isCovered() {
    const {left, right, top, bottom} = this.#dialog.getBoundingClientRect()
    const there = document.elementFromPoint((left + right) / 2, (top + bottom) / 2)
    return !this.#dialog.open || (there !== null && there !== this)
  }

  /** Tells what has come of a button. @param {string} text */
  tell(text) {
    this.#outcome.textContent = text
  }

  /** Tells of the connection; empty when all is well. @param {string} text */
  line(text) {
    this.#panel.line(text)
  }

  /** @param {string} id @param {string} message */
  notice(id, message) {
    return this.#panel.notice(id, message)
  }

  #countDown() {
    clearTimeout(this.#timer)
    const left = Math.max(0, this.#left())
    const seconds = Math.ceil(left / 1000)
    const count = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
    this.#count.textContent = count
    this.#panel.count(count, seconds <= 60)
    if (seconds > 0 && markOf(seconds) < this.#mark) {
      // a page that was busy is a little late, and not silent
      this.#mark = markOf(seconds)
      const text = `${inWords(seconds)} left`
      if (this.#aside) this.#panel.say(text)
      else this.#spoken.textContent = text
    }
    this.#raised = 0
    if (this.isOpen && !this.isConnected) document.documentElement.append(this)
    else if (this.isOpen && !this.hasAttribute('blank') && this.#isCovered) this.#raise()
    if (seconds > 0) this.#timer = setTimeout(() => this.#countDown(), left - (seconds - 1) * 1000 + 5)
  }

  /** Whether an event is for the dialog: one in it, or a key while nothing has the focus. @param {Event} event */
  #isOurs(event) {
    const path = event.composedPath()
    if (path.includes(this.#dialog)) return true
    const target = path[0]
    return event.type.startsWith('key') && (target === document.body || target === document.documentElement)
  }

  /** The page hears no key of the dialog, and the dialog heeds none that was meant for the page. @param {KeyboardEvent} event */
  #key(event) {
    if (!event.isTrusted) return
    const {type, code, key, repeat} = event
    const pressing = PRESSING_KEYS.has(key)
    if (!this.isOpen || (!this.#isOurs(event) && key !== 'Escape')) {
      const held = this.#held.has(code) && (type !== 'keydown' || repeat)
      if (held) this.#swallow(event) // still held from the dialog: it means nothing to the page behind
      if (type === 'keyup' || (type === 'keydown' && !repeat)) this.#held.delete(code)
      if (this.#waits && this.#held.size === 0) this.#focusBack()
      return
    }
    stopImmediate.call(event)
    if (type === 'keyup') {
      if (pressing && !this.#held.delete(code)) this.#swallow(event) // it went down in the page, or too early
    } else if (type === 'keydown' && pressing) {
      if (repeat || (key !== 'Escape' && this.#isSurprised)) return this.#swallow(event)
      this.#held.add(code)
      if (key !== 'Escape') return
      this.#swallow(event)
      if (this.#reason === 'idle') this.onstay()
    } else if (type === 'keydown' && key.length === 1) {
      if (this.#surprise) this.#surprise = mark() // they type on
    }
  }

  /** @param {Event} event */
  #swallow(event) {
    prevent.call(event)
    stopImmediate.call(event)
  }

  get #isSurprised() {
    return this.#surprise !== null && since(this.#surprise) < TYPING_MS
  }

  /** Says that an event only works the warning itself. @param {Event} event */
  covers(event) {
    const isKey = event.type.startsWith('key') // of whatever frame, so that it is an instance of another window's class
    if (isKey && !this.isOpen) this.#typed = mark()
    if (!this.isOpen) return false
    if (isKey) return BUTTON_KEYS.has(/** @type {KeyboardEvent} */ (event).key) && this.#isOurs(event)
    if (event.composedPath().some(target => deeds.has(target))) return true
    const point = event instanceof MouseEvent ? event : /** @type {TouchEvent} */ (event).touches?.[0]
    if (!point || !/move$/.test(event.type)) return false
    const box = this.#dialog.getBoundingClientRect()
    return (
      point.clientX >= box.left && point.clientX <= box.right && point.clientY >= box.top && point.clientY <= box.bottom
    )
  }
}

// ---- presence

const PRESENCE = '[data-curfew-presence]'

/** What each state is called. @type {Record<string, string>} */
const STATES = {active: 'Active', idle: 'Idle', warned: 'About to be signed out', away: 'Away', gone: 'Not signed in'}

/** So many users may one page watch. */
const MAX_WATCHED = 100

/** Keeps the elements that show the presence of others. */
class Presence {
  #watch
  /** @type {Record<string, string>} */
  #states = {}
  #asked = ''
  /** @type {WeakSet<Element>} those whose whole text is ours */
  #ours = new WeakSet()
  #pending = false

  /**
   * @param {(users: string[]) => boolean} watch asks for the presence of users; false where nobody can be asked now
   * @param {AbortSignal} signal ends it
   */
  constructor(watch, signal) {
    this.#watch = watch
    const changes = new MutationObserver(() => this.#look())
    changes.observe(document.documentElement, {
      subtree: true,
      childList: true,
      attributes: true,
      attributeFilter: ['data-curfew-presence'],
    })
    signal.addEventListener('abort', () => changes.disconnect())
  }

  /** Asks anew, on a new connection. */
  begin() {
    this.#asked = ''
    this.#states = {}
    this.#ask()
  }

  /** Without a connection nobody knows who is here. */
  end() {
    this.#states = {}
    this.#show()
  }

  /** @param {Record<string, string>} users */
  learn(users) {
    if (Object.keys(users).length === 0) this.#states = {}
    Object.assign(this.#states, users)
    this.#show()
  }

  #look() {
    if (this.#pending) return
    this.#pending = true
    setTimeout(() => {
      this.#pending = false
      this.#ask()
      this.#show()
    }, 100) // a page may change a lot at once
  }

  #ask() {
    const names = new Set(
      Array.from(document.querySelectorAll(PRESENCE), element => element.getAttribute('data-curfew-presence') ?? ''),
    )
    names.delete('')
    const users = [...names].slice(0, MAX_WATCHED)
    const asked = users.length > 0 ? JSON.stringify(users) : ''
    if (asked !== this.#asked && this.#watch(users)) this.#asked = asked
  }

  #show() {
    for (const element of document.querySelectorAll(PRESENCE)) {
      const state = this.#states[element.getAttribute('data-curfew-presence') ?? '']
      const text = state ? (STATES[state] ?? state) : ''
      if (!element.hasChildNodes()) this.#ours.add(element)
      if (this.#ours.has(element)) {
        if (element.textContent !== text) element.textContent = text
      } else if (element.getAttribute('aria-description') !== text) {
        element.setAttribute('aria-description', text)
        element.setAttribute('title', text)
      }
      if (state && element.getAttribute('data-state') !== state) element.setAttribute('data-state', state)
      else if (!state) element.removeAttribute('data-state')
    }
  }
}

// ---- what counts as an act

/** Everything by which a person can be noticed. Scrolling counts while a button is held: scripts scroll as well. */
const ACTS = [
  'pointerdown',
  'pointerup',
  'pointermove',
  'mousedown',
  'mousemove',
  'wheel',
  'touchstart',
  'touchmove',
  'keydown',
  'keyup',
  'input',
  'paste',
  'cut',
  'drop',
  'drag',
  'dragover',
  'scroll',
]

/** How long after a tab is shown a first movement may be the browser's own: it tells a page where the mouse rests. */
const SETTLING_MS = 500

/** Where the pointer rests, kept for the next page of the tab: a reload under a resting mouse is no act. */
const POINTER_KEY = 'curfew.pointer'

/** What ends the holding of a button or a finger: a touch that turns into scrolling has no pointerup. */
const LET_GO = ['pointerup', 'pointercancel', 'touchend', 'touchcancel']

/** What may hold another document. */
const FRAMES = 'iframe, frame, object'

/**
 * Calls act for whatever a person does in the page, its same-origin frames included. Listeners sit at the very top and
 * capture, so that nothing in the page can hide an event from them.
 *
 * A frame may be led to another document at any time, and document.open() takes the listeners from one that stays. So
 * nothing is remembered of frames: whoever finds one listens to all that is in it, which changes nothing where this was
 * done before. One in a shadow tree is found when the pointer enters it or the focus moves into it.
 */
class Acts {
  #act
  #signal
  #position = ''
  #held = false
  /** @type {Mark | null} when the tab was last shown */
  #shown = null
  #added

  // The same objects each time, so that to watch a document or a frame twice is to watch it once.
  #hear = (/** @type {Event} */ event) => this.#heard(event)
  #release = (/** @type {Event} */ event) => {
    if (event.isTrusted) this.#held = false
  }
  #enter = (/** @type {Event} */ event) => this.#frame(event.composedPath()[0])
  #focusMoved = () => {
    setTimeout(() => this.#lookAtFocus())
  } // when it has arrived
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
      for (const change of changes) {
        for (const node of change.addedNodes)
          if (node.nodeType === Node.ELEMENT_NODE) this.#search(/** @type {Element} */ (node))
      }
    })
    signal.addEventListener('abort', () => this.#added.disconnect())
    this.#watch(window)
    this.#lookAtFocus()
    document.addEventListener(
      'visibilitychange',
      () => {
        this.#shown = document.hidden ? null : mark()
      },
      {signal},
    )
    try {
      this.#position = sessionStorage.getItem(POINTER_KEY) ?? ''
      window.addEventListener('pagehide', () => sessionStorage.setItem(POINTER_KEY, this.#position), {signal})
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

  /** @param {Document | Element} root */
  #search(root) {
    this.#frame(root)
    for (const frame of root.querySelectorAll(FRAMES)) this.#frame(frame)
  }

  /** @param {unknown} element listened to if it is a frame of this origin: else its document is null */
  #frame(element) {
    const frame = /** @type {HTMLIFrameElement | null | undefined} */ (element)
    if (this.#signal.aborted || typeof frame?.matches !== 'function' || !frame.matches(FRAMES)) return
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
        const settling = this.#shown !== null && since(this.#shown) < SETTLING_MS
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

// ---- the connection

/** Close codes after which the page comes back soon: too slow, server restarting, overloaded. */
const COME_BACK = new Set([4101, 1012, 1013])
const ENDED = 4001
const LEFT = 4000

/** The server ticks every 25 s; after two missed ones the socket is doubted. */
const SILENCE_MS = 55_000
/** How long an answer may take before the socket counts as dead. */
const ANSWER_MS = 5_000
/** How often the server is asked where no socket can be had: the page must be blank within a second of the end. */
const POLL_MS = 800
/** How long after its own time the page waits for the server's word before it asks. */
const WORD_MS = 150
/** How long a page whose time is up waits before it asks again: an answer may have changed nothing. */
const AGAIN_MS = 1_000
/** How long a navigation may take from its start until it takes the page away: one that has not by then was a download. */
const NAVIGATION_MS = 8_000
/** Firefox closes the sockets of a page as a navigation begins, also where that turns out to be a download. */
const CLOSES_BY_ITSELF = /Gecko\/\d/.test(navigator.userAgent)
/** How long after that a new socket is opened, which Firefox leaves alone until the page goes. */
const REOPEN_MS = 50
/** How long a navigation that is under way at the end may take before the sign-in page is opened instead. */
const UNDER_WAY_MS = 1_000
/** A blank page opens the sign-in page a little later: the session's other pages are blank before that work slows them down. */
const OTHERS_FIRST_MS = 150

class Guard {
  /** Aborting it removes every listener of this page. */
  #life = new AbortController()
  #socketURL
  /** Where Curfew's routes are, as an absolute URL: the page may have a base of its own. */
  #base
  /** Whether the page is for people with a session only, so that its having none is an end. */
  #required
  #curtain = new Curtain()
  /** @type {CurfewWarning} */
  #warning
  #presence = new Presence(users => this.#connected && this.#send({type: 'watch', users}), this.#life.signal)
  /** @type {WebSocket | null} */
  #socket = null
  /** @type {WebSocket | null} one whose messages may have waited while the page slept: only an end is believed from it */
  #doubted = null
  #connected = false
  #announced = false // what curfew:connection told last
  #over = false
  #user = ''
  #seq = 0
  #failures = 0 // sockets that were lost or refused, one after the other
  #misses = 0 // the same of questions over HTTP
  #lostAt = mark()
  #retryIn = 0 // how long after that a socket is tried again
  /** When the server was last asked for the truth. @type {Mark | null} */
  #asked = null

  // what the server said last, and when
  #told = mark()
  #warnIn = Infinity
  #expireIn = Infinity
  #heartbeat = 15_000
  #extendOn = 'activity'
  /** @type {string} the reason of the warning that shows */
  #warned = ''

  // acts
  /** @type {Mark | null} the last one that the server was not told */
  #acted = null
  /** @type {Mark | null} when the server was told last */
  #reported = null
  /** @type {Mark | null} the last one that the server was told, until it has spoken since: it may have been lost */
  #unsure = null
  /** @type {WebSocket | null} over which it was told; null: over none */
  #toldOver = null
  #toldInWarning = false
  /** The csrf token, where the page polls. */
  #csrf = ''

  #clockTimer = 0
  #reportTimer = 0
  #retryTimer = 0
  #pollTimer = 0
  #silenceTimer = 0
  #answerTimer = 0
  #asking = false
  /** @type {Mark | null} when a navigation elsewhere began */
  #leaving = null

  /** @param {DOMStringMap} settings of the script tag */
  constructor(settings) {
    this.#socketURL = new URL(settings.socket ?? '', origin)
    this.#socketURL.protocol = this.#socketURL.protocol.replace('http', 'ws')
    this.#base = origin + this.#socketURL.pathname.replace(/\/session\/ws$/, '')
    this.#required = settings.required !== undefined
    if (navigator.serviceWorker?.controller) this.#curtain.down() // the page may be older than the session's end
    if (!customElements.get('curfew-panel')) customElements.define('curfew-panel', CurfewPanel)
    if (!customElements.get('curfew-warning')) customElements.define('curfew-warning', CurfewWarning)
    new Acts(event => this.#heard(event), this.#life.signal) // before the warning, which keeps its keys to itself
    this.#warning = /** @type {CurfewWarning} */ (document.createElement('curfew-warning'))
    this.#warning.onstay = () => this.#stay()
    this.#warning.onleave = () => this.#signOut()
    document.documentElement.append(this.#warning)
    document.addEventListener(WORK, () => this.act(), {signal: this.#life.signal})
    this.#comeAndGo()
    this.#connect()
  }

  #connect() {
    clearTimeout(this.#retryTimer)
    if (this.#over || this.#socket) return
    const socket = new WebSocket(this.#socketURL, 'curfew.v1')
    const {signal} = this.#life
    this.#socket = socket
    this.#expectAnswer()
    socket.addEventListener(
      'message',
      event => {
        if (socket === this.#socket) this.#received(JSON.parse(event.data))
      },
      {signal},
    )
    socket.addEventListener(
      'close',
      event => {
        if (socket === this.#socket) this.#lost(event.code, event.reason)
      },
      {signal},
    )
  }

  /** @param {number} code @param {string} reason */
  #lost(code, reason) {
    this.#socket = null
    clearTimeout(this.#silenceTimer)
    this.#answered()
    if (code === ENDED) return this.#end(reason, '', '')
    const soon = COME_BACK.has(code)
    this.#failures++
    this.#lostAt = mark()
    this.#recall()
    this.#setConnected(false)
    if (soon) {
      this.#retryTimer = setTimeout(() => this.#connect(), spread(500, 4_500))
      return
    }
    this.#retryIn = jitter(Math.min(15_000, 500 * 2 ** (this.#failures - 1)))
    this.#poll()
  }

  /** Opens a socket when it is time to, now that the server answers: Firefox waits the longer the more were refused. */
  #reconnect() {
    if (this.#socket) return
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(() => this.#connect(), Math.max(0, this.#retryIn - since(this.#lostAt)))
  }

  /** Gives up a socket that does not answer. */
  #drop() {
    const socket = this.#socket
    if (!socket) return
    this.#lost(1006, '')
    socket.close()
  }

  /** Closes the socket, saying why; nothing that it still delivers is heard. @param {'navigate' | 'close'} why */
  #part(why) {
    const socket = this.#socket
    this.#socket = null
    this.#connected = false
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#silenceTimer)
    this.#answered()
    socket?.close(LEFT, why)
  }

  /** Asks for the truth where messages may have waited while the page slept: only a new connection's are fresh. */
  #renew() {
    this.#asked = mark()
    this.#part('navigate')
    this.#connect()
  }

  /** @param {boolean} connected */
  #setConnected(connected) {
    if (connected) {
      this.#failures = 0
      clearTimeout(this.#pollTimer)
      this.#warning.line('')
    } else if (this.#user) {
      this.#warning.line('The connection is lost. Reconnecting…')
    }
    if (this.#connected !== connected && !connected) this.#presence.end()
    this.#connected = connected
    if (this.#announced === connected) return
    this.#announced = connected
    dispatch('connection', {connected})
  }

  /** @param {object} message @returns {boolean} whether it is on its way */
  #send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false
    this.#socket.send(JSON.stringify(message))
    return true
  }

  /** Gives the server so long to say anything; who asks again meanwhile does not make it longer. */
  #expectAnswer() {
    if (this.#answerTimer === 0) this.#answerTimer = setTimeout(() => this.#drop(), ANSWER_MS)
  }

  #answered() {
    clearTimeout(this.#answerTimer)
    this.#answerTimer = 0
  }

  /** Asks the server for the truth, by whatever way there is. */
  #sync() {
    this.#asked = mark()
    if (this.#send({type: 'sync'})) this.#expectAnswer()
    else if (this.#socket === null) {
      if (this.#failures === 0) this.#connect()
      this.#poll()
    }
  }

  /** @param {Message} message */
  #received(message) {
    if (this.#connected && this.#left() <= 0) this.#watchClock() // it has not had its turn yet
    if (this.#socket === this.#doubted && message.type !== 'expire') return
    if (message.type === 'hello' && this.#toldOver !== this.#socket) this.#recall() // else it is on its way
    this.#unsure = null
    this.#answered()
    clearTimeout(this.#silenceTimer)
    this.#silenceTimer = setTimeout(() => this.#silent(), SILENCE_MS)
    if (message.type === 'hello') this.#seq = 0
    if (message.seq > this.#seq) {
      this.#seq = message.seq
      this.#obey(message)
    }
    if (message.type !== 'hello') this.#send({type: 'ack', seq: message.seq})
    if (message.type === 'expire') this.#leave(message.location ?? '')
  }

  #silent() {
    if (document.hidden) this.#silenceTimer = setTimeout(() => this.#silent(), SILENCE_MS)
    else this.#sync() // the timer may have slept as long as the socket: ask before giving up
  }

  /** @param {Message} message */
  #obey(message) {
    switch (message.type) {
      case 'hello':
        if (this.#user && this.#user !== message.user) return this.#end('replaced', '', '')
        if (this.#user) this.#renewForms()
        else tellSignInPages()
        this.#user = message.user ?? ''
        this.#setConnected(true)
        this.#presence.begin()
        this.#learn(message)
        if ((message.warn_in_ms ?? 0) > 0) this.#relax(message) // else the warning itself follows
        if (document.hidden) this.#send({type: 'visibility', hidden: true})
        this.#report()
        break
      case 'active':
        this.#learn(message)
        this.#relax(message)
        break
      case 'warn':
        this.#learn({...message, warn_in_ms: 0})
        this.#warn(message.reason ?? 'idle', message.message ?? '')
        break
      case 'notice':
        if (this.#warning.notice(message.id ?? '', message.message ?? ''))
          dispatch('notice', {id: message.id, message: message.message})
        break
      case 'presence':
        this.#presence.learn(message.users ?? {})
        break
      case 'expire':
        this.#blank()
        dispatch('expire', {reason: message.reason, message: message.message})
        break
    }
  }

  /** Takes over deadlines and rules. While the session lives the page may show itself. @param {Partial<Message>} message */
  #learn(message) {
    this.#told = mark()
    this.#warnIn = message.warn_in_ms ?? 0
    this.#expireIn = message.expire_in_ms ?? 0
    if (message.heartbeat_ms) this.#heartbeat = message.heartbeat_ms
    if (message.extend_on) this.#extendOn = message.extend_on
    if (this.#left() > 0) this.#curtain.up()
    this.#watchClock()
  }

  /** @param {Partial<Message>} message */
  #relax(message) {
    this.#warned = ''
    this.#toldInWarning = false
    this.#warning.hide()
    dispatch('active', {warnInMs: message.warn_in_ms, expireInMs: message.expire_in_ms})
  }

  /** @param {string} reason @param {string} message */
  #warn(reason, message) {
    if (this.#warned !== reason) this.#toldInWarning = false
    this.#warned = reason
    this.#warning.show(reason, message, () => this.#left())
    dispatch('warn', {reason, message, expireInMs: this.#left()})
  }

  /** Milliseconds to the end that the page knows of. */
  #left() {
    return this.#expireIn - since(this.#told)
  }

  /** Acts when the page's own deadlines come: asks, and is blank until the server has answered. */
  #watchClock() {
    clearTimeout(this.#clockTimer)
    if (this.#over || this.#expireIn === Infinity) return
    const left = this.#left()
    const toWarning = this.#warnIn - since(this.#told) + WORD_MS
    if (left <= 0) {
      this.#curtain.down()
      this.#warning.hide()
      this.#warned = '' // should the server still warn, it is shown anew
      if (this.#connected) this.#doubted = this.#socket
      this.#askPastEnd(-left)
      return
    }
    if (this.#warned === '' && toWarning <= 0) {
      if (!this.#connected) this.#warn('idle', '')
      else if (!this.#asked || since(this.#asked) >= AGAIN_MS) this.#sync()
    }
    const next = this.#warned !== '' ? left : Math.min(left, toWarning > 0 ? toWarning : AGAIN_MS)
    this.#clockTimer = setTimeout(() => this.#watchClock(), Math.min(LONGEST_TIMEOUT, Math.max(1, next)))
  }

  /**
   * Asks, a moment after the end, since the server's word is on its way, and once a second at most. Pages whose time is up
   * together do not all ask together.
   * @param {number} late in ms
   */
  #askPastEnd(late) {
    const wait = Math.max(jitter(AGAIN_MS) - late, this.#asked ? AGAIN_MS - since(this.#asked) : 0)
    if (wait > 0) this.#clockTimer = setTimeout(() => this.#watchClock(), wait)
    else if (this.#connected) this.#renew()
    else this.#sync()
  }

  // ---- without a socket

  /** Asks the server over HTTP until there is a socket again. */
  async #poll() {
    clearTimeout(this.#pollTimer)
    if (this.#over || this.#connected || this.#asking) return
    this.#asking = true
    const answer = await this.#ask()
    this.#asking = false
    if (this.#over || this.#connected) return
    if (answer === 'stranger') return this.#rest()
    if (answer === 'away') {
      this.#misses++
      this.#recall()
      clearTimeout(this.#retryTimer)
      this.#pollTimer = setTimeout(() => this.#poll(), jitter(Math.min(4_000, 1_000 * this.#misses)))
      return
    }
    this.#misses = 0
    this.#heed(answer)
    this.#reconnect()
    if (this.#failures > 1) this.#warning.line('Live updates are not possible here. Checking every second…')
    this.#report()
    this.#pollTimer = setTimeout(() => this.#poll(), POLL_MS)
  }

  /** Takes over what the server answered over HTTP. @param {Status} status */
  #heed(status) {
    this.#user = status.user
    this.#takeToken(status.csrf)
    this.#learn(status)
    if (status.warn_in_ms > 0) {
      if (this.#warned) this.#relax(status)
    } else if (this.#warned !== (status.reason ?? 'idle')) {
      this.#warn(status.reason ?? 'idle', status.message ?? '')
    }
  }

  /**
   * Asks how the session stands. Its end is acted upon here.
   * @param {string} [path] @param {RequestInit} [init]
   * @returns {Promise<Status | 'away' | 'stranger'>}
   */
  async #ask(path = '/session/status', init = {}) {
    /** @type {Response} */
    let response
    /** @type {any} */
    let body
    try {
      response = await fetch(this.#base + path, {
        ...init,
        cache: 'no-store',
        credentials: 'same-origin',
        signal: AbortSignal.timeout(ANSWER_MS),
        headers: {Accept: 'application/json', ...init.headers},
      })
      body = await response.json()
    } catch {
      return 'away'
    }
    if (response.ok) {
      if (this.#user && body.user !== this.#user) {
        this.#end('replaced', '', '')
        return 'away'
      }
      return body
    }
    if (response.status !== 401) return 'away'
    if (!body.reason && !this.#user && !this.#required) return 'stranger'
    this.#end(body.reason ?? '', body.message ?? '', body.location ?? '')
    return 'away'
  }

  /** @param {string} path @param {Record<string, string>} fields */
  #post(path, fields) {
    return this.#ask(path, {method: 'POST', body: new URLSearchParams(fields), headers: {'X-CSRF-Token': this.#csrf}})
  }

  /** Gets the token of the session that there is now, where the page has forms that need it. */
  async #renewForms() {
    if (!this.#tokenField()) return
    const answer = await this.#ask()
    if (typeof answer === 'object' && !this.#over) this.#takeToken(answer.csrf)
  }

  /** A token in a form of Curfew's. @returns {HTMLInputElement | null} */
  #tokenField() {
    const action = CSS.escape(new URL(this.#base).pathname.replace(/\/$/, '') + '/logout')
    return document.querySelector(`form[action="${action}"] input[name="csrf"]`)
  }

  /** The session may be another one than when the page was made: its forms get the token of this one. @param {string} csrf */
  #takeToken(csrf) {
    this.#csrf = csrf
    const old = this.#tokenField()?.value
    if (!old || old === csrf) return
    const fields = /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll('input[name="csrf"]'))
    for (const field of fields) if (field.value === old) field.value = csrf // an application's own tokens are other ones
  }

  // ---- acts

  /** @param {Event} event */
  #heard(event) {
    if (this.#warning.covers(event)) return
    if (event instanceof KeyboardEvent && event.key === 'Escape' && this.#warning.isOpen) return // means: stay
    this.act()
  }

  /** Notes that the person acted now, and reports it as often as the server wants to know. */
  act() {
    if (this.#over || this.#curtain.isDown) return
    this.#acted = mark()
    if (this.#warned === 'idle' && this.#extendOn === 'activity' && !this.#toldInWarning) {
      this.#toldInWarning = this.#report(true)
    } else {
      this.#report()
    }
  }

  /** @param {boolean} [atOnce] @returns {boolean} whether it was reported now */
  #report(atOnce = false) {
    if (!this.#acted || this.#over) return false
    const wait = this.#reported && !atOnce ? this.#heartbeat - since(this.#reported) : 0
    clearTimeout(this.#reportTimer)
    if (wait > 0) {
      this.#reportTimer = setTimeout(() => this.#report(), wait)
      return false
    }
    const idle = Math.max(0, Math.round(since(this.#acted)))
    this.#toldOver = this.#socket
    if (this.#send({type: 'activity', idle_ms: idle})) {
      if (atOnce && this.#warned) this.#expectAnswer() // the warning depends on it
    } else {
      this.#toldOver = null
      if (!this.#csrf || this.#connected) return false // it goes out with the next connection
      this.#post('/session/activity', {idle_ms: String(idle)}).then(answer => {
        if (typeof answer !== 'object') return this.#recall()
        this.#unsure = null
        this.#heed(answer)
      })
    }
    this.#reported = mark()
    this.#unsure = this.#acted
    this.#acted = null
    return true
  }

  /** What was told last may have been lost: it is told again, at once when that can be. */
  #recall() {
    if (!this.#unsure) return
    this.#acted ??= this.#unsure
    this.#unsure = null
    this.#reported = null
  }

  async #stay() {
    this.#warning.tell('One moment…')
    if (this.#send({type: 'confirm'})) {
      this.#expectAnswer()
      return
    }
    const before = await this.#ask()
    if (typeof before === 'object') {
      this.#csrf = before.csrf
      const after = await this.#post('/session/extend', {})
      if (typeof after === 'object') return this.#heed(after)
    }
    this.#warning.tell('The server cannot be reached. Still trying…')
    this.#sync()
  }

  async #signOut() {
    this.#warning.tell('One moment…')
    const answer = await this.#ask()
    if (typeof answer !== 'object') {
      if (!this.#over) this.#warning.tell('The server cannot be reached, so you are still signed in. Please try again.')
      return
    }
    if (!(await this.#postLogout(answer.csrf))) {
      if (!this.#over) this.#warning.tell('The server cannot be reached, so you are still signed in. Please try again.')
      return
    }
    this.#end('logout', '', '')
  }

  /** A form would be asked about by the page's own policy, and by its `beforeunload`. @param {string} csrf @returns {Promise<boolean>} */
  async #postLogout(csrf) {
    try {
      const response = await fetch(this.#base + '/logout', {
        method: 'POST',
        redirect: 'manual',
        credentials: 'same-origin',
        cache: 'no-store',
        signal: AbortSignal.timeout(ANSWER_MS),
        headers: {'X-CSRF-Token': csrf},
      })
      return response.ok || response.type === 'opaqueredirect'
    } catch {
      return false
    }
  }

  // ---- the end

  /** @param {string} reason @param {string} message @param {string} where */
  #end(reason, message, where) {
    if (this.#over) return
    this.#blank()
    dispatch('expire', {reason, message})
    this.#leave(where)
  }

  /** Takes the page away before anything else happens. */
  #blank() {
    this.#curtain.forget()
    this.#warning.remove()
    this.#stop()
  }

  /** Opens the sign-in page, to which this page will return. @param {string} where */
  #leave(where) {
    if (this.#leaving !== null && since(this.#leaving) < NAVIGATION_MS) {
      // the person is on the way elsewhere already
      this.#leaving = null
      setTimeout(() => this.#leave(where), UNDER_WAY_MS)
      return
    }
    const signIn = new URL(where || this.#base + '/login', origin)
    if (signIn.origin !== origin) signIn.href = this.#base + '/login'
    signIn.searchParams.set('next', location.pathname + location.search + location.hash)
    setTimeout(() => replacePage(signIn), OTHERS_FIRST_MS)
  }

  /** There is no session, and this page never knew of one: it is none of Curfew's. */
  #rest() {
    this.#stop()
    this.#part('navigate')
    this.#curtain.up()
    this.#warning.remove()
  }

  #stop() {
    this.#over = true
    this.#life.abort()
    for (const timer of [
      this.#clockTimer,
      this.#reportTimer,
      this.#retryTimer,
      this.#pollTimer,
      this.#silenceTimer,
      this.#answerTimer,
    ]) {
      clearTimeout(timer)
    }
  }

  // ---- how the page comes and goes

  #comeAndGo() {
    const {signal} = this.#life
    document.addEventListener(
      'visibilitychange',
      () => {
        this.#send({type: 'visibility', hidden: document.hidden})
        if (!document.hidden) this.#wake()
      },
      {signal},
    )
    document.addEventListener(
      'freeze',
      () => {
        this.#curtain.down()
        this.#doubted = this.#socket
      },
      {signal},
    )
    document.addEventListener('resume', () => this.#wake(), {signal})
    for (const type of ['focus', 'online']) window.addEventListener(type, () => this.#wake(), {signal})
    window.addEventListener(
      'pagehide',
      () => {
        this.#curtain.down() // should the page be kept and shown again, it is blank until the server has spoken
        const elsewhere = this.#leaving !== null && since(this.#leaving) < NAVIGATION_MS
        this.#part(elsewhere ? 'navigate' : 'close') // a page in the back/forward cache would look alive to the server
      },
      {signal},
    )
    window.addEventListener(
      'pageshow',
      event => {
        this.#leaving = null
        if (event.persisted) this.#wake()
      },
      {signal},
    )
    this.#noticeLeaving()
  }

  /** A closed tab and a followed link look alike in pagehide: what came before tells them apart. */
  #noticeLeaving() {
    const {signal} = this.#life
    const navigation = /** @type {any} */ (window).navigation
    if (!navigation) return this.#noticeLinks()
    navigation.addEventListener(
      'navigate',
      (/** @type {any} */ event) => {
        if (event.destination.sameDocument || event.hashChange || (event.downloadRequest ?? null) !== null) return
        if (!/^(https?|about|blob|data):/.test(event.destination.url)) return // a mail program opens, this page stays
        this.#leaving = mark()
        if (CLOSES_BY_ITSELF) this.#sayNavigate()
      },
      {signal},
    )
    for (const type of ['navigatesuccess', 'navigateerror'])
      navigation.addEventListener(
        type,
        () => {
          this.#leaving = null
        },
        {signal},
      )
  }

  /** The same in browsers that do not tell of navigations: links and forms are heard, what scripts do cannot be known. */
  #noticeLinks() {
    /** @param {Event} event @param {string} target */
    const begin = (event, target) => {
      if (target && !/^_(self|top|parent)$/i.test(target)) return
      this.#leaving = mark()
      setTimeout(() => {
        if (event.defaultPrevented) this.#leaving = null
      }) // the page's own listeners have spoken
    }
    window.addEventListener(
      'submit',
      event => {
        const form = /** @type {HTMLFormElement} */ (event.target)
        begin(event, event.submitter?.getAttribute('formtarget') ?? form.getAttribute('target') ?? '')
      },
      {capture: true, signal: this.#life.signal},
    )
    window.addEventListener(
      'click',
      event => {
        if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return // another tab
        const link = event.composedPath().find(target => target instanceof HTMLAnchorElement && target.href)
        if (
          link instanceof HTMLAnchorElement &&
          /^https?:$/.test(link.protocol) &&
          !link.hasAttribute('download') &&
          link.href.split('#')[0] !== location.href.split('#')[0]
        )
          begin(event, link.target)
      },
      {capture: true, signal: this.#life.signal},
    )
  }

  /** Says that the page goes elsewhere before Firefox closes the socket, and connects again: it may yet stay. */
  #sayNavigate() {
    if (!this.#socket) return
    this.#report(true)
    this.#part('navigate')
    this.#retryTimer = setTimeout(() => this.#connect(), REOPEN_MS)
  }

  /** After sleep, a freeze or the back/forward cache: time may have passed unseen. */
  #wake() {
    if (this.#left() > 0) {
      if (this.#curtain.isDown && this.#socket && this.#socket === this.#doubted) this.#renew()
      else if (this.#curtain.isDown || this.#socket === null || since(this.#told) > this.#heartbeat) this.#sync()
    }
    this.#watchClock()
  }
}

/**
 * Opens url in the place of a page that is over. Nothing of the page's own comes between: no question (`beforeunload`), no
 * router that takes the navigation for its own.
 * @param {URL} url
 */
function replacePage(url) {
  try {
    document.open() // takes away all listeners of the page, on the window too
    document.close()
  } catch {} // not of XHTML
  window.addEventListener('beforeunload', event => stopImmediate.call(event), {capture: true})
  const {NavigateEvent} = /** @type {any} */ (window)
  if (NavigateEvent) NavigateEvent.prototype.intercept = NavigateEvent.prototype.preventDefault = () => {}
  location.replace(url)
}

/** Sign-in pages that stand open in this browser go on by themselves: login.js listens. */
function tellSignInPages() {
  const channel = new BroadcastChannel('curfew.session')
  channel.postMessage('')
  channel.close()
}

/** @param {string} name @param {object} detail */
function dispatch(name, detail) {
  document.dispatchEvent(new CustomEvent('curfew:' + name, {detail}))
}

// ---- start

const TAG = 'script[type="module"][data-socket]'

/** What a frame's script tells the page that guards it: a person's work, as activity() does. */
const WORK = 'curfew:work'

/** So long a frame waits for the page around it to be read, which may have the tag at its end. */
const AROUND_MS = 2_000

/** @type {Guard | undefined} */
let guard

/** The page around this frame that guards it, too. @type {Document | undefined} */
let outer

/** The documents of this origin around this one, from the inside out. @returns {Document[]} */
function around() {
  const documents = []
  try {
    for (let view = /** @type {Window} */ (window); view.parent !== view; view = view.parent)
      documents.push(view.parent.document)
  } catch {} // of another origin: what is beyond does not see into this frame either
  return documents
}

function start() {
  const script = /** @type {HTMLScriptElement | null} */ (document.querySelector(TAG))
  if (!script?.dataset.socket) return
  outer = around().findLast(document => document.querySelector(TAG))
  if (outer) passOn(outer)
  else guard = new Guard(script.dataset)
}

/** One page guards all of its frames: in them the script rests, and passes on what it tells. @param {Document} from */
function passOn(from) {
  const life = new AbortController()
  for (const name of ['warn', 'active', 'notice', 'expire', 'connection']) {
    from.addEventListener('curfew:' + name, event => dispatch(name, /** @type {CustomEvent} */ (event).detail), {
      signal: life.signal,
    })
  }
  window.addEventListener('pagehide', event => {
    if (!event.persisted) life.abort()
  })
}

/** Tells Curfew of work that is neither mouse nor keyboard: a gamepad, a voice. */
export function activity() {
  if (outer) outer.dispatchEvent(new CustomEvent(WORK))
  else guard?.act()
}

/** Starts once the pages around this one are read. */
function startBelow() {
  const unread = around().find(document => document.readyState === 'loading')
  if (!unread) return start()
  const waited = new AbortController()
  const go = () => {
    waited.abort()
    clearTimeout(timer)
    start()
  }
  const timer = setTimeout(go, AROUND_MS)
  unread.addEventListener('DOMContentLoaded', go, {signal: waited.signal})
}

if (/** @type {any} */ (document).prerendering)
  document.addEventListener('prerenderingchange', startBelow, {once: true})
else startBelow()
