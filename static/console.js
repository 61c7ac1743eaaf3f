// @ts-check
/**
 * The live part of the console. The page works without it; it asks the server over a socket of its
 * own for the view that the page shows, and takes over what has changed.
 *
 * The view stands in the address of the page: whatever leads to another view is a link there, or
 * the form of the filters. What is selected is kept by ref, over views and for the tab.
 */
import {base, byId, converse, list, make, number, say, setText, teller, told} from './live.js'
import {showPlot} from './plot.js'
import {refsOf, setRows, updateRow, markEnded} from './rows.js'
import {Selection} from './selection.js'

/**
 * @import {Plot} from './plot.js'
 * @import {Row} from './rows.js'
 * @typedef {{id: string, kind: string, name: string, count: number, actor: string, state: string, open: number,
 *   acked: number, unconfirmed: number, gone: number}} Logout
 * @typedef {{name: string, sessions: number}} Count
 * @typedef {{type: string, n: number, totals: {users: number, sessions: number, tabs: number,
 *   states: Record<string, number>}, groups: Count[], nodes?: Count[], rows: Row[], found: number,
 *   found_users: number, page: number, pages: number, newest: number, new: number, kept: Row[], ended: string[],
 *   logouts: Logout[], plot: Plot}} View
 */

/** The names of what the address says, but for the users that are open. */
const NAMES = ['q', 'user', 'group', 'state', 'node', 'address', 'by', 'sort', 'desc', 'page', 'size']
const FIELDS = ['q', 'user', 'group', 'state', 'node', 'address', 'by', 'sort', 'desc', 'size']

const filters = /** @type {HTMLFormElement} */ (byId('filters'))
const body = /** @type {HTMLTableSectionElement} */ (document.querySelector('#sessions tbody'))

// ---- what is asked

/** The parameters of the view. */
let asked = new URLSearchParams(location.search)
if (asked.has('select')) {
  asked.delete('select') // the selection has it by now, and a reload is not to select anew
  history.replaceState(null, '', '?' + asked)
}

/** The number of the question; answers bear it. */
let n = 0

/** Views that answer a question from this one on are shown though the rows stand still. */
let forced = 0

/** The selection is sent where it has changed. */
let isTold = false

function question() {
  /** @type {Record<string, unknown>} */
  const q = {n: ++n}
  for (const name of NAMES) q[name] = asked.get(name) ?? ''
  q.desc = asked.get('desc') === 'true'
  q.page = Number(asked.get('page')) || 1
  q.size = Number(asked.get('size')) || 0
  q.open = asked.getAll('open')
  if (isStill) {
    q.since = newest
    q.shown = Array.from(body.rows, row => row.dataset.ref ?? '').filter(ref => ref)
  }
  if (!isTold) q.selected = selection.refs
  isTold = true
  return q
}

/** Shows another view. @param {URLSearchParams} params */
function go(params) {
  wantsAll = false // those of the view before were meant
  params.delete('select')
  for (const [name, value] of [...params]) if (!value) params.delete(name)
  if (params.get('size') === '50') params.delete('size')
  asked = params
  const text = params.toString()
  history.replaceState(null, '', text ? '?' + text : location.pathname)
  for (const name of FIELDS) {
    const field = filters.elements.namedItem(name)
    if (!(field instanceof HTMLInputElement || field instanceof HTMLSelectElement)) continue
    const value = params.get(name) ?? ''
    if (field instanceof HTMLSelectElement && ![...field.options].some(option => option.value === value))
      field.add(new Option(say('console.option', {Name: value, N: 0}), value))
    if (field !== document.activeElement) field.value = value
  }
  const isFiltered = ['q', 'user', 'group', 'state', 'node', 'address'].some(name => params.get(name))
  toggleShown('unfilter', isFiltered)
  ask()
  forced = n
}

/** The address of the view with some parameters changed. @param {Record<string, string | number>} change */
function linkTo(change) {
  const params = new URLSearchParams(asked)
  for (const name of ['page', 'select', 'lang']) params.delete(name)
  for (const [name, value] of Object.entries(change)) {
    params.delete(name)
    if (value !== '') params.set(name, String(value))
  }
  return `${base}/admin?${params}`
}

// ---- what stands still

/** Rows stand still while somebody points at them, has the focus in one, or selects. */
let isStill = false
let isPointed = false
let hasFocus = false

/** The last sign-in of the view that is shown, Unix ms. */
let newest = Number(told.newest)

/** @type {View | undefined} the last one that came */
let last

/** Looks whether the rows have to stand still now, and goes on where they need not any more. */
function settle() {
  const still = isPointed || hasFocus || selection.size > 0
  if (still === isStill) return
  isStill = still
  if (still) return ask() // so that the server says what differs from these rows
  if (last) show(last)
  ask()
}

// ---- the selection

const selection = new Selection(
  Number(told.most),
  () => {
    isTold = false
    settle()
    mark()
    ask()
  },
  byId('order'),
)

/** The boxes say what is selected. */
function mark() {
  let rows = 0
  let ticked = 0
  for (const row of body.rows) {
    const box = row.querySelector('input')
    if (!box) continue
    box.disabled = false // as it is where a page without script has all selected
    if (row.dataset.ended) {
      box.checked = false // it cannot be selected any more
      continue
    }
    const refs = refsOf(row)
    const has = refs.filter(ref => selection.has(ref)).length
    box.checked = refs.length > 0 && has === refs.length
    box.indeterminate = has > 0 && !box.checked
    row.classList.toggle('selected', box.checked)
    rows++
    if (box.checked) ticked++
  }
  const all = /** @type {HTMLInputElement} */ (byId('pick-page'))
  all.checked = rows > 0 && ticked === rows
  all.indeterminate = ticked > 0 && !all.checked
}

function listen() {
  filters.addEventListener('submit', event => {
    event.preventDefault()
    read()
  })
  filters.addEventListener('input', event => {
    // A whole name or address is meant: it counts once it is entered.
    const {name} = /** @type {HTMLInputElement} */ (event.target)
    if (name !== 'user') read()
  })
  filters.addEventListener('change', read)
  document.querySelector('main')?.addEventListener('click', event => {
    const link = /** @type {Element} */ (event.target).closest('a')
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return
    const url = new URL(link.href, document.baseURI)
    if (url.pathname !== `${base}/admin`) return
    event.preventDefault()
    const menu = link.closest('details')
    if (menu?.contains(document.activeElement)) byId('found').focus()
    menu?.removeAttribute('open')
    if (link.id === 'clear') return clear()
    if (link.id === 'all') return pickAll()
    go(url.searchParams)
  })
  byId('pick-page').hidden = false
  byId('pick-page').addEventListener('change', event => {
    const {checked} = /** @type {HTMLInputElement} */ (event.target)
    for (const row of body.rows) if (!row.dataset.ended) selection.set(refsOf(row), checked)
    selection.changed()
  })
  body.addEventListener('change', event => {
    const box = /** @type {HTMLInputElement} */ (event.target)
    const row = box.closest('tr')
    if (!row || row.dataset.ended) return mark()
    selection.set(refsOf(row), box.checked)
    selection.changed()
  })
  body.addEventListener('pointerover', event => point(event.pointerType !== 'touch'))
  body.addEventListener('pointerleave', () => point(false))
  body.addEventListener('focusin', () => focus(true))
  body.addEventListener('focusout', event => focus(body.contains(/** @type {Node | null} */ (event.relatedTarget))))
  byId('show').addEventListener('click', () => {
    forced = n
    if (last) show(last)
    byId('found').focus()
  })
  document.addEventListener('keydown', event => {
    const menu = event.key === 'Escape' && document.activeElement?.closest('details.menu[open]')
    if (!menu) return
    menu.removeAttribute('open')
    menu.querySelector('summary')?.focus()
  })
  document.addEventListener('click', event => {
    for (const menu of document.querySelectorAll('details.menu[open]'))
      if (!menu.contains(/** @type {Node} */ (event.target))) menu.removeAttribute('open')
  })
}

/** @param {boolean} on */
function focus(on) {
  hasFocus = on
  settle()
}

/** @param {boolean} on */
function point(on) {
  isPointed = on
  settle()
}

/** Takes the filters out of their form. */
function read() {
  const params = new URLSearchParams(/** @type {any} */ (new FormData(filters)))
  for (const name of asked.getAll('open')) params.append('open', name)
  go(params)
}

function clear() {
  wantsAll = false
  selection.clear()
  byId('found').focus()
}

/** All that match are selected, on whatever page they stand: the server names them. */
function pickAll() {
  wantsAll = true
  ask()
}
let wantsAll = false

/** @param {{refs: string[] | null, found: number}} answer */
function pick({refs, found}) {
  if (refs) {
    selection.set(refs, true)
    selection.changed()
  } else sayNews(say('console.tooMany', {Count: found, Most: Number(told.most)}))
}

// ---- the view

/** @param {View} view */
function receive(view) {
  last = view
  const {totals} = view
  for (const [name, count] of Object.entries({...totals, ...totals.states}))
    if (typeof count === 'number') setText(document.querySelector(`[data-total="${name}"]`), number.format(count))
  showPlot(view.plot, totals)
  showLogouts(view.logouts)
  showCounts('group', view.groups)
  if (view.nodes) showCounts('node', view.nodes)
  selection.drop(view.ended)
  const grouped = asked.get('by') === 'user'
  const sessions = say('count.sessions', {Count: view.found})
  const users = say('count.users', {Count: view.found_users})
  const found = grouped ? say('console.foundUsers', {Users: users, Sessions: sessions}) : sessions
  setText(byId('found'), found)
  if (forced && view.n >= forced) tellFound(found) // what was asked for, and not each change later
  setText(byId('all'), say('console.selectAll', {Count: view.found}))
  toggleShown('all', view.found > 1)
  showPager(view)
  if (!isStill || (forced && view.n >= forced)) show(view)
  else compare(view)
}

/** Shows the rows of a view, whatever stood there. @param {View} view */
function show(view) {
  if (view.n >= forced) forced = 0
  newest = view.newest
  const hadFocus = body.contains(document.activeElement)
  setRows(body, view.rows, {toggle, only})
  if (hadFocus && !body.contains(document.activeElement)) byId('found').focus()
  toggleShown('sessions', view.rows.length > 0)
  toggleShown('empty', view.rows.length === 0)
  sayNews('')
  mark()
  if (isStill) ask() // these are the rows now
}

/** Rows stand still: they say what they are now, and the page says what differs. @param {View} view */
function compare(view) {
  const now = new Map([...view.kept, ...view.rows].map(row => [row.ref || 'user ' + row.user, row]))
  const ended = new Set(view.ended)
  let gone = 0
  let known = 0
  for (const row of body.rows) {
    const {ref, user} = row.dataset
    const data = now.get(ref || 'user ' + user)
    if (ref && ended.has(ref)) {
      markEnded(row)
      gone++
    } else if (data) {
      updateRow(row, data)
      if (view.rows.includes(data)) known++
    }
  }
  mark()
  const parts = []
  if (view.new > 0) parts.push(say('console.new', {Count: view.new}))
  if (gone > 0) parts.push(say('console.ended', {Count: gone}))
  if (parts.length === 0 && known < view.rows.length) parts.push(say('console.changed'))
  sayNews(parts.length ? list(parts) : '', parts.length > 0)
}

/** @param {string} text @param {boolean} [canShow] */
function sayNews(text, canShow = false) {
  setText(byId('news'), text)
  byId('news').hidden = !text
  tellNews(text)
  toggleShown('show', canShow)
}

const tellFound = teller(byId('found-told'))
const tellNews = teller(byId('news-told'))

/** Shows or hides a part of the page. The focus does not go with it. @param {string} id @param {boolean} isShown */
function toggleShown(id, isShown) {
  const part = byId(id)
  if (!isShown && part.contains(document.activeElement)) byId('found').focus()
  part.hidden = !isShown
}

/** The names that a filter offers, each with its sessions. @param {string} name @param {Count[]} counts */
function showCounts(name, counts) {
  const field = filters.elements.namedItem(name)
  if (!(field instanceof HTMLSelectElement) || field === document.activeElement) return
  const wanted = counts.map(count => ({
    value: count.name,
    text: say('console.option', {Name: count.name, N: count.sessions}),
  }))
  const chosen = field.value
  if (chosen && !counts.some(count => count.name === chosen))
    wanted.unshift({value: chosen, text: say('console.option', {Name: chosen, N: 0})})
  wanted.forEach(({value, text}, i) => {
    const option = field.options[i + 1] ?? field.appendChild(new Option())
    if (option.value !== value) option.value = value
    setText(option, text)
  })
  while (field.options.length > wanted.length + 1) field.remove(field.options.length - 1)
  field.value = chosen
}

/** The user of that name has their sessions listed, or not any more. @param {string} user */
function toggle(user) {
  const params = new URLSearchParams(asked)
  const open = params.getAll('open')
  params.delete('open')
  for (const name of open) if (name !== user) params.append('open', name)
  if (!open.includes(user)) params.append('open', user)
  return `${base}/admin?${params}`
}

/** @param {string} user */
function only(user) {
  const params = new URLSearchParams({user})
  for (const name of ['sort', 'desc', 'size']) if (asked.get(name)) params.set(name, asked.get(name) ?? '')
  return `${base}/admin?${params}`
}

/** @param {View} view */
function showPager(view) {
  const list = byId('pages')
  toggleShown('pages', view.pages > 1)
  const numbers = pageNumbers(view.page, view.pages)
  const mark = numbers.join() + ' ' + view.page + ' ' + asked
  if (list.dataset.shows !== mark) {
    const focused = list.contains(document.activeElement)
    list.dataset.shows = mark
    list.replaceChildren(
      ...numbers.map(page => {
        const item = make('li', {}, page ? '' : '…')
        if (page) {
          const current = page === view.page ? {'aria-current': 'page'} : {}
          const label = say('console.page', {N: page})
          item.append(make('a', {href: linkTo({page}), 'aria-label': label, ...current}, number.format(page)))
        }
        return item
      }),
    )
    if (focused) /** @type {HTMLElement | null} */ (list.querySelector('[aria-current]'))?.focus()
  }
  for (const link of document.querySelectorAll('#sizes a')) {
    const size = Number(link.getAttribute('data-size'))
    setLink(link, {size})
    if (size === (Number(asked.get('size')) || 50)) link.setAttribute('aria-current', 'true')
    else link.removeAttribute('aria-current')
  }
  const sort = asked.get('sort') || (asked.get('by') ? 'user' : 'signed_in')
  const desc = asked.get('desc') === 'true' || (!asked.get('sort') && !asked.get('by'))
  for (const column of document.querySelectorAll('th[data-sort]')) {
    const name = column.getAttribute('data-sort') ?? ''
    const link = column.querySelector('a')
    if (name === sort) column.setAttribute('aria-sort', desc ? 'descending' : 'ascending')
    else column.removeAttribute('aria-sort')
    if (link) setLink(link, {sort: name, desc: name === sort && !desc ? 'true' : ''})
  }
  setLink(byId('unfilter'), {q: '', user: '', group: '', state: '', node: '', address: ''})
  const isGrouped = asked.get('by') === 'user'
  setText(byId('by'), say(isGrouped ? 'console.bySession' : 'console.byUser'))
  setLink(byId('by'), isGrouped ? {by: '', open: ''} : {by: 'user', sort: 'user', desc: ''})
  byId('out-group').setAttribute(
    'href',
    `${base}/admin/logouts/new?${new URLSearchParams({except_self: 'yes', scope: 'group', group: asked.get('group') ?? ''})}`,
  )
}

/** @param {Element} link @param {Record<string, string | number>} change */
function setLink(link, change) {
  const href = linkTo(change)
  if (link.getAttribute('href') !== href) link.setAttribute('href', href)
}

/**
 * The pages that a pager leads to: the first, the last, and those around the page. 0 is a gap. The
 * server has the same rule.
 * @param {number} page
 * @param {number} pages
 */
function pageNumbers(page, pages) {
  const numbers = []
  for (let i = 1; i <= pages; i++) {
    if (i === 1 || i === pages || Math.abs(i - page) <= 1) numbers.push(i)
    else if (numbers.at(-1) !== 0) numbers.push(0)
  }
  return numbers
}

/** @param {Logout[]} logouts */
function showLogouts(logouts) {
  byId('logouts').hidden = logouts.length === 0
  const items = byId('logout-list')
  while (items.children.length > logouts.length) items.lastElementChild?.remove()
  logouts.forEach((logout, i) => {
    let item = items.children[i]
    if (!item) {
      item = items.appendChild(make('li'))
      item.append(make('a'), ' ', make('span', {class: 'badge'}), ' ', make('span', {class: 'quiet'}))
    }
    const [link, state, rest] = item.children
    const href = `${base}/admin/logouts/${encodeURIComponent(logout.id)}`
    if (link?.getAttribute('href') !== href) link?.setAttribute('href', href)
    setText(link ?? null, say('console.whom-' + logout.kind, {Name: logout.name, Count: logout.count}))
    state?.setAttribute('data-state', logout.state)
    setText(state ?? null, say('console.logout-' + logout.state))
    const pages = logout.open + logout.acked + logout.unconfirmed + logout.gone
    const blank = say('console.confirmed', {Acked: logout.acked, Count: pages})
    const by = say('console.logoutBy', {Actor: logout.actor})
    setText(rest ?? null, list(pages ? [by, blank] : [by]))
  })
}

listen()
const ask = converse(
  // after a new connection the server knows nothing of the selection
  isNew => {
    if (isNew) isTold = false
    if (!wantsAll) return question()
    wantsAll = false
    return {...question(), all: true}
  },
  message => {
    if (message.type === 'view') receive(message)
    if (message.type === 'refs') pick(message)
  },
)
selection.changed()
