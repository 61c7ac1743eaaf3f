import type {APIRequestContext, BrowserContext, Page} from '@playwright/test'
import {test as base, expect, MINUTE, signInAt, Tab} from './curfew'
import {Example, Site} from './django'
import {stored} from './stored'

// The Django application of examples/django: none of its pages has a tag of Curfew.

let site: Site

const test = base.extend<{open: (path: string, context?: BrowserContext) => Promise<Tab>}>({
  server: async ({}, use, info) => {
    await site.server.reset()
    const before = [site.server.log.length, site.application.log.length]
    await use(site.server)
    if (info.status !== info.expectedStatus) {
      await info.attach('server log', {body: site.server.log.slice(before[0])})
      await info.attach('application log', {body: site.application.log.slice(before[1])})
    }
  },

  /** Opens a page of the application in a tab and waits until it is connected. */
  open: async ({context}, use) => {
    await use(async (path, where = context) => {
      const tab = new Tab(await where.newPage(), {url: site.origin})
      await tab.goto(path)
      await tab.connected()
      return tab
    })
  },
})

/** The person whom the application shows as signed in. */
const user = (page: Page) => page.getByRole('banner')

const cookie = async (context: BrowserContext, name: string) =>
  (await context.cookies(site.origin)).find(c => c.name === name)?.value

for (const [front, start] of Object.entries({Curfew: Site.behindCurfew, nginx: Site.behindNginx})) {
  const engines = front === 'Curfew' ? ' @engines' : '' // browsers see no difference
  // What no proxy in between can change is walked through once.
  const testOnce = (front === 'Curfew' ? test : () => {}) as typeof test
  test.describe(`behind ${front}`, () => {
    test.describe.configure({mode: 'default', timeout: MINUTE}) // one application for all of them
    test.beforeAll(async () => {
      site = await start()
    })
    test.afterAll(() => site.stop())

    test('five tabs of the application warn together and end together', async ({signIn, open, advance}) => {
      await signIn('ada')
      const tabs = []
      for (const path of ['/', '/people/grace/', '/people/ada/', '/changes/', '/admin/']) tabs.push(await open(path))
      await advance(9 * MINUTE)
      for (const tab of tabs) await expect(tab.warning).toBeVisible()
      await advance(MINUTE)
      for (const tab of tabs) await tab.waits('You were signed out because there was no activity for a while.')
    })

    test("a form is saved with Django's own token, and not without it" + engines, async ({signIn, open, context}) => {
      await signIn('grace')
      const {page} = await open('/people/grace/')
      await page.getByLabel('Room').fill('B 205')
      await page.getByRole('button', {name: 'Save'}).click()
      await expect(page.getByRole('status')).toHaveText('Saved.')
      await expect(page.getByRole('definition').first()).toHaveText('B 205')
      await expect(user(page)).toContainText('Grace Hopper')

      const form = {room: 'X', phone: '', about: ''}
      const refused = await context.request.post(site.origin + '/people/grace/', {form})
      expect(refused.status()).toBe(403)
      expect(await refused.text()).toContain('CSRF verification failed')
      await page.reload()
      await expect(page.getByRole('definition').first()).toHaveText('B 205')
    })

    testOnce(
      'what was typed comes back with the page, and its form can be saved',
      async ({signIn, open, advance, context, server}) => {
        await signIn('grace')
        const tab = await open('/people/grace/')
        const room = tab.page.getByLabel('Room')
        await room.fill('C 301')
        await tab.page.getByLabel('About me').fill('Half a sentence')
        await advance(11 * MINUTE)
        await tab.waits()
        await context.clearCookies({name: 'csrftoken'}) // what the form has is worth nothing now
        const held = tab.page.locator('[name=csrfmiddlewaretoken]')
        const before = await held.inputValue()
        await signIn('grace')
        await expect(room).toBeVisible()
        await expect(room).toHaveValue('C 301')
        await expect(tab.page.getByLabel('About me')).toHaveValue('Half a sentence')
        await expect(held).not.toHaveValue(before)
        const token = (await cookie(context, 'csrftoken'))!
        await tab.page.getByRole('button', {name: 'Save'}).click()
        await expect(tab.page.getByRole('status')).toHaveText('Saved.')
        await expect(tab.page.getByRole('definition').first()).toHaveText('C 301')
        expect(await cookie(context, 'csrftoken')).toBe(token)

        await expect.poll(async () => (await stored(tab.page)).drafts).toBe(0)
        await room.press('End')
        await room.pressSequentially('-7')
        await expect.poll(async () => (await stored(tab.page)).drafts).toBe(1)
        await server.forceLogout({user: 'grace'})
        await tab.signedOut(/administrator/)
        await signIn('grace') // the sign-in page goes on by itself
        await expect(room).toHaveValue('C 301-7', {timeout: 10_000})
        await expect(tab.page.getByText('What you typed is back.')).toBeVisible()
        await tab.page.getByRole('button', {name: 'Save'}).click()
        await expect(tab.page.getByRole('definition').first()).toHaveText('C 301-7')
        await expect(room).toHaveValue('C 301-7')
        await expect(tab.page.getByText('What you typed is back.')).toBeHidden()
      },
    )

    testOnce("Django's admin works for its group, and for nobody else", async ({signIn, open, otherBrowser}) => {
      await signIn('ada')
      const {page} = await open('/admin/personnel/person/add/')
      await page.getByLabel('Username').fill('barbara')
      await page.getByLabel('Name:', {exact: true}).fill('Barbara Liskov')
      await page.getByLabel('Room').fill('E 5')
      await page.getByRole('button', {name: 'Save', exact: true}).click()
      await expect(page.getByText('was added successfully')).toBeVisible()
      await page.getByRole('link', {name: 'Barbara Liskov'}).first().click()
      await page.getByLabel('Department').fill('Abstract Data Types')
      await page.getByRole('button', {name: 'Save', exact: true}).click()
      await expect(page.getByText('was changed successfully')).toBeVisible()
      await expect(page.getByRole('row', {name: 'Barbara Liskov'})).toContainText('Abstract Data Types')

      const other = await otherBrowser()
      await signIn('linus', other)
      const {page: theirs} = await open('/', other)
      await expect(theirs.getByRole('link', {name: 'Barbara Liskov'})).toBeVisible()
      await expect(theirs.getByRole('link', {name: 'Administration'})).toBeHidden()
      expect((await theirs.goto(site.origin + '/admin/'))!.status()).toBe(403)
    })

    testOnce(
      "'Log out' of the admin and 'Sign out' of the pages lead to the guard's button",
      async ({signIn, open}) => {
        await signIn('ada')
        const [admin, one] = [await open('/admin/'), await open('/')]
        await admin.page.getByRole('link', {name: 'Log out'}).click()
        await expect(admin.page).toHaveURL(/\/\.curfew\/logout$/)
        await one.page.getByRole('link', {name: 'Sign out'}).click()
        await expect(one.page).toHaveURL(/\/\.curfew\/logout$/)
        await one.page.getByRole('button', {name: 'Sign out'}).click()
        await expect(one.page).toHaveURL(/\/login/)
        await one.goto('/')
        await expect(one.page).toHaveURL(/\/login\?next=/)
      },
    )

    test('a page hears of changes as they come, and its stream ends with the session', async ({
      signIn,
      open,
      otherBrowser,
      server,
    }) => {
      await signIn('ada')
      const listener = await open('/changes/')
      await expect(listener.page.getByRole('status')).toHaveText('Listening.')

      const other = await otherBrowser()
      await signIn('linus', other)
      const {page} = await open('/people/linus/', other)
      await page.getByLabel('Phone').fill('+358 9 5550 0200')
      await page.getByRole('button', {name: 'Save'}).click()
      await expect(listener.page.getByRole('link', {name: 'Linus Torvalds'})).toBeVisible()
      await server.forceLogout({user: 'ada'})
      await listener.signedOut(/administrator/)
    })

    // nginx checks a request at its start only; there the page leaves its stream, and the stream ends by itself.
    if (front === 'Curfew')
      test('an event stream ends with the session, whoever listens', async ({signIn, context, server}) => {
        await signIn('ada')
        const cookies = (await context.cookies(site.origin)).map(c => `${c.name}=${c.value}`).join('; ')
        const stream = await fetch(site.origin + '/changes/stream', {headers: {cookie: cookies}})
        const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader()
        expect((await reader.read()).value).toContain('retry')
        const ended = (async () => {
          while (!(await reader.read()).done);
        })().catch(() => {}) // cut off, not brought to an end
        const before = performance.now()
        await server.forceLogout({user: 'ada'})
        await ended
        expect(performance.now() - before).toBeLessThan(5_000) // its own end comes after a minute
      })

    test('who signs in after somebody else finds nothing of theirs' + engines, async ({signIn, open, context}) => {
      await signIn('ada')
      const {page} = await open('/people/grace/')
      await page.goto(site.origin + '/')
      await expect(page.getByRole('heading', {name: 'You looked up'})).toBeVisible()
      const hers = await cookie(context, 'sessionid')
      expect(hers).toBeTruthy()
      await page.close() // it would sign linus in to Django as soon as it hears of him
      await signIn('ada')
      expect(await cookie(context, 'sessionid')).toBe(hers) // a form that she left open can still be sent
      await signIn('linus')
      expect(await cookie(context, 'sessionid')).toBeUndefined()
      const theirs = await open('/')
      await expect(user(theirs.page)).toContainText('Linus Torvalds')
      await expect(theirs.page.getByRole('heading', {name: 'You looked up'})).toBeHidden()
      expect(await cookie(context, 'sessionid')).not.toBe(hers)
    })

    testOnce(
      'who comes after the browser was quit finds nothing either',
      async ({signIn, open, context, otherBrowser}) => {
        await signIn('ada')
        const {page} = await open('/people/grace/')
        await page.evaluate(() => (document.cookie = 'tint=teal; path=/; max-age=9999')) // of no session of Django's
        const kept = (await context.cookies()).filter(c => c.expires > 0) // what a quit browser still has
        expect(kept.map(c => c.name)).toEqual(expect.arrayContaining(['sessionid', 'csrftoken', 'tint']))
        const next = await otherBrowser()
        await next.addCookies(kept)
        await signIn('linus', next)
        for (const name of ['sessionid', 'csrftoken', 'tint']) expect(await cookie(next, name), name).toBeUndefined()
        const theirs = await open('/', next)
        await expect(user(theirs.page)).toContainText('Linus Torvalds')
        await expect(theirs.page.getByRole('heading', {name: 'You looked up'})).toBeHidden()
      },
    )

    test('nobody can say who they are', async ({signIn, context}) => {
      await signIn('linus')
      for (const name of ['Remote-User', 'remote_user', 'Remote_User', 'Remote.User']) {
        const headers = {[name]: 'ada', [name.replace(/user/i, 'Groups')]: 'admins'}
        const answer = await context.request.get(site.origin + '/', {headers})
        expect(await answer.text(), name).toContain('Linus Torvalds\n')
        const admin = await context.request.get(site.origin + '/admin/', {headers, maxRedirects: 0})
        expect(admin.status(), name).toBe(302) // to where Django's admin refuses
      }
    })
  })
}

test('over TLS, where Django compares the Referer, a form is saved as well', async ({browser}) => {
  test.setTimeout(MINUTE)
  const secure = await Site.behindTLS()
  const context = await browser.newContext({ignoreHTTPSErrors: true})
  try {
    await signInAt(secure.server, 'grace', context)
    const page = await context.newPage()
    await page.goto(secure.origin + '/people/grace/')
    await page.getByLabel('Room').fill('B 206')
    await page.getByRole('button', {name: 'Save'}).click()
    await expect(page.getByRole('status')).toHaveText('Saved.')
    const cookies = await context.cookies()
    expect(cookies.map(c => c.name)).toContain('sessionid')
    expect(cookies.filter(c => !c.secure).map(c => c.name)).toEqual([])
  } finally {
    await context.close()
    await secure.stop()
  }
})

/** Curfew tells the application of a forced logout, and that ends Django's own session. */
async function endsDjangosSession(origin: string, request: APIRequestContext, another: APIRequestContext) {
  const guard = origin + '/.curfew'
  const signIn = (where: APIRequestContext) =>
    where.post(guard + '/login', {form: {username: 'ada', password: 'ada-demo'}})
  const lookedUp = async () => (await (await request.get(origin)).text()).includes('You looked up')
  await request.get(origin + '/people/grace/')
  expect(await lookedUp()).toBe(true)
  const {csrf} = await (await request.get(guard + '/session/status')).json()
  const ordered = await request.post(guard + '/api/v1/logouts', {
    data: {user: 'ada'},
    headers: {'X-CSRF-Token': csrf, Origin: origin},
  })
  expect(ordered.status()).toBe(200)
  await signIn(another) // who has no session of Django's
  await expect // the two sign-ins, the logout and the end
    .poll(
      async () => {
        const metrics = await (await another.get(guard + '/metrics')).text()
        return Number(/curfew_outbox_sent_total{receiver="webhook"} (\d+)/.exec(metrics)?.[1])
      },
      {timeout: 15_000},
    )
    .toBeGreaterThanOrEqual(4)
  await signIn(request)
  expect(await lookedUp()).toBe(false)
}

for (const mode of ['curfew', 'nginx']) {
  test(`run.sh ${mode} starts all that is needed, and leaves nothing behind`, async ({request, playwright}) => {
    test.setTimeout(MINUTE)
    const example = await Example.start(mode)
    let left
    try {
      await request.post(example.origin + '/.curfew/login', {form: {username: 'ada', password: 'ada-demo'}})
      const page = await request.get(example.origin, {headers: {accept: 'text/html'}})
      const text = await page.text()
      expect(text).toContain('Ada Lovelace')
      expect(text).toContain('/.curfew/static/curfew.js')
      await endsDjangosSession(example.origin, request, await playwright.request.newContext())
    } finally {
      left = await example.stop()
    }
    expect(left).toEqual({files: [], processes: []})
  })
}
