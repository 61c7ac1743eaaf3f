import {type ChildProcess, spawn} from 'node:child_process'
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect, Server} from './curfew'
import {freePort} from './slapd'

/** Several nodes behind nginx, over one Redis: all real, with the configuration that docs/nodes.md gives. */
export class Nodes {
  readonly #processes: ChildProcess[] = []
  nodes: Server[] = []

  private constructor(readonly folder: string, readonly url: string) {}

  static async start(names: string[], ...flags: string[]): Promise<Nodes> {
    const port = await freePort()
    const all = new Nodes(await mkdtemp(join(tmpdir(), 'curfew-nodes-')), `http://localhost:${port}`)
    const redis = await freePort()
    all.#spawn('redis-server', '--port', `${redis}`, '--bind', '127.0.0.1', '--dir', all.folder, '--appendonly', 'yes', '--save', '')
    const ports: number[] = []
    for (const name of names) {
      const node = await freePort()
      ports.push(node)
      const own = ['--listen', `127.0.0.1:${node}`, '--node-name', name, '--redis-url', `redis://127.0.0.1:${redis}`,
        '--public-url', all.url, '--trusted-proxies', '127.0.0.1/32', ...flags]
      await expect(async () => { all.nodes.push(await Server.start(...own)) }).toPass({timeout: 10_000})
    }
    let servers = ports
    const config = (await readFile('docs/nodes/nginx.conf', 'utf8'))
      .replace('127.0.0.1:8080', `127.0.0.1:${port}`)
      .replace(/^ *server 127.0.0.1:808[123] (.*)\n/gm, (_, rest) => {
        const [first, ...others] = servers
        servers = others
        return first ? `server 127.0.0.1:${first} ${rest}\n` : ''
      })
    await writeFile(join(all.folder, 'nginx.conf'), config)
    all.#spawn('/usr/sbin/nginx', '-p', all.folder, '-c', join(all.folder, 'nginx.conf'), '-e', 'stderr')
    await expect(async () => { expect((await fetch(all.url + '/healthz')).status).toBe(200) }).toPass({timeout: 10_000})
    return all
  }

  #spawn(command: string, ...args: string[]) {
    this.#processes.push(spawn(command, args, {stdio: 'ignore'}))
  }

  /** How many tabs each node holds. */
  async tabs(): Promise<Record<string, number>> {
    const {items} = await this.nodes.find(node => node.running)!.api('GET', '/sessions')
    const count: Record<string, number> = {}
    for (const {ref} of items) {
      const {open_tabs} = await this.nodes.find(node => node.running)!.api('GET', '/sessions/' + ref)
      for (const {node} of open_tabs) count[node] = (count[node] ?? 0) + 1
    }
    return count
  }

  async stop() {
    for (const node of this.nodes) await node.stop()
    for (const child of this.#processes) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const gone = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGTERM')
      await gone
    }
    await rm(this.folder, {recursive: true, force: true})
  }
}
