import {type BrowserContext} from '@playwright/test'
import {expect, MINUTE, type Server, signInAt, Tab, test as base} from './curfew'
import {Nodes} from './nodes'

const test = base.extend<{nodes: Nodes}>({
  nodes: async ({}, use) => {
    const nodes = await Nodes.start(['a', 'b'])
    await use(nodes)
    await nodes.stop()
  },
})

test.describe.configure({mode: 'default', timeout: 60_000})

/** Signs a user in and opens tabs, four or more, until each node holds one. */
async function openTabs(nodes: Nodes, context: BrowserContext, user = 'ada', least = 4): Promise<Tab[]> {
  await signInAt(nodes, user, context)
  const before = sum(await nodes.tabs())
  const tabs: Tab[] = []
  let held: Record<string, number> = {}
  while (tabs.length < least || Object.keys(held).length < nodes.nodes.length) {
    expect(tabs.length).toBeLessThan(12)
    const tab = new Tab(await context.newPage(), nodes)
    await tab.goto()
    await tab.connected()
    tabs.push(tab)
    await expect.poll(async () => sum((held = await nodes.tabs())) - before).toBe(tabs.length)
  }
  return tabs
}

/** Gives a browser the cookies of a session that no page of it has asked for. */
async function mint(node: Server, context: BrowserContext, user: string, groups: string[]) {
  const {cookie, seen} = await node.call<{cookie: string; seen: string}>('session', {user, groups})
  const fresh = new Map([cookie, seen].map(text => text.split(/=(.*)/s) as [string, string]))
  const held = (await context.cookies()).filter(({name}) => fresh.has(name))
  await context.addCookies(held.map(one => ({...one, value: fresh.get(one.name)!})))
}

const sum = (held: Record<string, number>) => Object.values(held).reduce((a, b) => a + b, 0)

test('tabs on two nodes warn, stay and end together', async ({nodes, context}) => {
  const tabs = await openTabs(nodes, context)
  const console = await context.newPage()
  await console.goto(nodes.url + '/admin')
  await expect(console.getByRole('cell', {name: /^\d+.*, [ab]$/})).toBeVisible()
  await console.close()
  await nodes.nodes[1]!.advance(9 * MINUTE)
  for (const tab of tabs) await expect(tab.warning).toBeVisible()
  await tabs[0]!.stay.click()
  for (const tab of tabs) await expect(tab.warning).toBeHidden()
  await nodes.nodes[0]!.forceLogout({user: 'ada', message: 'Please sign in again.'})
  for (const tab of tabs) await tab.signedOut('Please sign in again.')
})

test('tabs survive a rolling restart and a node that is killed', async ({nodes, context}) => {
  const tabs = await openTabs(nodes, context)
  for (const tab of tabs) await tab.note.fill('half a sentence')
  const [a, b] = nodes.nodes
  await a!.kill('SIGTERM')
  await expect.poll(() => nodes.tabs(), {timeout: 15_000}).toEqual({b: tabs.length})
  await a!.run()
  await b!.kill('SIGKILL')
  await expect.poll(async () => (await nodes.tabs()).a, {timeout: 25_000}).toBe(tabs.length)
  for (const tab of tabs) await expect(tab.note).toHaveValue('half a sentence')
  await tabs[0]!.page.getByRole('button', {name: 'Sign out'}).click()
  for (const tab of tabs.slice(1)) await tab.signedOut('You have signed out.')
})

test('pages on two nodes wait for their users, whoever signs in where', async ({nodes, context, otherBrowser}) => {
  const [a, b] = nodes.nodes as [Server, Server]
  const other = await otherBrowser()
  const theirs = {ada: await openTabs(nodes, context, 'ada', 3), grace: await openTabs(nodes, other, 'grace', 3)}
  for (const [user, tabs] of Object.entries(theirs))
    for (const [i, tab] of tabs.entries()) await tab.note.fill(`${user} ${i}`)
  const all = [...theirs.ada, ...theirs.grace]
  const end = async (node: Server) => {
    await node.advance(11 * MINUTE)
    for (const tab of all) await tab.waits()
  }
  const back = async (user: 'ada' | 'grace', timeout: number) => {
    for (const [i, tab] of theirs[user].entries()) {
      await expect(tab.note).toBeVisible({timeout})
      await expect(tab.note).toHaveValue(`${user} ${i}`)
    }
  }

  await end(b)
  await theirs.ada[0]!.page.bringToFront()
  const window = await theirs.ada[0]!.signInWindow()
  await window.getByLabel('User name').pressSequentially('ada')
  await window.getByLabel('Password').pressSequentially('ada-demo')
  await Promise.all([window.waitForEvent('close'), window.getByRole('button', {name: 'Sign in'}).click()])
  await back('ada', 2_000)
  for (const tab of theirs.grace) await tab.waits()
  const another = await other.newPage()
  await another.goto(nodes.url + '/login')
  await another.getByLabel('User name').fill('grace')
  await another.getByLabel('Password').fill('grace-demo')
  await another.getByRole('button', {name: 'Sign in'}).click()
  await back('grace', 2_000)
  await another.close()

  await end(a)
  await mint(a, context, 'ada', ['staff', 'admins'])
  await back('ada', 5_000)
  await b.forceLogout({user: 'grace', message: 'Please sign in again.'})
  for (const tab of theirs.grace) await expect(tab.page).toHaveURL(/\/login\?next=/, {timeout: 30_000})
  await back('ada', 1_000)
})
