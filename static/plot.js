// @ts-check
// The plot of the console, as the server draws it: the last hour, in a box and in words.
import {byId, list, make, number, say, setText} from './live.js'

/**
 * @typedef {{sessions: string, active: string, scale: number, most: number, ended: number,
 *   ends: {reason: string, count: number}[], bars: {x: number, height: number}[],
 *   times: {minutes: number, sessions: number, active: number, ended: number}[]}} Plot
 */

/** @param {Plot} plot @param {{sessions: number, states: Record<string, number>}} totals */
export function showPlot(plot, totals) {
  byId('plot-sessions').setAttribute('points', plot.sessions)
  byId('plot-active').setAttribute('points', plot.active)
  setText(byId('plot-scale'), number.format(plot.scale))
  setText(byId('plot-half'), number.format(plot.scale / 2))
  setText(byId('plot-most'), say('console.plotSessions', {N: totals.sessions, Most: plot.most}))
  setText(byId('plot-now'), say('console.plotActive', {N: totals.states.active ?? 0}))
  const Ended = say('console.plotEnded', {N: plot.ended})
  const reasons = plot.ends.map(end => say('console.ends-' + end.reason, {N: end.count}))
  setText(byId('plot-reasons'), reasons.length ? say('console.plotEnds', {Ended, Reasons: list(reasons)}) : Ended)
  byId('plot-ends').replaceChildren(
    ...plot.bars.map(bar => {
      const rect = document.createElementNS('http://www.w3.org/2000/svg', 'rect')
      for (const [name, value] of Object.entries({x: bar.x, y: 0, width: 4, height: bar.height}))
        rect.setAttribute(name, String(value))
      return rect
    }),
  )
  const body = /** @type {HTMLTableSectionElement} */ (document.querySelector('#plot-table tbody'))
  while (body.rows.length > plot.times.length) body.lastElementChild?.remove()
  plot.times.forEach((at, i) => {
    const row = body.rows[i] ?? body.appendChild(document.createElement('tr'))
    if (row.cells.length === 0) row.append(make('th', {scope: 'row'}), make('td'), make('td'), make('td'))
    const [time, sessions, active, ended] = row.cells
    setText(time ?? null, at.minutes ? say('ago.minutes', {Count: at.minutes}) : say('console.now'))
    setText(sessions ?? null, number.format(at.sessions))
    setText(active ?? null, number.format(at.active))
    setText(ended ?? null, number.format(at.ended))
  })
}
