// @ts-check
// Instants in the zone of the browser, for the pages of administrators. The server writes them in
// UTC, for browsers without script.

const language = document.documentElement.lang
const clock = new Intl.DateTimeFormat(language, {
  hour: 'numeric',
  minute: '2-digit',
  timeZoneName: 'short',
  numberingSystem: 'latn',
})
const dayAndClock = new Intl.DateTimeFormat(language, {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  hour: 'numeric',
  minute: '2-digit',
  timeZoneName: 'short',
  numberingSystem: 'latn',
})

/**
 * An instant as people here write it, with its zone, and its day unless that is today.
 * @param {string | Date} instant
 */
export function inZone(instant) {
  const date = new Date(instant)
  return (date.toDateString() === new Date().toDateString() ? clock : dayAndClock).format(date)
}

/**
 * Shows the instants in a part of the page. Those that move are later by so many ms.
 * @param {ParentNode} part
 */
export function showTimes(part, later = 0) {
  for (const time of part.querySelectorAll('time')) {
    const moves = time.hasAttribute('data-moves') ? later : 0
    const text = inZone(new Date(Date.parse(time.dateTime) + moves))
    if (time.textContent !== text) time.textContent = text
  }
}
