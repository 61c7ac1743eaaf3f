import type {Page} from '@playwright/test'
import {html, testWith} from '../application'
import {expect, MINUTE, Tab} from '../curfew'
import {report, ROUNDS, timeFor} from './rounds'

// Five tabs wait and come back, again and again, in real time and without a reload. Four of them are
// hidden.

const TABS = 5
const paths = Array.from({length: TABS}, (_, i) => `/page${i}`)

const page = html(
  'Report',
  '<style>#tall, #inner p { height: 4000px } #inner { height: 100px; overflow: auto }</style>',
  `<h1>Report</h1><label>Notes <textarea id="notes"></textarea></label>
<div id="inner"><p>inner</p></div><div id="tall">tall</div>`,
)

const test = testWith(Object.fromEntries(paths.map(path => [path, page])))

/** What a person has left in a tab. */
const state = (page: Page) =>
  page.evaluate(() => {
    const notes = document.getElementById('notes') as HTMLTextAreaElement
    return {
      typed: notes.value,
      selected: [notes.selectionStart, notes.selectionEnd],
      focus: document.activeElement?.id,
      scroll: [scrollX, scrollY],
      inner: document.getElementById('inner')!.scrollTop,
      loaded: performance.timeOrigin, // another one after a reload
    }
  })

/** Notes when the page has come back and shows its text. */
const stopwatch = () => {
  document.addEventListener('curfew:resume', () => {
    if (document.body.innerText.includes('Report')) (window as any).backAt = performance.timeOrigin + performance.now()
  })
}

/** Signs in in the window that a person opens from a page that waits. Returns when the button was pressed. */
async function signInByWindow(tab: Tab): Promise<number> {
  await tab.page.bringToFront()
  const window = await tab.signInWindow()
  await window.getByLabel('User name').fill('ada')
  await window.getByLabel('Password').fill('ada-demo')
  const closed = window.waitForEvent('close')
  const pressed = await window.evaluate(() => {
    const at = performance.timeOrigin + performance.now()
    document.querySelector('form')!.requestSubmit()
    return at
  })
  await closed
  return pressed
}

test('all tabs come back within a second of a sign-in, scroll and focus as before', async ({
  realBrowser,
  signIn,
  server,
}) => {
  test.setTimeout(timeFor(15_000))
  const {context} = await realBrowser()
  await context.addInitScript(stopwatch)
  await signIn('ada', context)
  const tabs = [new Tab(context.pages()[0]!, server)]
  while (tabs.length < TABS) tabs.push(new Tab(await context.newPage(), server))
  for (const [i, tab] of tabs.entries()) {
    await tab.goto(paths[i])
    await tab.connected()
    await tab.page.evaluate(n => {
      const notes = document.getElementById('notes') as HTMLTextAreaElement
      notes.focus()
      notes.value = `half a sentence ${n}`
      notes.setSelectionRange(n, n + 3)
      scrollTo(0, 500 + n)
      document.getElementById('inner')!.scrollTop = 300 + n
    }, i)
  }
  const before = await Promise.all(tabs.map(tab => state(tab.page)))
  expect(before[1]).toMatchObject({scroll: [0, 501], inner: 301, focus: 'notes', typed: 'half a sentence 1'})
  expect(await Promise.all(tabs.map(tab => tab.page.evaluate(() => document.hidden)))).toContain(true)
  const took: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    await server.advance(11 * MINUTE)
    for (const tab of tabs) await expect(tab.waiting).toBeAttached()
    for (const tab of tabs) await tab.page.evaluate(() => ((window as any).backAt = 0))
    const pressed = await signInByWindow(tabs[round % TABS]!)
    for (const tab of tabs) {
      await expect.poll(() => tab.page.evaluate(() => (window as any).backAt)).toBeGreaterThan(0)
      took.push((await tab.page.evaluate(() => (window as any).backAt)) - pressed)
    }
    expect(await Promise.all(tabs.map(tab => state(tab.page))), `round ${round}`).toEqual(before)
  }
  expect(took).toHaveLength(TABS * ROUNDS)
  expect(report('sign-in to page', took)).toBeLessThan(1_000)
})
