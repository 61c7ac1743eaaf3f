import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {closing} from './closing'
import {Server, test as base} from './curfew'

/** What an application answers to one path. */
export interface Answer {
  body: string | Buffer
  /** Its media type; HTML by default. */
  type?: string
  headers?: Record<string, string>
}

/** The script tag, as an application's own template has it. Curfew itself puts one into each page. */
export const tag = '<script type="module" src="/.curfew/static/curfew.js" data-socket="/.curfew/session/ws"></script>'

/** A page of an application. @param head what its head has beside the title */
export const html = (title: string, head: string, body: string): string =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>${head}</head><body>${body}</body></html>`

/** A script of an application. */
export const script = (body: string): Answer => ({type: 'text/javascript', body})

/** A small application of some other make, behind a Curfew of its own. Paths below /public need no session. */
export class Application {
  private constructor(
    readonly server: Server,
    private readonly close: () => Promise<void>,
  ) {}

  /** @param pages by path; a string is a page of HTML @param flags of Curfew, beside those that it needs */
  static async start(pages: Record<string, Answer | string>, ...flags: string[]): Promise<Application> {
    const upstream = createServer((request, answer) => {
      const found = pages[request.url!.split('?')[0]!]
      const {body, type = 'text/html', headers} = typeof found === 'string' ? {body: found} : (found ?? missing)
      answer.writeHead(found ? 200 : 404, {'content-type': type, ...headers}).end(body)
    })
    const close = closing(upstream)
    await new Promise<void>(resolve => upstream.listen(0, '127.0.0.1', resolve))
    const {port} = upstream.address() as AddressInfo
    const server = await Server.start('--upstream', `http://127.0.0.1:${port}`, '--public-paths', '/public*', ...flags)
    return new Application(server, close)
  }

  async stop(): Promise<void> {
    await this.server.stop()
    await this.close()
  }
}

const missing: Answer = {body: 'There is no such page.', type: 'text/plain'}

/** Tests whose server is Curfew in front of an application with these pages. Those of one worker share it. */
export const testWith = (pages: Record<string, Answer | string>) =>
  base.extend<{}, {application: Application}>({
    application: [
      async ({}, use) => {
        const application = await Application.start(pages)
        await use(application)
        await application.stop()
      },
      {scope: 'worker'},
    ],
    server: async ({application}, use) => {
      await application.server.reset()
      await use(application.server)
    },
  })
