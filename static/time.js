// @ts-check
/** @typedef {{mono: number, wall: number}} Instant */

/** Now, by both clocks of this page. @returns {Instant} */
export const instant = () => ({mono: performance.now(), wall: Date.now()})

/**
 * Milliseconds since an instant. One clock stands still in sleep and the other may be set: the one
 * that says more is believed.
 * @param {Instant} i
 */
export const since = i => Math.max(performance.now() - i.mono, Date.now() - i.wall)

/**
 * A random part of ms, at least half of it, so that pages do not all come back at once.
 * @param {number} ms
 */
export const jitter = ms => ms * (0.5 + Math.random() / 2)

/**
 * The longest wait in ms, 11 days: setTimeout takes 2^31 - 1 at most. Who waits for longer looks
 * again then.
 */
export const LONGEST_TIMEOUT = 1e9
