import {createServer, request} from 'node:http'
import {type AddressInfo, connect} from 'node:net'
import {closing} from './closing'
import {Server} from './curfew'

const csp =
  "default-src 'none'; script-src 'self'; img-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; frame-src 'self'"

/** A site with pages of its own under a strict policy, and Curfew behind it on the same origin. */
export class Site {
  private constructor(
    readonly server: Server,
    private readonly close: () => Promise<void>,
  ) {}

  /** @param pages by path: their type and content, where ORIGIN is that of the site @param flags of Curfew */
  static async start(
    pages: Record<string, [type: string, content: string, cacheControl?: string]>,
    ...flags: string[]
  ): Promise<Site> {
    let port = 0
    let url = ''
    const front = createServer((incoming, answer) => {
      const page = pages[incoming.url!.split('?')[0]!]
      if (page) {
        answer
          .writeHead(200, {
            'content-type': page[0],
            'content-security-policy': csp,
            'cache-control': page[2] ?? 'no-store',
          })
          .end(page[1].replaceAll('ORIGIN', url))
        return
      }
      const onward = request(
        {port, host: '127.0.0.1', method: incoming.method, path: incoming.url, headers: incoming.headers},
        reply => {
          answer.writeHead(reply.statusCode!, reply.headers)
          reply.pipe(answer)
        },
      )
      onward.on('error', () => answer.writeHead(502).end())
      incoming.pipe(onward)
    })
    const close = closing(front)
    front.on('upgrade', (incoming, socket, head) => {
      const onward = connect(port, '127.0.0.1', () => {
        const headers = incoming.rawHeaders.reduce((text, word, i) => text + word + (i % 2 ? '\r\n' : ': '), '')
        onward.write(`GET ${incoming.url} HTTP/1.1\r\n${headers}\r\n`)
        onward.write(head)
        onward.pipe(socket).pipe(onward)
      })
      onward.on('error', () => socket.destroy())
      socket.on('error', () => onward.destroy())
    })
    await new Promise<void>(resolve => front.listen(0, '127.0.0.1', resolve))
    url = `http://localhost:${(front.address() as AddressInfo).port}`
    const server = await Server.start('--public-url', url, ...flags)
    port = Number(new URL(server.url).port)
    server.url = url
    return new Site(server, close)
  }

  async stop(): Promise<void> {
    await this.close()
    await this.server.stop()
  }
}
