import {spawn} from 'node:child_process'

/**
 * Kills a process once this one is gone, even if this one is killed. The answer calls that off.
 *
 * A shell waits for the end of its input, which the system closes with this process.
 *
 * @param target its process ID, or, negative, that of its group
 */
export function killWhenWeAreGone(target: number): () => void {
  const watch = spawn('/bin/sh', ['-c', 'read -r _; kill -KILL "$0"', `${target}`], {
    detached: true, // so that Ctrl-C does not end it before us
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watch.once('error', () => {}) // no shell: a process that is ended in order goes all the same
  watch.stdin.once('error', () => {})
  watch.unref()
  return () => watch.kill('SIGKILL')
}
