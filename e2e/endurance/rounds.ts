/**
 * How often each loop goes round: a hundred times in `make endurance`. `make test` goes round once,
 * and leaves out what films pages or times them.
 */
export const ROUNDS = Number(process.env.CURFEW_ROUNDS ?? 1)

/**
 * How long a test of that many rounds may take.
 * @param ms what one round takes on a busy machine, in milliseconds
 */
export const timeFor = (ms: number): number => 30_000 + ROUNDS * ms

/** Prints how values in milliseconds are spread, and returns the greatest. */
export function report(what: string, values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1]!.toFixed(0)
  console.log(`${what}: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms, of ${sorted.length}`)
  return sorted.at(-1)!
}
