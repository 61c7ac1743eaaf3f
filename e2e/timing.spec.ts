import type {BrowserContext, Page} from '@playwright/test'
import {expect, Server, signInAt, Tab, test} from './curfew'
import {Slapd} from './slapd'

// What a person sees, in real time: no clock is moved here. This project runs alone, one test after
// the other.

test.describe.configure({mode: 'serial'})
test.use({flags: ['--warn-after', '8s', '--expire-after', '11s', '--close-grace', '0']})

const TABS = 5

/** Notes when the page warns and when it is blank, where the next page of the tab can read it. */
const stopwatch = () => {
  for (const name of ['warn', 'expire']) {
    document.addEventListener('curfew:' + name, () => {
      const blank = document.body.innerText.trim() === ''
      if (name === 'warn' || blank)
        sessionStorage.setItem('seen-' + name, String(performance.timeOrigin + performance.now()))
    })
  }
}

async function seenAt(page: Page, name: string) {
  const at = await page.evaluate(key => sessionStorage.getItem(key), 'seen-' + name)
  expect(at, `the stopwatch has seen "${name}"`).not.toBeNull()
  return Number(at)
}

/**
 * When the session ends by the server's word, on the clock that all pages of this machine share.
 */
async function deadlines(page: Page) {
  return page.evaluate(async () => {
    const asked = performance.timeOrigin + performance.now()
    const {warn_in_ms, expire_in_ms} = await (await fetch('/session/status')).json()
    const answered = performance.timeOrigin + performance.now()
    return {warn: (asked + answered) / 2 + warn_in_ms, expire: (asked + answered) / 2 + expire_in_ms}
  })
}

function report(what: string, lateness: number[]) {
  const sorted = [...lateness].sort((a, b) => a - b)
  console.log(
    `${what}: first ${sorted[0]!.toFixed(1)} ms, last ${sorted.at(-1)!.toFixed(1)} ms, in ${sorted.length} tabs`,
  )
  return {first: sorted[0]!, last: sorted.at(-1)!, spread: sorted.at(-1)! - sorted[0]!}
}

async function openTabs(context: BrowserContext, server: Server) {
  await context.addInitScript(stopwatch)
  const tabs = [new Tab(context.pages()[0]!, server)]
  while (tabs.length < TABS) tabs.push(new Tab(await context.newPage(), server))
  for (const tab of tabs) await tab.goto()
  for (const tab of tabs) await tab.connected()
  return tabs
}

test('five tabs, four of them hidden, warn and are blank on time and together', async ({
  realBrowser,
  signIn,
  server,
}) => {
  const {context} = await realBrowser()
  await signIn('ada', context)
  const tabs = await openTabs(context, server)
  expect(await Promise.all(tabs.map(tab => tab.page.evaluate(() => document.hidden)))).toContain(true)
  const {csrf} = await (await context.request.get(server.url + '/session/status')).json()
  await context.request.post(server.url + '/session/extend', {headers: {'X-CSRF-Token': csrf}}) // all deadlines begin anew
  const due = await deadlines(tabs[0]!.page)
  for (const tab of tabs) await expect(tab.waiting).toBeVisible({timeout: 20_000})
  const warned = report(
    'deadline to warning',
    await Promise.all(tabs.map(async tab => (await seenAt(tab.page, 'warn')) - due.warn)),
  )
  const ended = report(
    'deadline to blank',
    await Promise.all(tabs.map(async tab => (await seenAt(tab.page, 'expire')) - due.expire)),
  )
  for (const {first, last, spread} of [warned, ended]) {
    expect(first).toBeGreaterThan(-60)
    expect(last).toBeLessThan(250)
    expect(spread).toBeLessThan(100)
  }
})

test('a sign-out blanks the other tabs at once', async ({realBrowser, signIn, server}) => {
  const {context} = await realBrowser()
  await signIn('ada', context)
  const tabs = await openTabs(context, server)
  const [one, ...others] = tabs
  await one!.page.evaluate(() => {
    const button = [...document.querySelectorAll('button')].find(b => b.textContent === 'Sign out')!
    sessionStorage.setItem('pressed', String(performance.timeOrigin + performance.now()))
    button.click()
  })
  for (const tab of tabs) await expect(tab.page).toHaveURL(/\/login/)
  const pressed = Number(await one!.page.evaluate(() => sessionStorage.getItem('pressed')))
  const {last} = report(
    'sign-out to blank',
    await Promise.all(others.map(async tab => (await seenAt(tab.page, 'expire')) - pressed)),
  )
  expect(last).toBeLessThan(300)
})

for (const {mode, flags, limit} of [
  {mode: 'by syncrepl', flags: ['--ldap-watch', 'syncrepl'], limit: 1_000},
  {mode: 'by polling', flags: ['--ldap-watch', 'poll', '--ldap-poll-every', '1s'], limit: 2_000},
]) {
  test(`a lock in the directory blanks tabs in time, ${mode}`, async ({realBrowser}) => {
    const slapd = await Slapd.start()
    const server = await Server.start(...slapd.flags, ...flags)
    try {
      const {context} = await realBrowser()
      await signInAt(server, 'linus', context)
      const tabs = await openTabs(context, server)
      const order = Date.now() // before the command that changes the entry is even started
      await slapd.lock('linus')
      for (const tab of tabs) await expect(tab.page).toHaveURL(/\/login/)
      const {first, last} = report(
        `lock to blank ${mode}`,
        await Promise.all(tabs.map(async tab => (await seenAt(tab.page, 'expire')) - order)),
      )
      expect(first).toBeGreaterThan(0)
      expect(last).toBeLessThan(limit)
    } finally {
      await server.stop()
      await slapd.stop()
    }
  })
}
