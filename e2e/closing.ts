import type {Server} from 'node:http'
import type {Server as SecureServer} from 'node:https'
import type {Socket} from 'node:net'

/**
 * Knows the connections of a server, those too that became WebSockets: `closeAllConnections` leaves
 * them, and `close` waits for them.
 * @returns ends the server and all of them
 */
export function closing(server: Server | SecureServer): () => Promise<void> {
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  return () =>
    new Promise(resolve => {
      server.close(() => resolve())
      for (const socket of open) socket.destroy()
    })
}
