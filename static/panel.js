// @ts-check
import {button, look} from './buttons.js'
import {dismissedNotices, dismissNotice, MAX_NOTICES} from './notices.js'
import {focused, OURS} from './page.js'
import {canSay, say, speaks} from './words.js'

/**
 * The application's modal dialog that has the page to itself: nothing outside of it takes a click.
 */
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
 * Notices, the line that tells of a lost connection, and the one of a warning that was put aside.
 * It lies above the page, and within its modal dialog where one is open, and takes clicks on its
 * buttons and notices only.
 */
export class Panel {
  #host = document.createElement('curfew-panel')
  shadow = this.#host.attachShadow({mode: 'open'})
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
  /** What modules say that are fetched later: they have no words of their own. */
  text = say

  constructor() {
    this.#box.className = 'panel'
    speaks(this.#box)
    this.#notices.className = 'notices'
    this.#notices.setAttribute('role', 'log')
    this.#notices.setAttribute('aria-label', say('page.notices'))
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
    text.append(say('page.signedOutSoon') + ' ', this.#count)
    this.#aside.append(
      text,
      this.#spoken,
      button(say('page.show'), () => this.onreopen()),
    )
    this.#lines.append(this.#line, this.#aside)
    this.#box.append(this.#notices, this.#lines)
    this.shadow.adoptedStyleSheets = [look]
    this.shadow.append(this.#box)
    const {signal} = this.#life
    document.addEventListener('toggle', event => this.#moved(event), {capture: true, signal})
    document.addEventListener('close', event => this.#moved(event), {capture: true, signal})
    window.addEventListener('resize', () => this.#place(), {signal})
    // A modal dialog of the page that goes takes what is in it along.
    const changes = new MutationObserver(() => {
      if (!this.#host.isConnected && !this.#isEmpty) this.arrange()
    })
    changes.observe(document, {subtree: true, childList: true})
    signal.addEventListener('abort', () => changes.disconnect())
  }

  /** Takes the panel away for good. */
  retire() {
    this.#retired = true
    this.#life.abort()
    this.#host.remove()
  }

  get #isEmpty() {
    const lines = this.#lines.childElementCount > 2 // what is offered
    return this.#retired || (this.#aside.hidden && !this.#line.textContent && !this.#notices.firstChild && !lines)
  }

  /** @param {Event} event */
  #moved(event) {
    if (event.target instanceof HTMLDialogElement && !this.#isEmpty) this.arrange()
  }

  /**
   * Puts the panel where it can be seen and used, but under the warning.
   * @param {boolean} [isUnder] whether the warning shows now
   */
  arrange(isUnder = this.#isUnder) {
    this.#isUnder = isUnder
    if (this.#retired) return
    const above = !this.#isEmpty && !this.#isUnder
    const place = (above && topmostModal()) || document.documentElement
    if (this.#host.parentNode !== place) place.append(this.#host)
    const popover = above ? 'manual' : null
    if (this.#box.popover !== popover) this.#box.popover = popover
    if (above && !this.#box.matches(':popover-open')) this.#box.showPopover?.()
    this.#place()
  }

  /**
   * Puts the lines where no control of the page lies under them: at the bottom, else at the top.
   */
  #place() {
    const top = [false, true].find(top => {
      this.#box.toggleAttribute('data-top', top)
      return !this.#liesOnControls()
    })
    this.#box.toggleAttribute('data-top', top ?? false)
  }

  #liesOnControls() {
    return [...this.#lines.children].some(line => {
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

  /** Tells of the connection. @param {string} code empty when all is well */
  statusLine(code) {
    const text = canSay('connection.' + code) ? say('connection.' + code) : ''
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

  /**
   * @param {string} text the time that is left
   * @param {boolean} soon whether it is the last minute
   */
  count(text, soon) {
    this.#count.textContent = text
    this.#aside.classList.toggle('soon', soon)
  }

  /**
   * Shows a line with buttons, until it is taken away.
   * @param {string} message plain text
   * @param {[text: string, deed: () => void][]} choices
   * @returns {() => void} takes it away
   */
  offer(message, choices) {
    const line = document.createElement('div')
    line.className = 'line aside'
    line.setAttribute('role', 'group')
    line.setAttribute('aria-label', message)
    const text = document.createElement('p')
    text.setAttribute('role', 'status')
    line.append(text, ...choices.map(choice => button(...choice)))
    this.#lines.append(line)
    text.textContent = message // it is read out, since it was empty
    this.arrange()
    return () => {
      line.remove()
      this.arrange()
    }
  }

  /** @param {string} text what is spoken at once */
  say(text) {
    this.#spoken.textContent = text
  }

  /**
   * Shows what an administrator has to say, until the person dismisses it. What this tab has shown
   * it shows no more.
   * @param {string} id
   * @param {string} message plain text
   */
  notice(id, message) {
    if (this.#shown.has(id) || dismissedNotices().includes(id)) return
    this.#shown = new Set([...this.#shown, id].slice(-MAX_NOTICES))
    const box = document.createElement('div')
    box.className = 'notice'
    const text = document.createElement('p')
    text.textContent = message
    const dismiss = button(say('page.dismiss'), () => {
      box.remove()
      this.arrange()
      dismissNotice(id)
    })
    box.append(text, dismiss)
    this.#notices.append(box)
    if (this.#notices.childElementCount > MAX_NOTICES) this.#notices.firstElementChild?.remove()
    this.arrange()
    document.dispatchEvent(new CustomEvent('curfew:notice', {detail: {id, message}}))
  }
}
