import {expect, type Locator, type Page} from '@playwright/test'

/**
 * What pages of this origin have stored, as far as a script can read it: how many drafts that are not
 * set aside, when the newest was typed, and the text of all.
 */
export const stored = (page: Page) =>
  page.evaluate(async () => {
    const drafts = await new Promise<any[]>((resolve, reject) => {
      const opening = indexedDB.open('curfew.drafts', 1)
      opening.onupgradeneeded = () => opening.transaction!.abort() // there are none yet, and no database
      opening.onerror = () => (opening.error?.name === 'AbortError' ? resolve([]) : reject(opening.error))
      opening.onsuccess = () => {
        const reading = opening.result.transaction('drafts').objectStore('drafts').getAll()
        reading.onsuccess = () => resolve(reading.result)
        opening.result.close() // once that is done
      }
    })
    const decode = (bytes: ArrayBuffer) => new TextDecoder('latin1').decode(bytes)
    const texts = drafts.map(draft => ({...draft, iv: decode(draft.iv), sealed: decode(draft.sealed)}))
    return {
      drafts: drafts.filter(draft => !draft.submitted).length,
      newest: Math.max(0, ...drafts.map(draft => draft.at)),
      text: JSON.stringify([texts, {...localStorage}, {...sessionStorage}]),
    }
  })

/** The page has the key of its user's drafts: what is typed from now on is kept, whatever comes. */
export const keeps = (page: Page) =>
  page.waitForFunction(() => performance.getEntriesByType('resource').some(({name}) => name.includes('draft-key')))

/**
 * Does something that changes a draft, and waits until that is stored: a page that is loaded anew, or
 * closed, within the moment that this takes loses it.
 */
export async function stores(page: Page, deed: () => Promise<unknown>): Promise<void> {
  const before = await page.evaluate(() => Date.now())
  await deed()
  await expect.poll(async () => (await stored(page)).newest).toBeGreaterThanOrEqual(before)
}

/** Types a text, and waits until it is stored to its last letter. */
export async function types(field: Locator, text: string): Promise<void> {
  await field.pressSequentially(text.slice(0, -1))
  await stores(field.page(), () => field.pressSequentially(text.slice(-1)))
}
