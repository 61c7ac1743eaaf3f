// @ts-check
/**
 * The page of one session, live: it asks for itself again, and takes over what is marked as live.
 * What is left until a deadline it counts down by itself in between. Once the session is over, it
 * shows the page that says how.
 */
import {tellLocalTimes} from './times.js'

const ASK_MS = 2_000
const ANSWER_MS = 10_000
/** The line of an end may be written a moment after it. */
const MOST_LOOKS = 5

const url = new URL(location.href)
let timer = 0
let stopped = false
let looks = 0 // at the page of the end
/** When what is left was told. */
let toldAt = performance.now()

const status = () => document.getElementById('live')

/** @param {'said' | 'lost'} which */
function say(which) {
  const element = status()
  const text = element?.dataset[which] ?? ''
  if (element && element.textContent !== text) element.textContent = text
}

/** A time that is left, in the form of a clock, as sentence.go writes it. @param {number} ms */
function clock(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000))
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0')
  const [hours, minutes] = [Math.floor(s / 3600), Math.floor(s / 60) % 60]
  return hours ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`
}

function count() {
  const passed = performance.now() - toldAt
  for (const left of document.querySelectorAll('.left')) {
    if (!(left instanceof HTMLElement)) continue
    const text = clock(Number(left.dataset.left) - passed)
    if (left.textContent !== text) left.textContent = text
  }
}

/** @param {string} [part] */
async function fetchPage(part) {
  if (part) url.searchParams.set('part', part)
  else url.searchParams.delete('part')
  const answer = await fetch(url, {
    headers: {Accept: 'text/html'},
    cache: 'no-store',
    signal: AbortSignal.timeout(ANSWER_MS),
  })
  if (answer.status === 403 || answer.status === 404) location.reload() // the server says why
  return answer.ok ? new DOMParser().parseFromString(await answer.text(), 'text/html') : null
}

/** Takes over what is live, but nothing that has the focus: it would lose it. @param {Document} page */
function take(page) {
  for (const old of document.querySelectorAll('[data-live]')) {
    const fresh = page.getElementById(old.id)
    if (!fresh || old.contains(document.activeElement) || old.contains(selected())) continue
    tellLocalTimes(fresh)
    if (!old.isEqualNode(fresh)) old.replaceWith(document.importNode(fresh, true))
  }
  toldAt = performance.now()
  count()
}

/** Where text is selected: who copies an address may go on. */
function selected() {
  const selection = getSelection()
  return selection && !selection.isCollapsed ? selection.anchorNode : null
}

/** Shows how the session ended. */
async function showEnd() {
  const main = (await fetchPage())?.querySelector('main')
  if (!main || stopped) return
  const shown = document.importNode(main, true)
  tellLocalTimes(shown)
  const how = shown.querySelector('.how')
  // a search that took too long would take as long again
  if (how || shown.querySelector('#unsearched') || ++looks >= MOST_LOOKS) stop()
  const over = document.querySelector('#over h2')
  if (over) {
    // Shown before: only how it ended is new, and who reads or has the focus goes on.
    if (how) over.after(how)
    return
  }
  document.querySelector('main')?.replaceWith(shown)
  const heading = shown.querySelector('h1')
  heading?.setAttribute('tabindex', '-1') // the reader hears that it has changed
  heading?.focus()
}

async function ask() {
  clearTimeout(timer)
  try {
    if (!document.hidden) {
      const page = await fetchPage('live')
      if (stopped) return
      if (page?.getElementById('over')) await showEnd()
      else if (page) take(page)
      say(page ? 'said' : 'lost')
    }
  } catch {
    say('lost')
  }
  if (!stopped) timer = setTimeout(ask, ASK_MS)
}

function stop() {
  stopped = true
  clearTimeout(timer)
}

tellLocalTimes(document)
if (document.querySelector('[data-live]') && !document.getElementById('over')) {
  setInterval(count, 1000)
  document.addEventListener('visibilitychange', () => !document.hidden && !stopped && ask())
  document.addEventListener('curfew:expire', stop)
  document.addEventListener('curfew:resume', () => {
    stopped = false
    ask()
  })
  ask()
}
