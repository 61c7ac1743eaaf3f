import {type BrowserContext} from '@playwright/test'
import {expect, MINUTE, signInAt, Tab, test as base} from './curfew'
import {Nodes} from './nodes'

const test = base.extend<{nodes: Nodes}>({
  nodes: async ({}, use) => {
    const nodes = await Nodes.start(['a', 'b'])
    await use(nodes)
    await nodes.stop()
  },
})

test.describe.configure({mode: 'default', timeout: 60_000})

/** Signs ada in and opens tabs, four or more, until each node holds one. */
async function openTabs(nodes: Nodes, context: BrowserContext): Promise<Tab[]> {
  await signInAt(nodes, 'ada', context)
  const tabs: Tab[] = []
  let held: Record<string, number> = {}
  while (tabs.length < 4 || Object.keys(held).length < nodes.nodes.length) {
    expect(tabs.length).toBeLessThan(12)
    const tab = new Tab(await context.newPage(), nodes)
    await tab.goto()
    await tab.connected()
    tabs.push(tab)
    await expect.poll(async () => sum((held = await nodes.tabs()))).toBe(tabs.length)
  }
  return tabs
}

const sum = (held: Record<string, number>) => Object.values(held).reduce((a, b) => a + b, 0)

test('tabs on two nodes warn, stay and end together', async ({nodes, context}) => {
  const tabs = await openTabs(nodes, context)
  const console = await context.newPage()
  await console.goto(nodes.url + '/admin')
  await expect(console.getByRole('cell', {name: /^\d+ \([ab]\)$/})).toBeVisible()
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
