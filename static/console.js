// @ts-check
/**
 * The live part of the console. The page works without it; it asks the server over a socket of its
 * own for the view that the page shows, and takes over what has changed.
 */
import {base, byId, converse, make, setText} from './live.js'

/**
 * @typedef {{ref: string, user: string, name: string, groups: string, state: string, tabs: number,
 *   hidden: number, unconfirmed: number, node?: string, device: string, address: string,
 *   signed_in: string, active: string}} Row
 * @typedef {{id: string, scope: Record<string, any>, state: string, actor: string, open: number,
 *   acked: number, unconfirmed: number, gone: number, cancelled_at?: string, block_until?: string}} Logout
 * @typedef {{sessions: string, active: string, most: number,
 *   ends: {reason: string, count: number}[] | null, bars: {x: number, height: number}[] | null}} Plot
 * @typedef {{type: string, totals: Record<string, any>, rows: Row[], found: number, page: number,
 *   pages: number, logouts: Logout[], plot: Plot}} View
 */

// ---- what is asked

const asked = readAddress()

function readAddress() {
  const params = new URLSearchParams(location.search)
  return {
    q: params.get('q') ?? '',
    state: params.get('state') ?? '',
    group: params.get('group') ?? '',
    sort: params.get('sort') ?? '',
    desc: params.get('desc') === 'true',
    page: Number(params.get('page') ?? 1) || 1,
  }
}

/** Shows another part, and keeps it in the address for a reload. */
function change() {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(asked)) if (value) params.set(name, String(value))
  history.replaceState(null, '', '?' + params)
  for (const name of ['sort', 'desc']) {
    const field = document.querySelector(`#filters input[type=hidden][name=${name}]`)
    if (field instanceof HTMLInputElement) field.value = params.get(name) ?? ''
  }
  ask()
}

/** @param {Partial<ReturnType<typeof readAddress>>} what */
function set(what) {
  Object.assign(asked, {page: 1}, what)
  change()
}

function listen() {
  const filters = /** @type {HTMLFormElement | null} */ (document.getElementById('filters'))
  if (!filters) return
  const read = () => {
    const data = new FormData(filters)
    set({
      q: String(data.get('q') ?? ''),
      state: String(data.get('state') ?? ''),
      group: String(data.get('group') ?? ''),
    })
  }
  filters.addEventListener('input', read)
  filters.addEventListener('submit', event => {
    event.preventDefault()
    read()
  })
  for (const column of document.querySelectorAll('th[data-sort]')) {
    column.querySelector('a')?.addEventListener('click', event => {
      event.preventDefault()
      const sort = column.getAttribute('data-sort') ?? ''
      set({sort, desc: column.getAttribute('aria-sort') === 'ascending'})
      for (const other of document.querySelectorAll('th[data-sort]')) other.removeAttribute('aria-sort')
      column.setAttribute('aria-sort', asked.desc ? 'descending' : 'ascending')
    })
  }
  for (const [id, step] of /** @type {[string, number][]} */ ([
    ['prev', -1],
    ['next', 1],
  ])) {
    byId(id).addEventListener('click', event => {
      event.preventDefault()
      if (byId(id).hasAttribute('href')) set({page: shown + step}) // else there is no such page
    })
  }
  // Whoever names a user or a group, or selects a session, means that.
  byId('order').addEventListener('input', event => {
    const field = /** @type {HTMLInputElement} */ (event.target)
    const radio =
      field.name === 'ref'
        ? document.querySelector('input[name=scope][value=selection]')
        : field.closest('label')?.querySelector('input[type=radio]')
    if (radio instanceof HTMLInputElement) radio.checked = true
  })
}

// ---- the view

let shown = 1

/** @param {View} view */
function show(view) {
  shown = view.page
  const {states, ...totals} = view.totals
  for (const [name, n] of Object.entries({...totals, ...states}))
    setText(document.querySelector(`[data-total="${name}"]`), n)
  byId('plot-sessions').setAttribute('points', view.plot.sessions)
  byId('plot-active').setAttribute('points', view.plot.active)
  setText(byId('plot-most'), view.plot.most)
  setText(byId('plot-reasons'), (view.plot.ends ?? []).map(end => `${end.count} ${end.reason}`).join(', ') || 'none')
  byId('plot-ends').replaceChildren(
    ...(view.plot.bars ?? []).map(bar => {
      const rect = document.createElementNS('http://www.w3.org/2000/svg', 'rect')
      for (const [name, value] of Object.entries({x: bar.x, y: 0, width: 4, height: bar.height}))
        rect.setAttribute(name, String(value))
      return rect
    }),
  )
  showRows(view.rows)
  setText(byId('found'), `${view.found} sessions, page ${view.page} of ${view.pages}`)
  for (const [id, there] of /** @type {[string, boolean][]} */ ([
    ['prev', view.page > 1],
    ['next', view.page < view.pages],
  ])) {
    if (there) byId(id).setAttribute('href', '#')
    else byId(id).removeAttribute('href')
  }
  byId('logouts').hidden = view.logouts.length === 0
  showLogouts(view.logouts)
}

/** Rows stay the same elements, so that a selection and the focus survive. @param {Row[]} rows */
function showRows(rows) {
  const body = /** @type {HTMLTableSectionElement} */ (document.querySelector('#sessions tbody'))
  const old = new Map(Array.from(body.rows, row => [row.dataset.ref ?? '', row]))
  rows.forEach((row, i) => {
    const element = old.get(row.ref) ?? makeRow(row)
    old.delete(row.ref)
    const cells = element.cells
    const state = /** @type {HTMLElement} */ (cells[2])
    setText(state, row.state)
    if (state.dataset.state !== row.state) state.dataset.state = row.state
    setText(
      /** @type {Element} */ (cells[3]),
      row.tabs +
        (row.hidden ? `, ${row.hidden} hidden` : '') +
        (row.unconfirmed ? `, ${row.unconfirmed} unconfirmed` : '') +
        (row.node ? ` (${row.node})` : ''),
    )
    setText(/** @type {Element} */ (cells[5]), row.signed_in)
    setText(/** @type {Element} */ (cells[6]), row.active)
    setText(/** @type {Element} */ (cells[7]), row.groups)
    if (body.rows[i] !== element) body.insertBefore(element, body.rows[i] ?? null)
  })
  for (const row of old.values()) row.remove()
}

/** @param {Row} row */
function makeRow(row) {
  const element = /** @type {HTMLTableRowElement} */ (make('tr', {'data-ref': row.ref}))
  const pick = make('td', {class: 'pick'})
  pick.append(
    make('input', {
      type: 'checkbox',
      name: 'ref',
      value: row.ref,
      'aria-label': `Select the session of ${row.user} from ${row.address}`,
    }),
  )
  const who = make('th', {scope: 'row'})
  who.append(
    make('a', {href: `${base}/admin/sessions/${encodeURIComponent(row.ref)}`}, row.user),
    ' ',
    make('span', {class: 'quiet'}, row.name),
  )
  const from = make('td')
  from.append(row.address + ' ', make('span', {class: 'quiet'}, row.device))
  element.append(pick, who, make('td'), make('td'), from, make('td'), make('td'), make('td'))
  return element
}

/** @param {Logout[]} logouts */
function showLogouts(logouts) {
  const list = byId('logout-list')
  while (list.children.length > logouts.length) list.lastElementChild?.remove()
  logouts.forEach((logout, i) => {
    const item = list.children[i] ?? list.appendChild(make('li'))
    const href = `${base}/admin/logouts/${encodeURIComponent(logout.id)}`
    let link = item.querySelector('a')
    if (!link) {
      link = /** @type {HTMLAnchorElement} */ (make('a'))
      item.replaceChildren(link, '')
    }
    if (link.getAttribute('href') !== href) link.setAttribute('href', href)
    const [kind, name] = Object.entries(logout.scope)[0] ?? ['everyone', true]
    setText(link, name === true ? kind : `${kind} ${name}`)
    const rest = /** @type {Text} */ (item.lastChild)
    const {actor, state, acked, unconfirmed, gone, open} = logout
    const text = ` by ${actor}: ${state}, ${acked} acked, ${unconfirmed} unconfirmed, ${gone} gone, ${open} open`
    if (rest.data !== text) rest.data = text
  })
}

listen()
const ask = converse(
  () => asked,
  message => message.type === 'view' && show(message),
)
