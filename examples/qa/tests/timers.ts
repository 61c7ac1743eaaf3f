/**
 * Watches what this process waits for by the clock. The answer ends that, and tells the longest wait that
 * has run out, in ms. So a test can say that nothing in it waits, and how fast the machine is does not
 * matter.
 */
export function watchTimers(): () => number {
  const original = globalThis.setTimeout
  let longest = 0
  const watched = (then: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
    original(() => {
      longest = Math.max(longest, ms)
      then(...args)
    }, ms)
  globalThis.setTimeout = Object.assign(watched, original) as typeof setTimeout
  return () => {
    globalThis.setTimeout = original
    return longest
  }
}
