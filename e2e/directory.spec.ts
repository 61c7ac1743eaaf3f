import {expect, Server, signInAt, Tab, test} from './curfew'
import {Slapd} from './slapd'

// Changes in a real OpenLDAP directory, as its people notice them. How fast they do is judged in
// timing.spec.ts.

test('a lock closes tabs, a lost admin group the console; an outage nothing', async ({context, otherBrowser}) => {
  const slapd = await Slapd.start()
  const server = await Server.start(...slapd.flags)
  try {
    const open = async (user: string, path: string, where = context) => {
      await signInAt(server, user, where)
      const tab = new Tab(await where.newPage(), server)
      await tab.goto(path)
      await tab.connected()
      return tab
    }
    const linus = await open('linus', '/')
    const grace = await open('grace', '/admin', await otherBrowser())
    await expect(grace.page.getByText('Live', {exact: true})).toBeVisible()

    await slapd.lock('linus')
    await linus.signedOut('You were signed out because your account has changed.')

    await slapd.modify(
      'dn: cn=admins,dc=example,dc=org\nchangetype: modify\ndelete: member\nmember: uid=grace,ou=people,dc=example,dc=org\n',
    )
    await expect(grace.page.getByText('Only administrators may do this.')).toBeVisible()
    await slapd.stop()
    await expect.poll(async () => (await server.api('GET', '/audit?event=directory-lost')).items.length).toBe(1)
    await grace.goto('/')
    await expect(grace.page.getByRole('heading', {name: 'Hello, Grace Hopper'})).toBeVisible()
  } finally {
    await server.stop()
    await slapd.stop()
  }
})
