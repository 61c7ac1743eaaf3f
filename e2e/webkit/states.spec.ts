import {readFile} from 'node:fs/promises'
import {MINUTE} from '../curfew'
import {Site} from './site'
import {expect, type Tab, test as base, useServer} from './webkit'

// Pages that WebKit keeps for Back, and tabs that nobody sees.

const PAGES = {
  '/records': `<h1>Records</h1><a href="/other">Another page</a> <a href="/public">Public page</a>
    <div id="box" style="height: 40px; overflow: auto"><p style="height: 400px">A long list</p></div>
    <label for="remark">Remark</label> <textarea id="remark"></textarea>
    <iframe title="Part" src="/part" style="width: 300px; height: 80px"></iframe>`,
  '/part': '<label for="field">In a frame</label> <input id="field">',
  '/other': '<h1>Another page</h1>',
  '/public': '<h1>Public page</h1>',
  '/empty': '',
  '/modal': `<dialog style="background: red; visibility: visible !important">
      <label for="field">In a dialog</label> <input id="field"></dialog>
    <script>document.querySelector('dialog').showModal()</script>`,
}

const test = base.extend<{}, {site: Site}>({
  site: [
    async ({certificate: {cert, key}}, use) => {
      const site = await Site.start({cert: await readFile(cert), key: await readFile(key)}, PAGES)
      await use(site)
      await site.stop()
    },
    {scope: 'worker'},
  ],
  server: async ({site}, use, info) => {
    await useServer(site.server, use, info)
  },
})

test('a page kept for Back is blank, waits, and comes back', async ({server, openTab}) => {
  const tab = await openTab('/login?next=/records')
  await tab.signIn('ada')
  await tab.type('Remark', 'typed')
  await followLink(tab, 'Another page')
  await tab.isGuarded()
  await server.advance(11 * MINUTE)
  await tab.waits()
  await tab.window.back()
  await tab.waits()
  expect(await tab.window.evaluate(() => sessionStorage.shown)).toBe('from the cache: ')
  const other = await openTab('/login')
  await other.signIn('ada')
  await tab.has('Remark', 'typed')
})

test('a page kept for Back is blank and leaves after a forced logout', async ({server, openTab}) => {
  const tab = await openTab('/login?next=/records')
  await tab.signIn('ada')
  await tab.type('Remark', 'typed')
  await followLink(tab, 'Public page')
  await server.forceLogout({user: 'ada'}) // no page of Curfew's tells it: that takes others out of the cache
  await tab.window.back()
  await tab.says(/administrator/)
  expect(await tab.window.url()).toBe(server.url + '/login?next=%2Frecords')
  expect(await tab.window.evaluate(() => sessionStorage.shown)).toBe('from the cache: ')
})

test('a page of an application shows nothing while it waits, and comes back as it was', async ({server, openTab}) => {
  const empty = await openTab('/login?next=/empty')
  await empty.signIn('ada')
  const [records, modal] = [await openTab('/records'), await openTab('/modal')]
  for (const tab of [empty, records, modal]) await tab.isGuarded()
  await modal.type('In a dialog', 'one')
  await records.window.evaluate(() => {
    document.getElementById('box')!.scrollTop = 90
    document.querySelector('iframe')!.contentDocument!.querySelector('input')!.focus()
  })
  await records.window.keys('two')
  await records.window.evaluate(noteFrame)
  await server.advance(11 * MINUTE)
  for (const tab of [empty, records, modal]) await tab.waits()
  for (const {window} of [empty, records, modal]) await window.evaluate(hideDialog)
  for (const {window} of [records, modal]) {
    // Polled, since a picture may be older than the last change.
    const isAlike = async () => (await window.screenshot()) === (await empty.window.screenshot())
    await expect.poll(isAlike, 'the picture is that of an empty page').toBe(true)
  }
  const other = await openTab('/login')
  await other.signIn('ada')
  await records.shows('heading', 'Records')
  expect(await records.window.evaluate(() => (window as any).noted)).toBe('two, focused') // the driver moves it
  expect(await records.window.evaluate(() => document.getElementById('box')!.scrollTop)).toBe(90)
  await modal.has('In a dialog', 'one')
  await modal.focuses('textbox', 'In a dialog')
})

/** Goes on by a link. When the page is shown again, it notes what of it is to be seen at first. */
async function followLink(tab: Tab, name: string) {
  await tab.isGuarded()
  await tab.window.evaluate(() => {
    window.addEventListener('pageshow', ({persisted}) => {
      sessionStorage.shown = (persisted ? 'from the cache: ' : 'anew: ') + document.body.innerText.trim()
    })
  })
  await tab.click('link', name)
  await tab.shows('heading', name)
}

/** Notes what the field in the frame has and whether it has the focus, as soon as the page goes on. */
function noteFrame() {
  document.addEventListener('curfew:resume', () => {
    const frame = document.querySelector('iframe')!
    const field = frame.contentDocument!.querySelector('input')!
    const isFocused = document.activeElement === frame && frame.contentDocument!.activeElement === field
    ;(window as any).noted = field.value + (isFocused ? ', focused' : '')
  })
}

/** Leaves only what is behind the dialog of a page that waits. */
function hideDialog() {
  const dialog = document.querySelector('curfew-waiting')!.shadowRoot!.querySelector('dialog')!
  dialog.style.setProperty('display', 'none', 'important')
}
