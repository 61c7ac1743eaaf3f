import {mkdtemp, readdir, readFile, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {BrowserContext} from '@playwright/test'
import {FIREFOX_CHANNEL, firefoxOptions} from '../../playwright.config'
import {html, testWith} from '../application'
import {expect, MINUTE, Tab} from '../curfew'
import {stored} from '../stored'

// What a person has typed into a page that waits can be read in no storage of the page's origin. It is
// there, sealed, as a draft. The files of a real browser are searched, once it has written all that it
// keeps.

const base = testWith({
  '/form': html('Form', '', '<h1>Form</h1><form data-curfew-keep><textarea id="notes" name="notes"></textarea></form>'),
})

/** A word that compresses to nothing shorter, and is nowhere else. */
const word = () => Array.from({length: 24}, () => String.fromCharCode(97 + Math.floor(Math.random() * 26))).join('')

/**
 * Storage that pages of an origin have, by the browser's folders. Firefox has no session storage on
 * disk but in its own session store.
 */
const STORAGE = {
  chromium: /\/(IndexedDB|Local Storage|Session Storage|WebStorage|Service Worker\/CacheStorage)\//,
  firefox: /\/storage\/default\//,
}

/** The files of a profile that hold a word, as UTF-8 or UTF-16LE. */
async function filesWith(profile: string, text: string): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readdir(profile, {recursive: true, withFileTypes: true})) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const content = await readFile(path)
    if (content.includes(text, 0, 'utf8') || content.includes(text, 0, 'utf16le'))
      found.push(path.slice(profile.length))
  }
  return found
}

interface Profile {
  folder: string
  context: BrowserContext
  /** Ends the browser as a person does: it writes what it keeps. */
  quit: () => Promise<void>
}

type Engine = keyof typeof STORAGE

const test = base.extend<{open: (engine: Engine) => Promise<Profile>}>({
  open: async ({realBrowser, playwright}, use) => {
    const folders: string[] = []
    await use(async engine => {
      if (engine === 'chromium') {
        const {context, profile, quit} = await realBrowser()
        return {context, folder: profile, quit}
      }
      const folder = await mkdtemp(join(tmpdir(), 'curfew-firefox-'))
      folders.push(folder)
      const context = await playwright.firefox.launchPersistentContext(folder, {
        channel: FIREFOX_CHANNEL,
        ...firefoxOptions,
      })
      return {context, folder, quit: () => context.close()}
    })
    for (const folder of folders) await rm(folder, {recursive: true, force: true})
  },
})

for (const engine of ['chromium', 'firefox'] as const) {
  test(`what is typed into a page that waits can be read in no storage of its origin: ${engine}`, async ({
    open,
    server,
  }) => {
    const {folder, context, quit} = await open(engine)
    const tab = new Tab(await context.newPage(), server)
    await tab.goto(server.base + '/login?next=/form') // by hand: Firefox has no cookies in such a profile but its own
    await tab.page.getByLabel('User name').pressSequentially('ada')
    await tab.page.getByLabel('Password', {exact: true}).pressSequentially('ada-demo')
    await tab.page.keyboard.press('Enter')
    await expect(tab.page).toHaveTitle('Form')
    await expect.poll(() => server.story('input')).toContain('tab opened')
    const [typed, written] = [word(), word()]
    await tab.page.evaluate(async text => {
      localStorage.setItem('control', text + '-local')
      sessionStorage.setItem('control', text + '-session')
      await (await caches.open('control')).put('/control', new Response(text + '-cache'))
      await new Promise((done, fail) => {
        const opening = indexedDB.open('control', 1)
        opening.onupgradeneeded = () => opening.result.createObjectStore('texts')
        opening.onsuccess = () => {
          const transaction = opening.result.transaction('texts', 'readwrite')
          transaction.objectStore('texts').put(text + '-database', 1)
          transaction.oncomplete = done
          transaction.onerror = fail
        }
      })
    }, written)
    await tab.page.locator('#notes').pressSequentially(typed)
    await expect.poll(() => stored(tab.page).then(({drafts}) => drafts)).toBe(1)
    const [[draft]] = JSON.parse((await stored(tab.page)).text)
    await expect.poll(() => server.story('input')).toContain('activity') // before the clock moves
    await server.advance(11 * MINUTE)
    await tab.waits()
    const inStorage = async (text: string) => (await filesWith(folder, text)).filter(path => STORAGE[engine].test(path))
    const kinds = engine === 'chromium' ? ['local', 'session', 'cache', 'database'] : ['local', 'cache', 'database']
    for (const kind of kinds)
      await expect.poll(() => inStorage(`${written}-${kind}`), {message: kind, timeout: 15_000}).not.toEqual([])
    await expect.poll(() => inStorage(draft.place), {message: 'the draft', timeout: 15_000}).not.toEqual([])
    expect(await inStorage(typed)).toEqual([])
    await quit() // now it writes what it keeps
    expect(await inStorage(`${written}-local`)).not.toEqual([])
    expect(await inStorage(draft.place)).not.toEqual([])
    expect(await inStorage(typed)).toEqual([])
    console.log('files of the browser with what was typed:', await filesWith(folder, typed))
  })
}
