// @ts-check
/** What takes a click or a key. */
const CONTROLS = `a[href], button, input, select, textarea, summary, label, [role=button], [role=link],
  [tabindex]:not([tabindex="-1"]), [contenteditable]:not([contenteditable=false])`

/** How far the stack stays away from the edges and from controls, in pixels. */
const EDGE_PX = 8
const GAP_PX = 2

/** A place at the top is as good as one so much above the bottom, where people do not read. */
const TOP_PX = 40

/** So many controls in the window, and places above and below them, are looked at at most. */
const MAX_CONTROLS = 500
const MAX_TOPS = 200

/**
 * @typedef {{left: number, top: number, right: number, bottom: number}} Box
 * @typedef {{width: number, height: number}} Size
 */

/**
 * Where the controls are that a person sees. One that fills most of the window is left out: nothing
 * could be beside it.
 * @param {Document | Element} root @param {Size} window
 * @returns {Box[]}
 */
export function controlsIn(root, {width, height}) {
  /** @type {Box[]} */
  const boxes = []
  for (const element of root.querySelectorAll(CONTROLS)) {
    const box = element.getBoundingClientRect()
    if (!box.width || !box.height || box.width * box.height > (width * height) / 2) continue
    if (box.right <= 0 || box.left >= width || box.bottom <= 0 || box.top >= height) continue
    if (element.checkVisibility?.({visibilityProperty: true}) ?? true) boxes.push(box)
    if (boxes.length === MAX_CONTROLS) break
  }
  return boxes
}

/** @param {Box} one @param {Box} other */
const meet = (one, other) =>
  one.left < other.right + GAP_PX &&
  one.right > other.left - GAP_PX &&
  one.top < other.bottom + GAP_PX &&
  one.bottom > other.top - GAP_PX

/**
 * How many controls something covers. It does not count beyond a number that is too many.
 * @param {Box} box @param {Box[]} controls @param {number} tooMany
 */
export function covered(box, controls, tooMany) {
  let count = 0
  for (const control of controls) {
    if (count >= tooMany) break
    if (meet(box, control)) count++
  }
  return count
}

/**
 * The best place for something of a size: where it covers no control, near the bottom or the top;
 * else where it covers the fewest.
 * @param {Size} size @param {Size} window @param {Box[]} controls
 * @param {boolean} isRightToLeft
 * @returns {{left: number, top: number, covers: number}} covers: so many controls
 */
export function placeFor({width, height}, window, controls, isRightToLeft) {
  const right = Math.max(0, window.width - width - EDGE_PX)
  const bottom = Math.max(0, window.height - height - EDGE_PX)
  const center = Math.max(0, (window.width - width) / 2)
  const lefts = isRightToLeft ? [EDGE_PX, right, center] : [right, EDGE_PX, center]
  const tops = new Set([bottom, EDGE_PX]) // the controls of a row have them in common
  for (const {top, bottom} of controls) tops.add(top - height - GAP_PX).add(bottom + GAP_PX)
  const edge = (/** @type {number} */ top) => Math.min(bottom - top, top - EDGE_PX + TOP_PX)
  const places = [...tops]
    .filter(top => top >= Math.min(EDGE_PX, bottom) && top <= bottom)
    .sort((one, other) => edge(one) - edge(other))
    .slice(0, MAX_TOPS)
    .flatMap(top => lefts.map(left => ({left, top})))
  let best = {left: lefts[0] ?? 0, top: bottom, covers: Infinity}
  for (const {left, top} of places) {
    const covers = covered({left, top, right: left + width, bottom: top + height}, controls, best.covers)
    if (covers < best.covers) best = {left, top, covers}
    if (!covers) break
  }
  return best
}
