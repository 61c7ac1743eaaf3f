import type {Page} from '@playwright/test'
import {html, script, tag, testWith} from './application'
import {expect} from './curfew'
import {stored, types} from './stored'

// What is typed into forms that a page's own scripts send, change or move.

/** A form that a page uses again for what it shows next. */
const reused =
  '<h1>One</h1><button>Next</button><form data-curfew-keep><input name="text" aria-label="Text"><input name="title" aria-label="Title"></form>'

const pages: Record<string, any> = {
  '/checked': html(
    'Checked',
    '<script src="/checked.js" defer></script>',
    `<form data-curfew-keep><input name="text" aria-label="Text"><button>Send</button></form><p role="status"></p>`,
  ),
  '/checked.js': script(`
    const form = document.querySelector('form')
    form.onsubmit = event => {
      event.preventDefault()
      const {value} = form.elements.text
      if (value === 'gone') form.remove()
      else if (value === 'away') setTimeout(() => location.assign('/plain'))
      else document.querySelector('p').textContent = 'That is wrong.'
    }`),
  '/one': html('One field', '', '<form data-curfew-keep><textarea name="text" aria-label="Text"></textarea></form>'),
  '/pages/1': html('Pages', '<script src="/pages.js" defer></script>', reused),
  '/pages/2': html('Pages', '<script src="/pages.js" defer></script>', reused),
  '/pages.js': script(`
    document.querySelector('button').onclick = () => {
      history.pushState(null, '', '/pages/2')
      document.querySelector('h1').textContent = 'Two'
      document.querySelector('input').value = ''
    }`),
  '/odd': html(
    'Odd',
    '<script src="/odd.js" defer></script>',
    `<form data-curfew-keep><input type="password" name="secret" aria-label="Secret"><button type="button">Show</button>
    <div contenteditable role="textbox" aria-label="Rich"><p @click="x" onclick="void 0">old</p><p data-curfew-skip>marked</p></div>
    <input name="text" aria-label="Text"></form>`,
  ),
  '/odd.js': script(`
    document.querySelector('button').onclick = () => { // as frameworks do: by another element
      const shown = document.createElement('input')
      shown.name = 'secret'
      shown.setAttribute('aria-label', 'Secret')
      document.querySelector('input').replaceWith(shown)
    }`),
  '/two': html(
    'Two forms',
    tag.replace('>', ' data-keep="form[">'),
    ['First', 'Second', 'Unmarked']
      .map(
        name => `<form ${name === 'Unmarked' ? '' : 'data-curfew-keep'}><input name="a" aria-label="${name}"></form>`,
      )
      .join(''),
  ),
  '/plain': html('Plain', '', '<p>Nothing is kept here.</p>'),
}
const test = testWith(pages)

test('what a page does not let a form send is a draft until the page has taken it', async ({signIn, openTab}) => {
  await signIn()
  const tab = await openTab('/checked')
  const {page} = tab
  const text = page.getByLabel('Text', {exact: true})
  const send = page.getByRole('button', {name: 'Send'})
  await types(text, 'wrong')
  await send.click()
  await expect(page.getByText('That is wrong.')).toBeVisible()
  await page.reload()
  await expect(text).toHaveValue('wrong')
  await text.fill('away') // it was sent, and the page goes elsewhere
  await send.click()
  await expect(page).toHaveTitle('Plain')
  await expect.poll(async () => (await stored(page)).drafts).toBe(0)
  await tab.goto('/checked')
  await text.fill('gone')
  await expect.poll(async () => (await stored(page)).drafts).toBe(1)
  await send.click() // the page has sent it, and goes on without the form
  for (const drafts of [1, 0]) await expect.poll(async () => (await stored(page)).drafts).toBe(drafts)
  await tab.goto('/plain')
  await expect.poll(async () => (await stored(page)).drafts).toBe(0)
})

test('what is typed before the key has come is kept beside what was there, though the session ends first', async ({
  server,
  signIn,
  openTab,
  context,
}) => {
  await signIn()
  const tab = await openTab('/one')
  const {page} = tab
  const text = page.getByLabel('Text', {exact: true})
  await text.fill('earlier')
  await expect.poll(async () => (await stored(page)).drafts).toBe(1)
  let answer = () => {}
  const hasEnded = new Promise<void>(resolve => (answer = resolve))
  await context.route('**/session/draft-key*', async route => {
    const response = await route.fetch()
    await hasEnded
    await route.fulfill({response})
  })
  await page.exposeFunction('tellEnd', () => answer())
  await page.addInitScript(() => document.addEventListener('curfew:expire', () => (window as any).tellEnd()))
  const asked = page.waitForRequest(/draft-key/)
  await page.reload()
  await tab.connected()
  await asked
  await text.pressSequentially('early')
  await server.forceLogout({user: 'ada'})
  await tab.signedOut(/administrator/)
  await context.unroute('**/session/draft-key*')
  await signIn()
  await expect(text).toHaveValue('early')
  await expect(page.getByText('You had typed something else in “Text”.')).toBeVisible()
  await page.getByRole('button', {name: 'Use it'}).click()
  await expect(text).toHaveValue('earlier')
})

test('a draft stays with its page where a script goes on to another in the same form', async ({signIn, openTab}) => {
  await signIn()
  const tab = await openTab('/pages/1')
  const {page} = tab
  const text = page.getByLabel('Text', {exact: true})
  await text.fill('of one')
  await expect.poll(async () => (await stored(page)).drafts).toBe(1)
  await page.getByRole('button', {name: 'Next'}).click()
  await types(page.getByLabel('Title'), 'of two')
  await expect.poll(async () => (await stored(page)).drafts).toBe(2)
  await page.reload()
  await expect(page.getByLabel('Title')).toHaveValue('of two')
  await expect(text).toHaveValue('')
  await tab.goto('/pages/1')
  await expect(text).toHaveValue('of one')
  await page.getByRole('button', {name: 'Next'}).click() // while the draft might be put back again
  await expect(page.getByText('What you typed is back.')).toHaveCount(1) // that of the next page
  await expect(page.getByLabel('Title')).toHaveValue('of two')
  await expect(text).toHaveValue('')
})

test('no secret is kept in another guise, and odd markup holds nothing up', async ({signIn, openTab}) => {
  await signIn()
  const tab = await openTab('/odd')
  const {page} = tab
  const field = (name: string) => page.getByLabel(name, {exact: true})
  await page.getByRole('button', {name: 'Show'}).click()
  await field('Secret').pressSequentially('secret')
  await field('Rich').locator('p').first().click()
  await page.keyboard.press('Home')
  await page.keyboard.type('typed ')
  await field('Rich').locator('p').last().click()
  await page.keyboard.press('End')
  await page.keyboard.type(' text')
  await types(field('Text'), 'text')
  await page.reload()
  await expect(field('Text')).toHaveValue('text')
  await expect(field('Rich')).toHaveText('typed oldmarked')
  await expect(field('Rich').locator('[onclick]')).toHaveCount(0)
  await page.getByRole('button', {name: 'Show'}).click()
  await expect(field('Secret')).toHaveValue('')
})

/** Makes the oldest draft look as if it had been typed so long ago. */
const age = (page: Page, ms: number) =>
  page.evaluate(async at => {
    await new Promise<void>(resolve => {
      const opening = indexedDB.open('curfew.drafts', 1)
      opening.onsuccess = () => {
        const transaction = opening.result.transaction('drafts', 'readwrite')
        const store = transaction.objectStore('drafts')
        const reading = store.index('at').get(IDBKeyRange.lowerBound(0))
        reading.onsuccess = () => store.put({...reading.result, at})
        transaction.oncomplete = () => resolve()
        opening.result.close()
      }
    })
    localStorage.setItem('curfew.drafts', String(at))
  }, Date.now() - ms)

test('a draft is gone after 24 hours, and what is no selector names no form', async ({signIn, openTab}) => {
  await signIn()
  const tab = await openTab('/two')
  const {page} = tab
  const drafts = async () => (await stored(page)).drafts
  const field = (name: string) => page.getByLabel(name, {exact: true})
  await field('Unmarked').fill('unmarked')
  await page.evaluate(() => {
    const {now} = Date
    ;(window as any).now = now
    Date.now = () => now() - 25 * 3_600_000
  })
  await field('First').fill('a day ago')
  await field('First').blur() // its change event comes now
  await expect.poll(drafts).toBe(1)
  await page.evaluate(() => (Date.now = (window as any).now))
  await field('Second').fill('now')
  await expect.poll(drafts).toBe(2)
  await age(page, 0) // a script that has kept it beyond its time
  await tab.goto('/plain') // no browser brings text back so
  await tab.goto('/two')
  await expect(field('Second')).toHaveValue('now')
  for (const name of ['First', 'Unmarked']) await expect(field(name)).toHaveValue('')
  await tab.goto('/plain')
  await age(page, 24 * 3_600_000 + 1_000)
  await tab.goto('/plain') // any page takes it away
  await expect.poll(drafts).toBe(1)
})
