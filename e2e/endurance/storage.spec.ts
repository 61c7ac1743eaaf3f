import {readdir, readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {html, testWith} from '../application'
import {expect, MINUTE, Tab} from '../curfew'
import {stored} from '../stored'

// What a person has typed into a page that waits can be read in no storage of the page's origin. It is
// there, sealed, as a draft. The files of a real browser are searched, once it has written all that it
// keeps.

const test = testWith({
  '/form': html('Form', '', '<h1>Form</h1><form data-curfew-keep><textarea id="notes" name="notes"></textarea></form>'),
})

/** A word that compresses to nothing shorter, and is nowhere else. */
const word = () => Array.from({length: 24}, () => String.fromCharCode(97 + Math.floor(Math.random() * 26))).join('')

/** Storage that pages of an origin have, by the browser's folders. */
const STORAGE = /\/(IndexedDB|Local Storage|Session Storage|WebStorage|Service Worker\/CacheStorage)\//

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

test('what is typed into a page that waits can be read in no storage of its origin', async ({
  realBrowser,
  signIn,
  server,
}) => {
  const real = await realBrowser()
  await signIn('ada', real.context)
  const tab = new Tab(real.context.pages()[0]!, server)
  await tab.goto('/form')
  await tab.connected()
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
  await server.advance(11 * MINUTE)
  await tab.waits()
  const inStorage = async (text: string) => (await filesWith(real.profile, text)).filter(path => STORAGE.test(path))
  for (const kind of ['local', 'session', 'cache', 'database'])
    await expect.poll(() => inStorage(`${written}-${kind}`), {message: kind, timeout: 15_000}).not.toEqual([])
  await expect.poll(() => inStorage(draft.place), {message: 'the draft', timeout: 15_000}).not.toEqual([])
  expect(await inStorage(typed)).toEqual([])
  await real.quit() // now it writes what it keeps
  expect(await inStorage(`${written}-local`)).not.toEqual([])
  expect(await inStorage(draft.place)).not.toEqual([])
  expect(await inStorage(typed)).toEqual([])
  console.log('files of the browser with what was typed:', await filesWith(real.profile, typed))
})
