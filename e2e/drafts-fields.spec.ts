import type {Page} from '@playwright/test'
import {html, testWith} from './application'
import {expect, type Server, type Tab} from './curfew'
import {keeps, types} from './stored'

// What a person enters into the forms of an application, field by field, and how it comes back.

const isBack = 'What you typed is back.'

const every = html(
  'Every field',
  '',
  `<form id="every" data-curfew-keep method="post" action="/public/saved">
  <input name="text" aria-label="Text"><input name="twice" aria-label="First"><input name="twice" aria-label="Second">
  <input aria-label="Nameless"><textarea name="area" aria-label="Area">as it was</textarea>
  <select name="one" aria-label="One"><option>a<option>b<option>c</select>
  <select name="many" multiple aria-label="Many"><option>a<option>b<option>c</select>
  <label><input type="checkbox" name="tick" value="x">X</label><label><input type="checkbox" name="tick" value="y" checked>Y</label>
  <label><input type="radio" name="choice" value="p" checked>P</label><label><input type="radio" name="choice" value="q">Q</label>
  <input type="date" name="day" aria-label="Day">
  <div contenteditable role="textbox" aria-label="Rich">old</div>
  <input type="password" name="secret" aria-label="Password" autocomplete="off">
  <input name="code" autocomplete="one-time-code" aria-label="Code"><input name="card" autocomplete="section-a cc-number" aria-label="Card">
  <input name="now" autocomplete="current-password" aria-label="Now"><input name="new" autocomplete="new-password" aria-label="New">
  <input name="skip" data-curfew-skip aria-label="Skip"><div data-curfew-skip><input name="below" aria-label="Below"></div>
  <input name="elements"><input name="id"><input name="name"><input type="hidden" name="csrf" value="1"><input type="file" name="file">
  </form><input form="every" name="outside" aria-label="Outside"><input name="loose" aria-label="Loose">
  <form><input name="unkept" aria-label="Unkept"></form>`,
)

/** A page with one field. @param value what the application has for it */
const one = (value: string, more = '') =>
  html(
    'One field',
    '',
    `<form data-curfew-keep method="post" action="/saved"><textarea name="text" aria-label="Text">${value}</textarea>
    <button>Send</button><button type="reset">Reset</button></form>${more}`,
  )

const pages: Record<string, string> = {
  '/every': every,
  '/one': one('old'),
  '/plain': html('Plain', '', '<p>Nothing is kept here.</p>'),
  '/saved': html('Saved', '', '<p>It is saved.</p>'),
  '/frame': html('Around', '', '<iframe src="/one" title="Inner"></iframe>'),
  '/late': html('Late', '<script src="/late.js" defer></script>', '<button>Open</button><main></main>'),
}
const test = testWith(pages)

/** Ends all sessions of the user, and has them sign in again: the tab's sign-in page goes on by itself. */
async function endAndSignIn(tab: Tab, server: Server, signIn: (user?: string) => Promise<unknown>) {
  await server.forceLogout({user: 'ada'})
  await tab.signedOut(/administrator/)
  await signIn('ada')
  await expect(tab.page).not.toHaveURL(/login/)
}

/** All that the origin stores, as one text. */
const stored = (page: Page) =>
  page.evaluate(async () => {
    const all: unknown[] = [{...localStorage}, {...sessionStorage}, await caches.keys()]
    for (const {name = ''} of await indexedDB.databases()) {
      const database = await new Promise<IDBDatabase>(resolve => {
        const request = indexedDB.open(name)
        request.onsuccess = () => resolve(request.result)
      })
      for (const store of database.objectStoreNames) {
        const request = database.transaction(store).objectStore(store).getAll()
        await new Promise(resolve => (request.onsuccess = resolve))
        for (const record of request.result) {
          const bytes = new Uint8Array(record.sealed)
          all.push(store, record, new TextDecoder('latin1').decode(bytes), new TextDecoder('utf-16').decode(bytes))
        }
      }
      database.close()
    }
    return JSON.stringify(all)
  })

test('every kind of field comes back, no secret does, and storage tells nothing @engines', async ({
  server,
  signIn,
  openTab,
}) => {
  await signIn()
  const tab = await openTab('/every?query')
  const {page} = tab
  const field = (name: string) => page.getByLabel(name, {exact: true})
  const texts = ['Text', 'First', 'Second', 'Nameless', 'Area', 'Outside']
  const secrets = ['Password', 'Code', 'Card', 'Now', 'New', 'Skip', 'Below', 'Loose', 'Unkept']
  for (const name of [...texts, ...secrets]) await field(name).fill('Typed ' + name)
  await field('Day').fill('2026-11-26')
  await field('Password').evaluate((e: HTMLInputElement) => (e.type = 'text'))
  await field('Password').press('End')
  await field('Password').pressSequentially(' shown')
  await field('One').selectOption('b')
  await field('Many').selectOption(['a', 'c'])
  await field('X').check()
  await field('Y').uncheck()
  await field('Q').check()
  await field('Rich').press('ControlOrMeta+a')
  await field('Rich').pressSequentially('<b>typed</b>')
  await expect.poll(() => stored(page)).toContain('"sealed"')
  const all = await stored(page)
  for (const word of ['Typed', 'typed', 'every', 'query', 'area', 'twice', 'outside', 'ada'])
    expect(all).not.toContain(word)

  await page.addInitScript(() => {
    const told: string[] = ((window as any).told = [])
    for (const type of ['input', 'change'])
      addEventListener(type, event =>
        told.push(`${type} ${event.isTrusted} ${(event.target as HTMLInputElement).name}`),
      )
  })
  await endAndSignIn(tab, server, signIn)
  await expect(field('Text')).toHaveValue('Typed Text', {timeout: 4_000})
  for (const name of texts) await expect(field(name)).toHaveValue('Typed ' + name)
  for (const name of secrets) await expect(field(name)).toHaveValue('')
  await expect(field('Day')).toHaveValue('2026-11-26')
  await expect(field('One')).toHaveValue('b')
  await expect(field('Many')).toHaveValues(['a', 'c'])
  await expect(field('X')).toBeChecked()
  await expect(field('Y')).not.toBeChecked()
  await expect(field('Q')).toBeChecked()
  await expect(field('Rich')).toHaveText('<b>typed</b>')
  const told = await page.evaluate(() => (window as any).told)
  for (const name of ['text', 'area', 'one', 'tick', 'choice'])
    expect(told).toEqual(expect.arrayContaining([`input false ${name}`, `change false ${name}`]))
  await tab.connected()
  expect((await server.story('input')).slice(-1)).not.toContain('activity') // what comes back is no act
  await page.getByRole('button', {name: 'Discard'}).click()
  await expect(field('Area')).toHaveValue('as it was')
  await expect(field('Q')).not.toBeChecked()
  await expect.poll(() => stored(page)).not.toContain('"sealed"')
})

test('where the application has changed its text both are kept, and the person is asked', async ({signIn, openTab}) => {
  await signIn()
  pages['/one'] = one('old')
  const tab = await openTab('/one')
  const {page} = tab
  const text = page.getByLabel('Text', {exact: true})
  await types(text, 'typed ')
  await page.reload()
  await expect(page.getByText(isBack)).toBeVisible()
  await expect(text).toHaveValue('typed old')
  pages['/one'] = one('newer')
  await page.reload()
  await expect(page.getByText('You had typed something else in “Text”.')).toBeVisible()
  await expect(text).toHaveValue('newer')
  await text.press('End')
  await types(text, '!')
  await page.reload() // unanswered: both are back
  await expect(text).toHaveValue('newer!')
  const before = await stored(page)
  await page.getByRole('button', {name: 'Use it'}).click()
  await expect(text).toHaveValue('typed old')
  await expect.poll(() => stored(page)).not.toEqual(before)
  await page.reload()
  await expect(text).toHaveValue('typed old')
  await page.getByRole('button', {name: 'Discard'}).click()
  await expect(text).toHaveValue('newer')
  await page.reload()
  await tab.connected()
  await expect.poll(() => stored(page)).not.toContain('"sealed"')
  await expect(text).toHaveValue('newer')
})

test('what was submitted is dropped, unless the answer was the sign-in page', async ({signIn, openTab, context}) => {
  pages['/one'] = one('')
  await signIn()
  const tab = await openTab('/one')
  const {page} = tab
  const text = page.getByLabel('Text', {exact: true})
  await keeps(page)
  await text.pressSequentially('sent')
  await page.getByRole('button', {name: 'Send'}).click()
  await expect(page).toHaveTitle('Saved')
  await tab.connected()
  await expect.poll(() => stored(page)).not.toContain('"sealed"')
  await tab.goto('/one')
  await text.pressSequentially('by script')
  await expect.poll(() => stored(page)).toContain('"sealed"')
  await page.evaluate(() => document.forms[0]!.submit())
  await expect(page).toHaveTitle('Saved')
  await expect.poll(() => stored(page)).not.toContain('"sealed"')
  await tab.goto('/one')
  await text.pressSequentially('reset')
  await expect.poll(() => stored(page)).toContain('"sealed"')
  await page.getByRole('button', {name: 'Reset'}).click()
  await expect.poll(() => stored(page)).not.toContain('"sealed"')

  await text.pressSequentially('unsent')
  await context.clearCookies() // the page does not know yet that its session is over
  await page.getByRole('button', {name: 'Send'}).click()
  await expect(page).toHaveURL(/login/)
  await signIn()
  await expect(page).not.toHaveURL(/login/)
  await tab.goto('/one')
  await expect(text).toHaveValue('unsent')
})
