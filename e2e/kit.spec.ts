import {execFile} from 'node:child_process'
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {promisify} from 'node:util'
import {expect as plainExpect, mergeExpects, mergeTests, type Page, test as plain} from '@playwright/test'
import {expect as ourExpect, MINUTE, Server, test as ours} from './curfew'

// The kit for other suites (e2e/kit), beyond what all specs here use of it.

// It composes with fixtures and matchers of others.
const test = mergeTests(ours, plain.extend<{clerk: string}>({clerk: async ({}, use) => use('zoe')}))
const expect = mergeExpects(
  plainExpect.extend({toBeOdd: (n: number) => ({pass: n % 2 === 1, message: () => `${n} is even`})}),
  ourExpect,
)

/** The message of an expectation that fails. */
const failure = (expectation: Promise<unknown>) =>
  expectation.then(
    () => 'it is met',
    (error: Error) => error.message,
  )

test('matchers see each state of a page, in any language, and say what they see instead @engines', async ({
  signIn,
  openTab,
  clerk,
  age,
}) => {
  expect(1).toBeOdd()
  const session = await signIn({user: clerk, groups: ['staff']})
  const {page} = await openTab('/?lang=ja')
  await expect(page).toBeSignedIn(clerk)
  for (const not of [expect(page).not]) {
    await not.toBeSignedIn('ada')
    await not.toBeBlank()
    await not.toBeWarned()
    await not.toBeWaiting()
    await not.toHaveEnded()
  }
  const one = {timeout: 1}
  const said = await failure(expect(page).toBeBlank(one))
  for (const part of ['toBeBlank', page.url(), 'no dialog of Curfew shows', 'active', 'zoe is signed in'])
    expect(said).toContain(part)

  await age(9 * MINUTE)
  await expect(page).toBeWarned()
  await expect(page).toBeSignedIn()
  expect(await failure(expect(page).not.toBeWarned(one))).toContain('the warning shows')

  await age(MINUTE, session)
  await expect(page).toBeBlank()
  await expect(page).toBeWaiting()
  await expect(page).toHaveEnded('idle')
  for (const not of [expect(page).not]) {
    await not.toBeWarned()
    await not.toBeSignedIn()
    await not.toHaveEnded('admin')
  }
  const ended = await failure(expect(page).toHaveEnded('admin', one))
  for (const part of ['toHaveEnded', 'is blank', 'it waits', 'ended: idle', '"admin"']) expect(ended).toContain(part)

  await signIn({user: 'ada'})
  await expect(page).toHaveURL(/\/$|lang=ja$/)
  await expect(page).toBeSignedIn('ada')
})

test.describe('a server of its own', () => {
  test.use({flags: ['--close-grace', '0']})

  test('that is gone has not said that nobody is signed in', async ({signIn, openTab, server}) => {
    await signIn()
    const {page} = await openTab()
    await server.kill()
    const soon = {timeout: 1_000}
    for (const expectation of [
      () => expect(page).toBeSignedIn(undefined, soon),
      () => expect(page).not.toBeSignedIn(undefined, soon),
      () => expect(page).not.toHaveEnded(undefined, soon),
    ])
      expect(await failure(expectation())).toContain('the server cannot be asked')
  })
})

test('an installed clock goes along, and no other', async ({signIn, openTab, otherBrowser, advance, age, context}) => {
  await context.clock.install()
  await signIn()
  const {page} = await openTab()
  const other = await otherBrowser()
  await signIn('grace', other)
  const {page: elsewhere} = await openTab('/', other)
  const ahead = (of: Page) => of.evaluate(() => Date.now()).then(now => Math.round((now - Date.now()) / MINUTE) + 0)

  await advance(9 * MINUTE)
  for (const one of [page, elsewhere]) await expect(one).toBeWarned()
  expect(await ahead(page)).toBe(9)
  expect(await ahead(elsewhere)).toBe(0)
  await age(MINUTE) // grace, by the account page: she has signed in by her password
  await expect(elsewhere).toHaveEnded('idle')
  await expect(page).toBeWarned()
  expect(await ahead(page)).toBe(9)
  await advance(MINUTE)
  await expect(page).toHaveEnded('idle')
  expect(await ahead(page)).toBe(10)
})

test.describe('below a path, over TLS, without a token', () => {
  test.use({ignoreHTTPSErrors: true, curfewToken: ''})

  let folder: string
  test.beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'curfew-kit-'))
    const request = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost'.split(' ')
    const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')]
    await promisify(execFile)('openssl', [...request, ...files])
  })
  test.afterAll(() => rm(folder, {recursive: true}))

  const secure = test.extend({
    server: async ({}, use) => {
      const files = [`--tls-cert=${join(folder, 'cert.pem')}`, `--tls-key=${join(folder, 'key.pem')}`]
      const server = await Server.start('--base-path', '/guard/', ...files)
      await use(server)
      await server.stop()
    },
  })

  secure('a forced logout ends what it is to end', async ({signIn, openTab, otherBrowser, forceLogout, curfewURL}) => {
    expect(curfewURL).toMatch(/^https:.*\/guard$/)
    await signIn('grace')
    const {page} = await openTab('/guard/')
    const other = await otherBrowser()
    await signIn('linus', other)
    const {page: elsewhere} = await openTab('/guard/', other)
    const done = await forceLogout({everyone: true, message: 'Stocktaking.', dry_run: true})
    expect(done).toMatchObject({sessions: 2, tabs: 2}) // and not who does it
    await forceLogout({user: 'grace', message: 'Stocktaking.'})
    await expect(page).toHaveEnded('admin')
    await expect(page.getByText('Stocktaking.')).toBeVisible()
    await expect(elsewhere).toBeSignedIn('linus')
  })
})

test('what cannot be done says why', async ({signIn, openTab, freeze, goBackCached, page, curfew}) => {
  await signIn()
  const tab = await openTab()
  await tab.goto('/account') // neither page may be kept: no-store
  expect(await failure(goBackCached(tab.page))).toContain('no-store')
  expect(await failure(signIn({user: 'ada', password: 'wrong'}))).toContain('401')
  expect(await failure(curfew.call('nothing', {}))).toContain('--testing')
  expect(await failure(freeze(page))).toContain('realBrowser')
})

test.describe('on a server that nobody resets', () => {
  test.describe.configure({mode: 'default'}) // one after the other
  const shared = test.extend({server: async ({sharedServer}, use) => use(sharedServer)})

  shared('a fault ends with its test: here it begins', async ({fault, curfew}) => {
    await fault('refuse')
    await curfew.mint('ada')
  })

  shared('and here it is over', async ({signIn, openTab}) => {
    await signIn('grace')
    await openTab()
  })
})

test('the kit starts a server for each worker, and attaches what it knows to a test that fails', async ({
  launchOptions,
}, info) => {
  test.setTimeout(3 * MINUTE) // it is a run of its own
  const folder = info.outputPath() // below this one, so that Playwright is found
  const kit = JSON.stringify(resolve('e2e/kit/src/index.ts'))
  const readme = await readFile('e2e/kit/README.md', 'utf8')
  const [, quickStart] = /```ts\n(import [^`]* test[^`]*)```/.exec(readme)!
  const more = `
    test('passes', async ({curfew}) => curfew.age((await curfew.mint('the-first')).ref, 600_000))
    test('fails', async ({curfew}) => {
      await curfew.age((await curfew.mint('the-second')).ref, 600_000)
      throw new Error(curfew.url)
    })
    test('is killed', async ({realBrowser}) => {
      fs.writeFileSync(${JSON.stringify(join(folder, 'pid'))}, String((await realBrowser()).pid))
      process.kill(process.pid, 'SIGKILL')
    })`
  const spec = "import fs from 'node:fs'\n" + quickStart!.replace("'curfew-playwright'", kit) + more
  await writeFile(join(folder, 'some.spec.ts'), spec)
  const curfewBinary = resolve(process.env.CURFEW_BIN ?? 'bin/curfew')
  const use = {launchOptions, curfewBinary, curfewFlags: ['--base-path=/']}
  const config = {testDir: '.', outputDir: 'results', workers: 1, use}
  await writeFile(join(folder, 'playwright.config.ts'), `export default ${JSON.stringify(config)}`)
  const args = [resolve('node_modules/@playwright/test/cli.js'), 'test', '-c', folder, '--reporter=json']
  const TMPDIR = await mkdtemp(join(tmpdir(), 'kit-')) // for what a worker that is killed leaves behind
  const {stdout} = await promisify(execFile)(process.execPath, args, {env: {...process.env, TMPDIR}}).catch(e => e)
  const results = JSON.parse(stdout).suites[0].specs.map((spec: any) => spec.tests[0].results[0])
  expect(results.map((result: any) => result.status)).toEqual(['passed', 'passed', 'failed', 'failed'])
  const {error, attachments} = results[2]
  const url = /http:\/\/localhost:\d+/.exec(error.message)![0]
  const attached = Object.fromEntries(
    attachments.map((a: any) => [a.name, Buffer.from(a.body ?? '', 'base64').toString()]),
  )
  for (const name of ["Curfew's timeline", "Curfew's log"]) {
    expect(attached[name]).toMatch(/the-second/)
    expect(attached[name]).not.toMatch(/the-first/) // nothing of the test before
  }
  expect(attached["Curfew's timeline"]).toContain('end idle')
  // It is stopped. Another worker's server may have its port by now.
  const answer = await fetch(url + '/testing/timeline').then(
    answer => answer.text(),
    () => '',
  )
  expect(answer).not.toContain('the-second')
  const pid = await readFile(join(folder, 'pid'), 'utf8')
  const command = () => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  await expect.poll(command, 'the browser of a worker that was killed').toBe('')
  await rm(TMPDIR, {recursive: true, force: true, maxRetries: 5})
})
