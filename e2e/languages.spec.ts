import {expect, MINUTE, test} from './curfew'

test.use({locale: 'de-AT'})

test("pages and dialogs speak the browser's language @engines", async ({page, server, signIn, openTab, advance}) => {
  await page.goto(server.url + '/login')
  await expect(page.locator('html')).toHaveAttribute('lang', 'de')
  await expect(page.getByRole('heading')).toHaveText('Anmelden')
  await signIn()
  const tab = await openTab('/')
  await advance(9 * MINUTE)
  const dialog = tab.page.getByRole('alertdialog', {name: 'Ihre Sitzung endet gleich'})
  await expect(dialog).toHaveAttribute('lang', 'de')
  await expect(dialog.getByRole('button', {name: 'Angemeldet bleiben'})).toBeFocused()
})
