import {expect, MINUTE, Server, signInAt, Tab, test} from '../curfew'
import {Slapd} from '../slapd'
import {ROUNDS, timeFor} from './rounds'

// Where pages do not wait a draft comes back after an end of any kind.

test('a draft is back in its field, whatever has ended the session', async ({context}) => {
  test.setTimeout(timeFor(60_000))
  const slapd = await Slapd.start()
  const times = ['--expire-after', '10m', '--warn-after', '9m', '--max-lifetime', '14m']
  const server = await Server.start(...slapd.flags, '--keep-page', '0', ...times)
  try {
    const tab = new Tab(await context.newPage(), server)
    const ends: Record<string, () => Promise<unknown>> = {
      idle: () => server.advance(11 * MINUTE),
      lifetime: async () => {
        await server.advance(8 * MINUTE)
        await tab.goto() // an activity
        await tab.connected()
        await server.advance(7 * MINUTE)
      },
      admin: () => server.forceLogout({user: 'linus'}),
      replaced: () => signInAt(server, 'linus', context),
      logout: async () => {
        const other = await context.newPage()
        await other.goto(server.url)
        await other.getByRole('button', {name: 'Sign out'}).click()
        await expect(other).toHaveURL(/login/)
        await other.close()
      },
      directory: async () => {
        await slapd.lock('linus')
        await expect(tab.page).toHaveURL(/login/, {timeout: 15_000})
        await slapd.unlock('linus')
      },
      'lost server': async () => {
        await server.kill()
        await server.run()
        await signInAt(server, 'linus', context) // whatever the clock of the test has made of the session
        await tab.goto()
      },
    }
    await signInAt(server, 'linus', context)
    await tab.goto()
    for (let round = 0; round < ROUNDS; round++) {
      for (const [reason, end] of Object.entries(ends)) {
        await test.step(reason, async () => {
          const typed = `${reason} ${round}`
          await tab.connected()
          await tab.note.fill(typed)
          await end()
          if (reason !== 'replaced' && reason !== 'lost server') {
            await expect(tab.page).toHaveURL(/login/)
            await signInAt(server, 'linus', context) // the sign-in page goes on by itself
          }
          await expect(tab.page).toHaveURL(server.url + '/')
          await expect.poll(() => tab.note.inputValue().catch(() => ''), {timeout: 10_000}).toBe(typed)
          await expect(tab.page.getByText('What you typed is back.')).toBeVisible()
        })
      }
    }
    const {items} = await server.api('GET', '/audit?event=session-end')
    const reasons = new Set(items.map((item: {reason: string}) => item.reason))
    for (const reason of Object.keys(ends).filter(name => name !== 'lost server')) expect(reasons).toContain(reason)
  } finally {
    await server.stop()
    await slapd.stop()
  }
})
