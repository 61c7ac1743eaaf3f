import AxeBuilder from '@axe-core/playwright'
import type {Page} from '@playwright/test'
import {expect, MINUTE, test} from './curfew'

async function accessible(page: Page) {
  const {violations} = await new AxeBuilder({page: page as never})
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze()
  expect(violations.map(v => `${v.id}: ${v.nodes.map(n => n.html).join(' ')}`)).toEqual([])
}

test.use({strictCSP: false}) // axe styles the page while it measures

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme === 'dark' ? 'dark @looks' : 'light', () => {
    test.use({colorScheme})

    test('what a stranger sees passes axe', async ({page, server}) => {
      await page.goto(server.url + '/login')
      await accessible(page)
      await page.getByLabel('User name').fill('ada')
      await page.getByLabel('Password').fill('wrong')
      await page.keyboard.press('Enter')
      await expect(page.getByRole('alert')).toBeVisible()
      await accessible(page)
      await page.goto(server.url + '/nowhere')
      await accessible(page)
    })

    test('what is signed in passes axe, wide and narrow, warned, waiting and ended', async ({
      signIn,
      openTab,
      advance,
      server,
    }) => {
      await signIn()
      const tab = await openTab()
      await accessible(tab.page)
      const out = await openTab('/logout')
      await accessible(out.page)
      await out.page.close()
      await tab.page.setViewportSize({width: 320, height: 568})
      await accessible(tab.page)
      expect(await tab.page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320)
      await advance(9 * MINUTE)
      await expect(tab.warning).toBeVisible()
      await accessible(tab.page)
      await advance(MINUTE)
      await tab.waits()
      await accessible(tab.page)
      await signIn()
      await expect(tab.page.getByRole('heading', {name: 'Hello'})).toBeVisible()
      await server.forceLogout({user: 'ada', grace_ms: MINUTE})
      await server.api('POST', '/notices', {user: 'ada', message: 'The printer is back.'})
      await tab.warning.getByRole('button', {name: 'Continue working'}).click()
      await expect(tab.page.getByRole('button', {name: 'Show'})).toBeVisible()
      await accessible(tab.page)
      await advance(MINUTE)
      await tab.signedOut(/by an administrator/)
      await accessible(tab.page)
    })

    test('the plain dialog, which needs no module, passes axe', async ({context, signIn, openTab, advance}) => {
      await context.route(/\/static\/[0-9a-f]{12}\/warning\.js/, route => route.abort())
      await signIn()
      const tab = await openTab()
      await advance(9 * MINUTE)
      await expect(tab.page.locator('curfew-plain').getByRole('alertdialog')).toBeVisible()
      await accessible(tab.page)
    })
  })
}
