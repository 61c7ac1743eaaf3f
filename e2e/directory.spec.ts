import {Application, html} from './application'
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

test.describe('in German', () => {
  test.use({locale: 'de'})

  test('the end of a password is told at the sign-in, or once by the page behind it', async ({context}) => {
    const slapd = await Slapd.start()
    const pages = {'/form': html('Form', '', '<h1>Form</h1>')}
    const application = await Application.start(pages, ...slapd.flags, '--help-url', '/help')
    const {server} = application
    const signIn = async (user: string) => {
      const tab = new Tab(await context.newPage(), server)
      await tab.goto('/form')
      await tab.page.getByLabel('Benutzername').fill(user)
      await tab.page.getByLabel('Passwort', {exact: true}).fill('right')
      await tab.page.getByRole('button', {name: 'Anmelden', exact: true}).click()
      return tab
    }
    try {
      await slapd.modify(policy + person('ending', 79.5) + person('expired', 100))
      const {page: refused} = await signIn('expired')
      await expect(refused.getByRole('alert')).toHaveText(/^Ihr Passwort ist abgelaufen\. .+ Hilfe zur Anmeldung$/)
      await expect(refused.getByRole('link', {name: 'Hilfe zur Anmeldung'})).toHaveAttribute('href', '/help')
      await refused.close() // it would go on with the session of the next sign-in

      const first = await signIn('ending')
      const ends = 'Ihr Passwort läuft in 10 Tagen ab. Bitte ändern Sie es vorher.'
      await expect(first.page.locator('.notice')).toContainText(ends)
      const second = new Tab(await context.newPage(), server)
      await second.goto('/form')
      await first.goto('/form')
      for (const tab of [first, second]) await tab.connected()
      await server.api('POST', '/notices', {user: 'ending', message: 'Tea is ready.'})
      for (const {page} of [first, second]) {
        await expect(page.locator('.notice').getByText('Tea is ready.')).toBeVisible()
        await expect(page.locator('.notice')).toHaveCount(1)
      }
    } finally {
      await application.stop()
      await slapd.stop()
    }
  })
})

const policy = `dn: cn=strict,dc=example,dc=org
changetype: add
objectClass: device
objectClass: pwdPolicy
cn: strict
pwdAttribute: userPassword
pwdMaxAge: ${90 * 86_400}
pwdExpireWarning: ${14 * 86_400}

`

/** Somebody whose password is so many days old. */
function person(uid: string, days: number): string {
  const changed = new Date(Date.now() - days * 86_400_000).toISOString().replace(/[-:T]|\.\d+/g, '')
  return `dn: uid=${uid},ou=people,dc=example,dc=org
changetype: add
objectClass: inetOrgPerson
uid: ${uid}
cn: ${uid}
sn: ${uid}
userPassword: right
pwdPolicySubentry: cn=strict,dc=example,dc=org
pwdChangedTime: ${changed}

`
}
