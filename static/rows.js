// @ts-check
// The rows of the console, as the server draws them. A row stays the same element as long as it is
// shown, so that the focus and an open menu survive.
import {ago, base, list, make, number, say, setData, setText} from './live.js'

/**
 * @typedef {{ref?: string, refs?: string[], user: string, name: string, groups: string, state: string,
 *   tabs: number, hidden: number, unconfirmed: number, node?: string, device: string, address: string,
 *   addresses?: number, signed_in_s: number, active_s: number, is_open?: boolean, is_part?: boolean}} Row a session,
 *   or a user with the refs of their sessions
 * @typedef {{toggle: (user: string) => string, only: (user: string) => string}} Links
 */

/** The refs that a row stands for. @param {HTMLTableRowElement} row */
export const refsOf = row => (row.dataset.ref ?? row.querySelector('input')?.value ?? '').split(',').filter(ref => ref)

/** @param {Row} row */
const keyOf = row => row.ref || 'user ' + row.user

/**
 * Shows these rows in this order.
 * @param {HTMLTableSectionElement} body
 * @param {Row[]} rows
 * @param {Links} links
 */
export function setRows(body, rows, links) {
  const focused = document.activeElement
  const old = new Map(Array.from(body.rows, row => [row.dataset.ref || 'user ' + row.dataset.user, row]))
  const shown = rows.map(row => {
    let element = old.get(keyOf(row))
    if (element?.dataset.ended || element?.classList.contains('part') !== !!row.is_part) element = undefined
    if (element) old.delete(keyOf(row))
    else element = makeRow(row, links)
    updateRow(element, row)
    const toggle = element.querySelector('.toggle')
    if (toggle) {
      toggle.setAttribute('href', links.toggle(row.user))
      toggle.setAttribute('aria-expanded', String(!!row.is_open))
    }
    return element
  })
  for (const row of old.values()) row.remove()
  shown.forEach((element, i) => {
    if (body.rows[i] !== element) body.insertBefore(element, body.rows[i] ?? null)
  })
  if (focused instanceof HTMLElement && focused !== document.activeElement && body.contains(focused)) focused.focus()
}

/** @param {HTMLTableRowElement} element @param {Row} row */
export function updateRow(element, row) {
  const box = element.querySelector('input')
  box?.removeAttribute('name') // the selection has a field of its own
  const [, who, state, tabs, from, signedIn, active, groups] = Array.from(element.cells)
  setState(state, row.state)
  const hidden = row.hidden ? say('console.hidden', {N: row.hidden}) : ''
  const unconfirmed = row.unconfirmed ? say('console.unconfirmed', {N: row.unconfirmed}) : ''
  setText(tabs ?? null, list([number.format(row.tabs), hidden, unconfirmed, row.node ?? '']))
  setText(signedIn ?? null, ago(row.signed_in_s))
  setText(active ?? null, ago(row.active_s))
  setData(groups ?? null, row.groups)
  if (!row.refs) return
  if (box && box.value !== row.refs.join()) box.value = row.refs.join()
  setText(who?.querySelector('.tag') ?? null, say('count.sessions', {Count: row.refs.length}))
  const addresses = row.addresses ?? 0
  if (addresses > 1) setText(from ?? null, say('console.addresses', {Count: addresses}))
  else setData(from ?? null, row.address)
}

/** @param {Element | undefined} cell @param {string} state */
function setState(cell, state) {
  const badge = cell?.firstElementChild
  if (!badge || badge.getAttribute('data-state') === state) return
  badge.setAttribute('data-state', state)
  setText(badge, say('console.state-' + state))
}

/** The session of the row has ended; the row stays until the list is shown anew. @param {HTMLTableRowElement} row */
export function markEnded(row) {
  if (row.dataset.ended) return
  row.dataset.ended = 'true'
  setState(row.cells[2], 'ended')
  row.classList.remove('selected')
}

/** @param {Row} row @param {Links} links */
function makeRow(row, links) {
  const {ref, user} = row
  const mark = ref ? {'data-ref': ref} : {'data-user': user}
  const element = /** @type {HTMLTableRowElement} */ (make('tr', {...mark, ...(row.is_part && {class: 'part'})}))
  const label = ref ? say('console.pick', {User: user, Address: row.address}) : say('console.pickUser', {User: user})
  const value = ref ?? (row.refs ?? []).join()
  const pick = make('td', {class: 'pick'})
  pick.append(make('input', {type: 'checkbox', value, 'aria-label': label}))
  const who = make('th', {scope: 'row'})
  const link = ref
    ? make('a', {href: `${base}/admin/sessions/${encodeURIComponent(ref)}`})
    : make('a', {class: 'toggle', href: links.toggle(user)})
  link.append(make('bdi', {}, user))
  who.append(link, ' ', make('bdi', {class: 'quiet'}, row.name))
  if (!ref) who.append(' ', make('span', {class: 'tag'}))
  const state = make('td', {'data-label': say('console.column-state')})
  state.append(make('span', {class: 'badge'}))
  const from = make('td', {'data-label': say('console.column-address')})
  from.append(make('bdi', {}, row.address), ' ', make('span', {class: 'quiet'}, row.device))
  element.append(
    pick,
    who,
    state,
    make('td', {'data-label': say('console.column-tabs')}),
    from,
    make('td', {'data-label': say('console.column-signed_in')}),
    make('td', {'data-label': say('console.column-active')}),
    make('td', {'data-label': say('console.groups'), class: 'groups'}),
    menuOf(row, links),
  )
  return element
}

/** What can be done with a row. @param {Row} row @param {Links} links */
function menuOf({ref = '', user}, links) {
  const cell = make('td', {class: 'do'})
  const menu = make('details', {class: 'menu'})
  const items = make('div')
  const order = (/** @type {Record<string, string>} */ what) =>
    `${base}/admin/logouts/new?${new URLSearchParams({except_self: 'yes', scope: 'selection', ...what})}`
  if (ref) {
    items.append(
      make('a', {class: 'danger', href: order({refs: ref})}, say('console.signOut')),
      make('a', {href: order({refs: ref, for: 'notice'})}, say('console.notice')),
      make('a', {href: `${base}/admin/sessions/${encodeURIComponent(ref)}`}, say('console.openSession')),
    )
  }
  items.append(
    make('a', {href: order({scope: 'user', user})}, say('console.signOutUser', {User: user})),
    make('a', {href: links.only(user)}, say('console.onlyUser', {User: user})),
  )
  menu.append(make('summary', {class: 'quiet icon', 'aria-label': say('console.menu', {User: user})}, '⋯'), items)
  cell.append(menu)
  return cell
}
