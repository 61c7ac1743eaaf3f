import {request} from 'node:http'
import {createServer} from 'node:https'
import {type AddressInfo, connect} from 'node:net'
import {html} from '../application'
import {closing} from '../closing'
import {Server} from '../curfew'

/** The script tag, as an application's own template has it. */
const tag = '<script type="module" src="/static/curfew.js" data-socket="/session/ws"></script>'

/**
 * An application that has the tag in its own pages, over TLS and at one origin with Curfew. It
 * leaves out `no-store`, so that WebKit keeps its pages for Back: over TLS it keeps no others.
 */
export class Site {
  private constructor(
    readonly server: Server,
    private readonly close: () => Promise<void>,
  ) {}

  /** @param bodies of pages, by path; /public has no tag, and all other paths are Curfew's */
  static async start(certificate: {cert: Buffer; key: Buffer}, bodies: Record<string, string>): Promise<Site> {
    let curfew = 0
    const front = createServer(certificate, (asked, answer) => {
      const body = bodies[asked.url!]
      if (body !== undefined)
        return answer
          .writeHead(200, {'content-type': 'text/html'})
          .end(html('Records', asked.url === '/public' ? '' : tag, body))
      const {method, headers, url} = asked
      const passed = request({port: curfew, host: '127.0.0.1', method, headers, path: url}, from => {
        answer.writeHead(from.statusCode!, from.headers)
        from.pipe(answer)
      })
      passed.on('error', () => answer.destroy())
      asked.pipe(passed)
    })
    const close = closing(front)
    front.on('upgrade', (asked, socket) => {
      const passed = connect(curfew, '127.0.0.1')
      for (const [one, other] of [
        [socket, passed],
        [passed, socket],
      ] as const) {
        one.on('error', () => other.destroy())
        one.on('close', () => other.destroy())
      }
      passed.write(`GET ${asked.url} HTTP/1.1\r\n`)
      for (let i = 0; i < asked.rawHeaders.length; i += 2) {
        passed.write(`${asked.rawHeaders[i]}: ${asked.rawHeaders[i + 1]}\r\n`)
      }
      passed.write('\r\n')
      socket.pipe(passed).pipe(socket)
    })
    await new Promise<void>(resolve => front.listen(0, '127.0.0.1', resolve))
    const url = `https://localhost:${(front.address() as AddressInfo).port}`
    try {
      const server = await Server.start('--public-url', url)
      curfew = Number(new URL(server.url).port)
      server.url = url
      return new Site(server, close)
    } catch (error) {
      await close()
      throw error
    }
  }

  async stop(): Promise<void> {
    await this.server.stop()
    await this.close()
  }
}
