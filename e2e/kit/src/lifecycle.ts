import {expect, type Page} from '@playwright/test'
import {isReal} from './chromium.js'
import {seen} from './look.js'

/**
 * Freezes a page of a real browser, as browsers do with tabs that nobody looks at: none of its code runs, and what it is
 * told waits. It has to be hidden for that, so another tab is opened in front of it.
 * @returns thaws it, and shows it
 */
export async function freeze(page: Page): Promise<() => Promise<void>> {
  const context = page.context()
  if (!isReal(context)) {
    throw new Error("freeze: Playwright's own browsers show all tabs, which cannot be frozen then: use realBrowser()")
  }
  const front = await context.newPage()
  await front.bringToFront()
  await expect.poll(() => page.evaluate(() => document.hidden), {message: 'freeze: the page is hidden'}).toBe(true)
  const devtools = await context.newCDPSession(page)
  await devtools.send('Page.setWebLifecycleState', {state: 'frozen'})
  await expect.poll(async () => (await seen(page))?.frozen, {message: 'freeze: the page has heard of it'}).toBe(true)
  return async () => {
    await devtools.send('Page.setWebLifecycleState', {state: 'active'})
    await page.bringToFront()
    await devtools.detach()
    await front.close()
  }
}

/** Goes back as the browser's button does. The page may be gone before a call in it could answer. */
export const goBack = (page: Page): Promise<void> =>
  page.evaluate(() => {
    setTimeout(() => history.back())
  })

/**
 * Goes back, to a page that the browser has kept as it was. Fails where the browser has loaded it anew,
 * and says why if the browser does.
 */
export async function goBackCached(page: Page): Promise<void> {
  await page.evaluate(() => void ((window as any).curfewLeft = true))
  await goBack(page)
  const state = () =>
    page.evaluate(() => {
      if ((window as any).curfewLeft || document.readyState !== 'complete') return 'on its way'
      if ((window as any).curfewKit?.restored) return 'out of the cache'
      const [entry] = performance.getEntriesByType('navigation') as any[]
      return 'loaded anew ' + JSON.stringify(entry?.notRestoredReasons?.reasons ?? [])
    })
  let last = ''
  const look = async () => (last = await state().catch(() => 'on its way'))
  await expect.poll(look, {message: 'goBackCached: there is a page to go back to'}).not.toBe('on its way')
  if (last !== 'out of the cache') throw new Error(`goBackCached: the browser had not kept the page: ${last}. ${WHY}`)
}

const WHY =
  "Chromium keeps pages only with launchOptions: {ignoreDefaultArgs: ['--disable-back-forward-cache']}, and none " +
  'that are `no-store`, as those are that pass through Curfew.'
