import {readFileSync} from 'node:fs'
import {expect, MINUTE, test} from './curfew'

const german = JSON.parse(readFileSync('locale/words/de.json', 'utf8'))

test.use({locale: 'de-AT'})

test("pages and dialogs speak the browser's language @engines", async ({page, server, signIn, openTab, advance}) => {
  await page.goto(server.url + '/login')
  await expect(page.locator('html')).toHaveAttribute('lang', 'de')
  await expect(page.getByRole('button', {name: german['login.title'], exact: true})).toBeVisible()
  await signIn()
  const tab = await openTab('/')
  await advance(9 * MINUTE)
  const dialog = tab.page.getByRole('alertdialog', {name: german['page.title']})
  await expect(dialog).toHaveAttribute('lang', 'de')
  await expect(dialog.getByRole('button', {name: german['page.stay']})).toBeFocused()
})
