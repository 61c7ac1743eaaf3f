// @ts-check
/**
 * What a page may put something else in the place of while it lives: libraries that watch requests,
 * that stop the clock, that mend old browsers. The script takes them as it begins, and so does what
 * it imports later. Every module has these in the place of the global ones without asking for them:
 * static.go sees to that.
 */
export const {clearTimeout, CustomEvent, Date, fetch, JSON, performance, setTimeout, URL, URLSearchParams, WebSocket} =
  window
