import {readFileSync} from 'node:fs'
import type {BrowserContext, Page} from '@playwright/test'
import {isolatedText} from '../static/texts.js'
import {expect, MINUTE, test} from './curfew'

const words = (language: string) => JSON.parse(readFileSync(`locale/words/${language}.json`, 'utf8'))
const german = words('de')

test.use({locale: 'de-AT'})

test("pages and dialogs speak the browser's language @engines", async ({page, server, signIn, openTab, advance}) => {
  await page.goto(server.url + '/login')
  await expect(page.locator('html')).toHaveAttribute('lang', 'de')
  await expect(page.getByRole('button', {name: german['login.title'], exact: true})).toBeVisible()
  await signIn()
  const tab = await openTab('/')
  await whole(tab.page)
  await advance(9 * MINUTE)
  const dialog = tab.page.getByRole('alertdialog', {name: german['page.title']})
  await expect(dialog).toHaveAttribute('lang', 'de')
  await expect(dialog.getByRole('button', {name: german['page.stay']})).toBeFocused()
})

/** The module is there, in whatever language it speaks. */
const whole = (page: Page) => expect(page.locator('curfew-warning')).toBeAttached()

/** What the warning of a page speaks. */
async function speaks(page: Page, language: string) {
  const dialog = page.getByRole('alertdialog', {name: words(language)['page.title']})
  await expect(dialog).toHaveAttribute('lang', language)
  await expect(dialog).toHaveAttribute('dir', language === 'ar' ? 'rtl' : 'ltr')
}

/** Has every page name a language in its tag. */
const tagged = (context: BrowserContext, language: string) =>
  context.addInitScript(language => {
    const name = () => document.querySelector('script[data-socket]')?.setAttribute('data-lang', language)
    new MutationObserver(name).observe(document, {subtree: true, childList: true})
  }, language)

test("the tag's language goes before the chosen one, and that before the browser's @engines", async ({
  context,
  signIn,
  openTab,
  advance,
  server,
}) => {
  await signIn()
  const chosen = await openTab('/?lang=ar')
  await whole(chosen.page)
  const kept = await openTab('/')
  await whole(kept.page)
  await tagged(context, 'ja')
  const marked = await openTab('/')
  await whole(marked.page)
  await advance(9 * MINUTE)
  await speaks(chosen.page, 'ar')
  await speaks(kept.page, 'ar')
  await speaks(marked.page, 'ja')
  expect((await context.cookies()).find(cookie => cookie.name === '__Host-curfew-lang')?.value).toBe('ar')
  await server.reset()
})

test('a language that is unknown is passed over', async ({context, signIn, openTab, advance}) => {
  await signIn()
  await tagged(context, 'tlh')
  const tab = await openTab('/?lang=xx')
  await whole(tab.page)
  await advance(9 * MINUTE)
  await speaks(tab.page, 'de')
})

test('words that cannot be fetched are English ones', async ({context, signIn, openTab, advance}) => {
  await context.route(/words\.json/, route => route.abort())
  await signIn()
  const tab = await openTab('/')
  await whole(tab.page)
  await advance(9 * MINUTE)
  await speaks(tab.page, 'en')
})

/** No request of a page is given up. */
const patient = (context: BrowserContext) =>
  context.addInitScript(() => {
    AbortSignal.timeout = () => new AbortController().signal
  })

test.describe('in English', () => {
  test.use({locale: 'en-GB'})

  test('nobody waits for words that are there', async ({context, signIn, openTab, advance}) => {
    await patient(context)
    await context.route(/words\.json/, () => {}) // without an answer
    await signIn()
    const tab = await openTab('/')
    await whole(tab.page)
    await advance(9 * MINUTE)
    await speaks(tab.page, 'en')
  })

  test.describe('where it is not offered', () => {
    test.use({flags: ['--languages', 'de,fr']})

    test('the page changes to what is', async ({context, signIn, openTab, advance}) => {
      await patient(context)
      let answer = () => {}
      const held = new Promise<void>(resolve => (answer = resolve))
      await context.route(/words\.json/, async route => {
        await held
        await route.continue()
      })
      await signIn()
      const tab = await openTab('/')
      await whole(tab.page)
      answer()
      await expect(tab.page.locator('curfew-panel .panel')).toHaveAttribute('lang', 'de')
      await advance(9 * MINUTE)
      await speaks(tab.page, 'de')
      await expect(tab.page.getByRole('button', {name: german['page.stay']})).toBeVisible()
    })
  })
})

test('the dialog that needs no module is English, and says so', async ({context, signIn, openTab, advance}) => {
  await context.route(/\/static\/[0-9a-f]{12}\/warning\.js/, route => route.abort())
  await signIn()
  const tab = await openTab('/?lang=ar')
  await expect(tab.page.locator('html')).toHaveAttribute('dir', 'rtl')
  await advance(9 * MINUTE)
  const dialog = tab.page.locator('curfew-plain').getByRole('alertdialog', {name: 'Your session is about to end'})
  await expect(dialog).toHaveAttribute('lang', 'en')
  await expect(dialog).toHaveAttribute('dir', 'ltr')
})

test('server and browser choose the same plural form @engines', async ({page}) => {
  const table: Record<string, {categories: string[]; chosen: string}> = JSON.parse(
    readFileSync('locale/testdata/plurals.json', 'utf8'),
  )
  expect(Object.keys(table)).toHaveLength(13)
  const wrong = await page.evaluate(
    table =>
      Object.entries(table).flatMap(([language, {categories, chosen}]) => {
        const rules = new Intl.PluralRules(language)
        const own = [...rules.resolvedOptions().pluralCategories].sort()
        const numbers = [...Array(1_001).keys(), 1_000_000]
        const forms = numbers.map(n => categories.indexOf(rules.select(n))).join('')
        const is = forms === chosen && own.join() === [...categories].sort().join()
        return is ? [] : [language]
      }),
    table,
  )
  expect(wrong).toEqual([])
})

test('server and browser isolate the same names', () => {
  const cases = JSON.parse(readFileSync('locale/testdata/isolated.json', 'utf8'))
  for (const {dir, value, want} of cases) expect(isolatedText(value, dir), JSON.stringify(value)).toBe(want)
})

test.describe('some languages', () => {
  test.use({flags: ['--languages', 'de,fr']})

  test('one that is not offered is passed over, and English is no choice', async ({
    context,
    signIn,
    openTab,
    advance,
  }) => {
    await signIn()
    const other = await openTab('/?lang=es')
    await whole(other.page)
    await tagged(context, 'fr')
    const marked = await openTab('/?lang=en')
    await whole(marked.page)
    await advance(9 * MINUTE)
    await speaks(other.page, 'de')
    await speaks(marked.page, 'fr')
    expect((await context.cookies()).map(cookie => cookie.name)).not.toContain('__Host-curfew-lang')
  })
})
