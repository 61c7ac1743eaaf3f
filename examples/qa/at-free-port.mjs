// Runs a command with PORT set to a port of 127.0.0.1 on which nothing listens: node at-free-port.mjs COMMAND [ARGUMENT]…
//
// While the command runs nobody else who looks for a port in this way gets the same, also not before its
// server listens: the port of another address of loopback is held for it, as internal/freeport does.
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {createServer} from 'node:net'

const [command, ...args] = process.argv.slice(2)
const FIRST = 22_000 // below the ports that the system gives to connections
const COUNT = 10_700

/** A server that listens; undefined where somebody else does. */
async function listen(port, host) {
  const server = createServer().listen(port, host)
  return once(server, 'listening').then(
    () => server,
    () => undefined,
  )
}

async function hold() {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT)
    const held = await listen(port, '127.0.0.2')
    const probe = held && (await listen(port, '127.0.0.1'))
    if (probe) {
      probe.close()
      await once(probe, 'close')
      return port
    }
    held?.close()
  }
}

const child = spawn(command, args, {stdio: 'inherit', env: {...process.env, PORT: String(await hold())}})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
child.once('error', error => {
  console.error(`${command}: ${error.message}`)
  process.exit(127)
})
child.once('exit', code => process.exit(code ?? 1))
