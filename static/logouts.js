// @ts-check
// The script of the form of a forced logout and of its confirmation. Both work without it: times of
// day are UTC then.
import {showTimes} from './instants.js'

/** Minutes from UTC to this browser's clock, at a time of day that is to come. @param {string} clock */
function offsetAt(clock) {
  const now = new Date()
  const then = new Date(now)
  const [hours, minutes] = clock.split(':').map(Number)
  if (hours !== undefined && minutes !== undefined) then.setHours(hours, minutes, 0, 0)
  if (then <= now) then.setDate(then.getDate() + 1) // clocks may change in between
  return -then.getTimezoneOffset()
}

/** @param {HTMLFormElement} form */
function improve(form) {
  const offset = /** @type {HTMLInputElement} */ (form.querySelector('[data-offset]'))
  const clocks = Array.from(form.querySelectorAll('select[data-clock]'), element => {
    const select = /** @type {HTMLSelectElement} */ (element)
    const input = /** @type {HTMLInputElement} */ (document.getElementById(select.dataset.clock ?? ''))
    return {select, input}
  })
  const update = () => {
    for (const {select, input} of clocks) {
      input.hidden = select.value !== 'at'
      input.required = !input.hidden
    }
    offset.value = String(offsetAt(clocks.find(({input}) => !input.hidden)?.input.value || '00:00'))
  }
  for (const hint of form.querySelectorAll('[data-utc]')) /** @type {HTMLElement} */ (hint).hidden = true
  form.addEventListener('input', event => {
    // Whoever names a user or a group means that.
    const of = event.target instanceof HTMLElement && event.target.dataset.of
    const radio = of && form.querySelector(`input[name=scope][value=${of}]`)
    if (radio instanceof HTMLInputElement) radio.checked = true
    update()
  })
  for (const element of form.querySelectorAll('[data-use]')) {
    const button = /** @type {HTMLButtonElement} */ (element)
    const input = /** @type {HTMLInputElement} */ (form.querySelector('[data-of][aria-invalid=true]'))
    button.hidden = false
    button.addEventListener('click', () => {
      input.value = button.dataset.use ?? ''
      input.focus()
    })
  }
  addEventListener('pageshow', update) // a browser may have put back what was chosen
  update()
  const wrong = form.querySelector('[aria-invalid=true], [aria-describedby=scope-error] input')
  if (wrong instanceof HTMLElement) wrong.focus()
}

const form = document.getElementById('logout')
if (form instanceof HTMLFormElement) improve(form)

showTimes(document)
// What is some minutes from now is later for whoever waits.
const began = performance.now()
if (document.querySelector('time[data-moves]')) {
  setInterval(() => showTimes(document, performance.now() - began), 1_000)
}
