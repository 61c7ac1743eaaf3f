// @ts-check
/**
 * The audit page in local time: its lines, the range of its filter, and when today began. Without
 * it, all of that is in UTC.
 */
import {tellLocalTimes, zoneName} from './times.js'

tellLocalTimes(document)

const form = /** @type {HTMLFormElement} */ (document.getElementById('filters'))

/** @returns {HTMLInputElement[]} */
const ends = () => [...form.querySelectorAll('input')].filter(field => field.type === 'datetime-local')

/** A field of the form has local time without its zone. @param {Date} at */
function inField(at) {
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0')
  return (
    `${String(at.getFullYear()).padStart(4, '0')}-${two(at.getMonth() + 1)}-${two(at.getDate())}` +
    `T${two(at.getHours())}:${two(at.getMinutes())}`
  )
}

for (const field of ends()) {
  // What the server has written, and not what the browser has put back: that would be local already.
  const at = new Date(field.defaultValue + 'Z')
  if (field.defaultValue) field.value = inField(at)
  const zone = field.parentElement?.querySelector('.zone')
  if (zone) zone.textContent = `(${zoneName(field.defaultValue ? at : new Date())})`
}

form.addEventListener('formdata', ({formData}) => {
  for (const {name, value} of ends()) {
    const at = new Date(value)
    if (value && !isNaN(Number(at))) formData.set(name, at.toISOString().replace('.000', ''))
    else formData.delete(name)
  }
  for (const [name, value] of [...formData]) if (!value) formData.delete(name) // a short address
})

const today = document.querySelector('a[data-period=today]')
if (today instanceof HTMLAnchorElement) {
  const midnight = new Date()
  midnight.setHours(0, 0, 0, 0)
  const url = new URL(today.href)
  url.searchParams.set('since', midnight.toISOString().replace('.000', ''))
  today.href = url.href
}
