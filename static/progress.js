// @ts-check
// The live part of a forced logout's progress. The page works without it.
import {byId, converse, make, setText, told} from './live.js'

/**
 * @typedef {{tab: string, user: string, session: string, fate: string}} Outcome
 * @typedef {{type: string, id: string, state: string, open: number, acked: number, unconfirmed: number,
 *   gone: number, cancelled_at?: string, block_until?: string, each_tab?: Outcome[]}} Logout
 */

/** @param {Logout} logout */
function follow(logout) {
  if (logout.type !== 'progress') return
  const state = byId('logout-state')
  setText(state, logout.state)
  state.dataset.state = logout.state
  if (logout.state !== 'pending') document.getElementById('when')?.remove()
  if (logout.cancelled_at || (logout.state !== 'pending' && !logout.block_until))
    document.getElementById('cancel')?.remove()
  for (const name of /** @type {const} */ (['open', 'acked', 'unconfirmed', 'gone']))
    setText(document.querySelector(`[data-count="${name}"]`), logout[name])
  const body = byId('each-tab')
  const old = new Map(Array.from(body.children, row => [row.getAttribute('data-tab') ?? '', row]))
  for (const tab of logout.each_tab ?? []) {
    let row = old.get(tab.tab)
    if (!row) {
      row = make('tr', {'data-tab': tab.tab})
      row.append(make('th', {scope: 'row'}, tab.user), make('td', {}, tab.session), make('td', {}, tab.tab), make('td'))
      body.append(row)
    }
    setText(row.lastElementChild, tab.fate)
    row.lastElementChild?.setAttribute('data-state', tab.fate)
  }
}

converse(() => ({logout: told.logout ?? ''}), follow)
