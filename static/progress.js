// @ts-check
// The live part of a forced logout's progress. The page works without it. All words come from the
// server, which says on the socket what the page says.
import {inZone, showTimes} from './instants.js'
import {byId, converse, make, number, setData, setText, told} from './live.js'

/**
 * @typedef {{text: string, at?: string}} Piece a part of a sentence: an instant, where at is there
 * @typedef {{tab: string, state: string, word: string, path?: string}} Tab
 * @typedef {{ref: string, person: string, from: string, tabs: Tab[] | null}} Person a session
 * @typedef {{type: string, state: string, word: string, lines: Piece[][] | null, action: string, done: number,
 *   total: number, said: string, counts: Record<string, number>, people: Person[], more: string, rest: Tab}} Progress
 */

/** @param {Progress} progress */
function follow(progress) {
  if (progress.type !== 'progress') return
  const state = byId('logout-state')
  setText(state, progress.word)
  state.dataset.state = progress.state
  setText(byId('tabs-said'), progress.said)
  const bar = /** @type {HTMLProgressElement} */ (byId('tabs-bar'))
  bar.max = progress.total || 1
  bar.value = progress.done
  showLines(progress.lines ?? [])
  byId('cancel').hidden = !progress.action
  if (progress.action) setText(byId('action'), progress.action)
  for (const [name, n] of Object.entries(progress.counts))
    setText(document.querySelector(`[data-count="${name}"]`), number.format(n))
  showPeople(progress)
  setText(byId('more'), progress.more)
}

/** @param {Piece[][]} lines */
function showLines(lines) {
  const list = byId('lines')
  while (list.children.length > lines.length) list.lastElementChild?.remove()
  lines.forEach((line, i) => {
    const item = list.children[i] ?? list.appendChild(make('li'))
    const text = line.map(piece => (piece.at ? inZone(piece.at) : piece.text)).join('')
    if (item.textContent === text) return
    item.replaceChildren(
      ...line.map(piece => (piece.at ? make('time', {datetime: piece.at}, inZone(piece.at)) : piece.text)),
    )
  })
}

/** Rows stay where they are: who comes later stands below. @param {Progress} progress */
function showPeople({people, rest}) {
  const body = /** @type {HTMLTableSectionElement} */ (byId('each-tab'))
  const rows = new Map(Array.from(body.rows, row => [row.dataset.ref ?? '', row]))
  for (const person of people) {
    let row = rows.get(person.ref)
    rows.delete(person.ref)
    if (!row) {
      row = /** @type {HTMLTableRowElement} */ (make('tr', {'data-ref': person.ref}))
      row.append(
        make('th', {scope: 'row'}),
        make('td', {'data-label': body.dataset.from ?? ''}, person.from),
        make('td', {'data-label': body.dataset.became ?? ''}),
      )
      setData(row.cells[0] ?? null, person.person)
      body.append(row)
    }
    showTabs(row, person.tabs ?? [])
  }
  for (const row of rows.values()) showTabs(row, [rest])
  byId('nobody').hidden = body.rows.length > 0
  byId('each').hidden = body.rows.length === 0
}

/** @param {HTMLTableRowElement} row @param {Tab[]} tabs */
function showTabs(row, tabs) {
  const cell = /** @type {HTMLElement} */ (row.cells[2])
  while (cell.children.length > tabs.length) cell.lastElementChild?.remove()
  tabs.forEach((tab, i) => {
    let badge = /** @type {HTMLElement | undefined} */ (cell.children[i])
    if (!badge) cell.append((badge = make('span', {class: 'badge'})), ' ')
    const text = tab.path ? `${tab.word} · ${tab.path}` : tab.word
    if (badge.textContent !== text) {
      badge.replaceChildren(...(tab.path ? [tab.word + ' · ', make('bdi', {}, tab.path)] : [tab.word]))
    }
    if (badge.dataset.state !== tab.state) badge.dataset.state = tab.state
    if (badge.dataset.tab !== tab.tab) badge.dataset.tab = tab.tab
  })
}

showTimes(document)
converse(() => ({logout: told.logout ?? ''}), follow)
