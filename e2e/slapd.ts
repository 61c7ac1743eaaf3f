import {type ChildProcess, spawn} from 'node:child_process'
import {mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises'
import {createServer, type Server} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from './curfew'

/** A real OpenLDAP server, with the same people as the Go tests. */
export class Slapd {
  #process: ChildProcess | undefined

  private constructor(
    readonly folder: string,
    readonly url: string,
  ) {}

  static async start(): Promise<Slapd> {
    const slapd = new Slapd(await mkdtemp(join(tmpdir(), 'curfew-slapd-')), `ldap://127.0.0.1:${await freePort()}`)
    for (const sub of ['conf', 'db']) await mkdir(join(slapd.folder, sub))
    const config = (await readFile('directory/testdata/slapd.ldif', 'utf8'))
      .replace(/^olcTLS.*\n/gm, '')
      .replaceAll('@DIR@', slapd.folder)
    await run('/usr/sbin/slapadd', ['-n0', '-F', join(slapd.folder, 'conf')], config)
    slapd.#process = spawn(
      'sh',
      ['-c', 'ulimit -n 1024; exec /usr/sbin/slapd -F "$0" -h "$1" -d 0', join(slapd.folder, 'conf'), slapd.url],
      {stdio: 'ignore'},
    )
    await expect(() => slapd.change('ldapsearch', '', ['-s', 'base', '-b', ''])).toPass({
      intervals: [50],
      timeout: 10_000,
    })
    await slapd.change('ldapadd', await readFile('directory/testdata/people.ldif', 'utf8'), ['-e', 'relax'])
    await writeFile(join(slapd.folder, 'password'), 'servicepw')
    return slapd
  }

  /** Flags for a Curfew server that signs people in here. */
  get flags(): string[] {
    return [
      '--ldap-url',
      this.url,
      '--ldap-bind-dn',
      'cn=svc,dc=example,dc=org',
      '--ldap-bind-password-file',
      join(this.folder, 'password'),
      '--ldap-base-dn',
      'dc=example,dc=org',
    ]
  }

  /** Changes the directory as its administrator. */
  modify(ldif: string): Promise<void> {
    return this.change('ldapmodify', ldif, ['-e', 'relax'])
  }

  /** Locks an account, as an administrator does (ppolicy). */
  lock(name: string): Promise<void> {
    return this.modify(
      `dn: uid=${name},ou=people,dc=example,dc=org\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n`,
    )
  }

  /** Unlocks it again. */
  unlock(name: string): Promise<void> {
    return this.modify(
      `dn: uid=${name},ou=people,dc=example,dc=org\nchangetype: modify\ndelete: pwdAccountLockedTime\n`,
    )
  }

  private change(command: string, input: string, args: string[]): Promise<void> {
    return run(command, ['-x', '-H', this.url, '-D', 'cn=admin,dc=example,dc=org', '-w', 'adminpw', ...args], input)
  }

  async stop(): Promise<void> {
    const child = this.#process
    if (child && child.exitCode === null && child.signalCode === null) {
      const gone = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
    }
    await rm(this.folder, {recursive: true, force: true})
  }
}

function run(command: string, args: string[], input: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {stdio: ['pipe', 'ignore', 'pipe']})
    let errors = ''
    child.stderr.on('data', data => {
      errors += data
    })
    child.on('error', reject)
    child.on('exit', code => (code === 0 ? resolve() : reject(new Error(`${command}: ${errors}`))))
    child.stdin.on('error', () => {}) // a command that fails early reads nothing: its status says so
    child.stdin.end(input)
  })
}

/**
 * Reserves a port on which nothing listens: no other test gets it, in whatever process, also while
 * its server is down. It lies below the ports that the system gives to connections, so that none
 * takes it before the server does. The port of another address of loopback stands for it, as
 * internal/freeport has it.
 */
export async function freePort(): Promise<number> {
  const port = 22_000 + Math.floor(Math.random() * 10_700)
  const held = await listen('127.0.0.2', port)
  const probe = held && (await listen('127.0.0.1', port))
  if (!probe) {
    held?.close()
    return freePort()
  }
  held.unref() // held as long as this process lives
  await new Promise(resolve => probe.close(resolve))
  return port
}

function listen(host: string, port: number): Promise<Server | undefined> {
  return new Promise(resolve => {
    const server = createServer()
    server.on('error', () => resolve(undefined))
    server.listen(port, host, () => resolve(server))
  })
}
