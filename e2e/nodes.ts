import {type ChildProcess, spawn} from 'node:child_process'
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises'
import {connect} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect, Server} from './curfew'
import {freePort} from './slapd'

/**
 * Several nodes behind nginx, over one Redis: all real, with the configuration that docs/nodes.md
 * gives.
 */
export class Nodes {
  readonly #processes: ChildProcess[] = []
  nodes: Server[] = []

  private constructor(
    readonly folder: string,
    readonly url: string,
  ) {}

  static async start(names: string[], ...flags: string[]): Promise<Nodes> {
    const port = await freePort()
    const all = new Nodes(await mkdtemp(join(tmpdir(), 'curfew-nodes-')), `http://localhost:${port}`)
    try {
      await all.#start(port, names, flags)
    } catch (error) {
      await all.stop()
      throw error
    }
    return all
  }

  async #start(port: number, names: string[], flags: string[]) {
    const redis = await freePort()
    const storage = ['--dir', this.folder, '--appendonly', 'yes', '--save', '']
    this.#spawn('redis-server', '--port', `${redis}`, '--bind', '127.0.0.1', ...storage)
    await expect(() => accepts(redis)).toPass({intervals: [20], timeout: 10_000})
    const ports: number[] = []
    for (const name of names) {
      const node = await freePort()
      ports.push(node)
      const own = [
        `--listen=127.0.0.1:${node}`,
        `--node-name=${name}`,
        `--redis-url=redis://127.0.0.1:${redis}`,
        `--public-url=${this.url}`,
        '--trusted-proxies=127.0.0.1/32',
        ...flags,
      ]
      this.nodes.push(await Server.start(...own))
    }
    let servers = ports
    const config = (await readFile('docs/nodes/nginx.conf', 'utf8'))
      .replace('127.0.0.1:8080', `127.0.0.1:${port}`)
      .replace(/^ *server 127.0.0.1:808[123] (.*)\n/gm, (_, rest) => {
        const [first, ...others] = servers
        servers = others
        return first ? `server 127.0.0.1:${first} ${rest}\n` : ''
      })
    await writeFile(join(this.folder, 'nginx.conf'), config)
    this.#spawn('/usr/sbin/nginx', '-p', this.folder, '-c', join(this.folder, 'nginx.conf'), '-e', 'stderr')
    await expect(async () => {
      expect((await fetch(this.url + '/healthz')).status).toBe(200)
    }).toPass({timeout: 10_000})
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

/** Fails unless a server of this machine accepts connections. */
function accepts(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', reject)
  })
}
