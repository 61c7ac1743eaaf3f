// @ts-check
// Instants in local time. The server tells them in UTC, which stays where there is no script.

// Digits are Latin ones, as in the addresses beside them.
const language = document.documentElement.lang
const words = new Intl.DateTimeFormat(language, {
  year: 'numeric',
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  timeZoneName: 'short',
  numberingSystem: 'latn',
})

/** Tells the instants below an element in local time, with its zone. @param {ParentNode} root */
export function tellLocalTimes(root) {
  for (const time of root.querySelectorAll('time.local')) {
    if (!(time instanceof HTMLTimeElement)) continue
    const text = words.format(new Date(time.dateTime))
    if (time.textContent === text) continue
    time.title = time.textContent ?? '' // in UTC
    time.textContent = text
  }
}

/** How the person calls an offset from UTC at an instant: CET, GMT+2. @param {Date} at */
export function zoneName(at) {
  const zone = new Intl.DateTimeFormat(language, {timeZoneName: 'short'}).formatToParts(at)
  return zone.find(part => part.type === 'timeZoneName')?.value ?? ''
}
