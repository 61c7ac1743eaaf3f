import type {Page} from '@playwright/test'
import {expect, MINUTE, nothing, shows, type Tab, test as base} from './curfew'
import {Site} from './site'

// What Curfew shows in a page of some other application, whatever that page does to be in the way.

const tag = '<script type="module" src="/static/curfew.js" data-socket="/session/ws"></script>'
const head = (title: string) =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>`

/** Its script comes first, so that its listeners are there before Curfew's. */
const desk = `${head('Desk')}<script src="/desk.js"></script><link rel="stylesheet" href="/desk.css">${tag}</head><body>
<h1>Desk</h1><form><label>Text <input id="text"></label></form><iframe id="frame" title="Frame" src="/frame"></iframe>
<dialog id="own"><p>A call comes in</p><button id="answer">Answer</button></dialog>
<footer><button id="save">Save</button></footer></body></html>`

const frame = `${head('Frame')}<script src="/frame.js"></script></head><body><form><label>Inside <input id="text"></label></form></body></html>`
const frameScript = "addEventListener('submit', event => { event.preventDefault(); parent.submits++ })"

const deskScript = `
  window.submits = window.saves = window.stolen = 0
  addEventListener('submit', event => { event.preventDefault(); submits++ })
  addEventListener('click', event => { if (event.target.id === 'save') saves++ })
  for (const type of ['keydown', 'keyup', 'click', 'pointerdown', 'mousedown']) addEventListener(type, event => {
    if (!window.greedy) return
    stolen++
    event.preventDefault()
    event.stopImmediatePropagation()
  }, {capture: true})`

const deskStyle = `
  footer { position: fixed; inset: auto 0 0 0; background: silver; text-align: center }
  curfew-warning, curfew-panel { display: none !important; opacity: 0 !important; pointer-events: none !important }`

/** Everything by which a style sheet can outdo another one. */
const loudStyle = `
  @layer loud {
    * { visibility: visible !important; transition: all 30s allow-discrete !important }
    #app, #app *, #second, .late { display: block !important; content-visibility: visible !important }
  }
  #app#app#app#app#app#app, #app#app#app#app#app#app p { display: block !important; visibility: visible !important }
  html::before, body::after { content: 'a secret of the style'; visibility: visible !important }`

const loud = `${head('A secret title')}<link rel="stylesheet" href="/loud.css">${tag}<script type="module" src="/loud.js"></script></head><body>
A secret of the body<div id="app"><p>A secret</p><label>Field <input id="text" value="a secret"></label></div>
<dialog id="own"><p>A secret of the dialog</p><input id="asked" value="a secret"></dialog></body></html>`

const loudScript = `
  const app = document.getElementById('app')
  for (const element of [app, app.firstChild, document.getElementById('own'), document.body]) element.style.setProperty('visibility', 'visible', 'important')
  app.style.setProperty('display', 'block', 'important')
  window.open = () => {
    document.adoptedStyleSheets = []
    for (const element of [document.documentElement, document.body, app]) {
      element.removeAttribute('style')
      element.style.setProperty('visibility', 'visible', 'important')
      element.style.setProperty('content-visibility', 'visible', 'important')
    }
    app.style.setProperty('display', 'block', 'important')
    const late = document.createElement('p')
    late.className = 'late'
    late.textContent = 'A late secret'
    late.style.setProperty('display', 'block', 'important')
    document.body.append(late)
    document.documentElement.append(late.cloneNode(true))
    document.title = 'A late secret'
    const own = document.getElementById('own')
    own.close()
    own.showModal()
  }`

/**
 * A page that asks before it is left, whose router takes every navigation for its own, and that
 * allows no style and no form.
 */
const clingy = `${head('Clingy')}<meta http-equiv="Content-Security-Policy" content="style-src 'none'; form-action 'none'"><script src="/clingy.js"></script>${tag}</head><body><h1>Clingy</h1><label>Text <input id="text"></label></body></html>`
const clingyScript = `
  addEventListener('beforeunload', event => event.preventDefault())
  onbeforeunload = () => 'stay'
  window.navigation?.addEventListener('navigate', event => { if (event.canIntercept) event.intercept({handler: async () => {}}) })`

const test = base.extend<{}, {site: Site}>({
  site: [
    async ({}, use) => {
      const site = await Site.start({
        '/desk': ['text/html', desk],
        '/frame': ['text/html', frame],
        '/frame.js': ['text/javascript', frameScript],
        '/desk.js': ['text/javascript', deskScript],
        '/desk.css': ['text/css', deskStyle],
        '/loud': ['text/html', loud],
        '/loud.js': ['text/javascript', loudScript],
        '/loud.css': ['text/css', loudStyle],
        '/clingy': ['text/html', clingy],
        '/clingy.js': ['text/javascript', clingyScript],
      })
      await use(site)
      await site.stop()
    },
    {scope: 'worker'},
  ],
  server: async ({site}, use) => {
    await site.server.reset()
    await use(site.server)
  },
})

const value = (tab: Tab, name: string) => tab.page.evaluate(name => (window as any)[name], name)
const carryOn = (tab: Tab) => tab.warning.getByRole('button', {name: 'Continue working'})
const line = (page: Page) => page.getByRole('status').filter({hasText: /signed out soon/})

test('who types on signs nobody out, and presses no button of the warning @engines', async ({
  signIn,
  openTab,
  server,
}) => {
  await signIn()
  const tab = await openTab('/desk')
  await tab.page.locator('#text').focus()
  const typing = tab.page.keyboard.type('one two three four five six seven eight nine ten eleven twelve ', {delay: 30})
  await expect(tab.page.locator('#text')).toHaveValue(/two/)
  await server.forceLogout({user: 'ada', grace_ms: 60_000})
  await expect(tab.warning).toBeVisible()
  await expect(tab.warning.getByRole('heading')).toBeFocused()
  await tab.page.keyboard.press('Tab') // as to the next field
  await typing
  await tab.page.keyboard.press('Enter')
  await tab.page.keyboard.press('Space')
  await expect(tab.warning).toBeVisible()
  expect(await server.story('decision')).not.toContain('end logout')
  await expect(async () => {
    // a while later it is meant
    await tab.page.keyboard.press('Enter')
    await expect(tab.warning).toBeHidden({timeout: 1_000})
  }).toPass({intervals: [100], timeout: 5_000})
  await expect(tab.page.locator('#text')).toBeFocused()
})

for (const where of ['the page', 'a frame']) {
  test(`a key that is held presses nothing: not in a warning that comes, nor in ${where} when it goes @engines`, async ({
    signIn,
    openTab,
    advance,
    server,
  }) => {
    await signIn()
    const tab = await openTab('/desk')
    const {keyboard} = tab.page
    const field = (where === 'the page' ? tab.page : tab.page.frameLocator('#frame')).locator('#text')
    const hold = async (key: string, times: number) => {
      for (let i = 0; i < times; i++) await keyboard.down(key)
    }
    await field.focus()
    await hold('Enter', 2)
    await expect.poll(() => value(tab, 'submits')).toBeGreaterThan(0)
    const before = await value(tab, 'submits')
    await expect.poll(() => server.story('input')).toContain('activity')
    await advance(9 * MINUTE)
    await expect(tab.stay).toBeFocused()
    await hold('Enter', 5)
    await keyboard.up('Enter')
    await expect(tab.warning).toBeVisible()
    expect(await server.story('decision')).not.toContain('withdraw warning')
    await expect(async () => {
      // pressed anew and not let go
      await keyboard.up('Enter')
      await hold('Enter', 3)
      await expect(tab.warning).toBeHidden({timeout: 1_000})
    }).toPass({intervals: [100], timeout: 5_000})
    await hold('Enter', 5)
    expect(await value(tab, 'submits')).toBe(before)
    await keyboard.up('Enter')
    await expect(field).toBeFocused()
    await keyboard.press('Enter')
    await expect.poll(() => value(tab, 'submits')).toBe(before + 1)
  })
}

test('a warning that stands can be put aside, so that work can be saved, and counts on', async ({
  signIn,
  openTab,
  server,
}) => {
  await signIn()
  const tab = await openTab('/desk')
  await tab.page.locator('#text').fill('half a sentence')
  await server.forceLogout({user: 'ada', grace_ms: 120_000, message: 'Maintenance <b>begins</b>.'})
  await expect(tab.warning).toContainText('Maintenance <b>begins</b>.')
  await expect(tab.stay).toBeHidden()
  await tab.page.mouse.move(3, 3)
  await tab.page.keyboard.press('Escape')
  await expect(tab.warning).toBeVisible()
  await carryOn(tab).click()
  await expect(tab.warning).toBeHidden()
  await expect(tab.page.locator('#text')).toBeFocused()
  await expect(line(tab.page)).toContainText(/[12]:\d\d/)
  await tab.page.locator('#save').click()
  await tab.page.keyboard.press('x')
  expect(await value(tab, 'saves')).toBe(1)
  const {expire_in_ms} = await (await tab.page.request.get(server.url + '/session/status')).json()
  await server.advance(expire_in_ms - 38_500)
  await expect(tab.page.locator('curfew-panel [aria-live=assertive]')).toHaveText(/^3\d seconds left$/)
  await expect(tab.warning).toBeHidden()
  await tab.page.getByRole('button', {name: 'Show'}).click()
  await expect(tab.warning).toContainText(/0:[23]\d/)
  await expect(line(tab.page)).toBeHidden()
  await carryOn(tab).click()
  await server.forceLogout({user: 'ada', grace_ms: 20_000, message: 'It begins earlier.'})
  await expect(tab.warning).toContainText('It begins earlier.')
  await expect(tab.warning).toContainText(/0:[12]\d/)
  await carryOn(tab).click()
  await server.advance(20_000)
  await tab.signedOut('It begins earlier.')
})

test('a page that asks before it is left, and routes by itself, is left without a question @engines', async ({
  signIn,
  openTab,
  advance,
  server,
}) => {
  let questions = 0
  const leaves = async (end: (tab: Tab) => Promise<unknown>) => {
    await signIn()
    const tab = await openTab('/clingy')
    tab.page.on('dialog', dialog => {
      questions++
      void dialog.dismiss()
    })
    await tab.page.getByRole('heading').click() // browsers ask only where somebody has been
    await end(tab)
    await tab.signedOut(/You (were signed out by|have signed out)/)
  }
  await leaves(() => server.forceLogout({user: 'ada'}))
  await leaves(async tab => {
    await advance(9 * MINUTE)
    await expect(tab.warning).toHaveCSS('border-top-left-radius', '16px') // it has its style all the same
    await tab.signOut.click()
  })
  expect(questions).toBe(0)
})

test('nothing that a page styles or does shows it through the curtain, and all of it comes back @engines', async ({
  signIn,
  openTab,
}) => {
  await signIn()
  const tab = await openTab('/loud')
  const {page} = tab
  const dialog = () => page.evaluate(() => (document.getElementById('own') as HTMLDialogElement).showModal())
  await dialog()
  await page.locator('#asked').focus()
  const styles = () =>
    page.evaluate(() =>
      [document.documentElement, document.body, document.getElementById('app')!].map(element =>
        element.getAttribute('style'),
      ),
    )
  const before = await styles()
  const rows = async () => {
    expect(await shows(page)).toEqual(nothing(page))
    const seen = await page.evaluate(() =>
      [...document.querySelectorAll('*')]
        .filter(element => element.checkVisibility({contentVisibilityAuto: true, visibilityProperty: true}))
        .map(element => element.localName)
        .filter(name => name !== 'html' && name !== 'body'),
    )
    expect(seen).toEqual([])
  }
  await page.evaluate(() => document.dispatchEvent(new Event('freeze')))
  await rows()
  expect(
    await page.evaluate(() => [
      getComputedStyle(document.documentElement, '::before').content,
      getComputedStyle(document.body).contentVisibility,
    ]),
  ).toEqual(['none', 'hidden'])
  await page.evaluate(() => document.dispatchEvent(new Event('resume')))
  await expect(page.getByText('A secret of the dialog')).toBeVisible()
  await expect(page).toHaveTitle('A secret title')
  await expect(page.locator('#asked')).toBeFocused()
  expect(await styles()).toEqual(before)
  await page.evaluate(() => {
    document.dispatchEvent(new Event('freeze'))
    window.open()
  })
  await rows()
  await page.evaluate(() => {
    // a script may put another body in place, or another document
    const body = document.createElement('body')
    body.textContent = 'A secret of another body'
    body.style.setProperty('visibility', 'visible', 'important')
    document.body = body
  })
  await rows()
})

test('no listener of the page steals a key or a click from the warning, and none of its own is heard there @engines', async ({
  signIn,
  openTab,
  advance,
}) => {
  await signIn()
  const tab = await openTab('/desk')
  await expect(tab.page.locator('curfew-warning')).toBeAttached()
  await tab.page.evaluate(() => {
    ;(window as any).greedy = true
  })
  await advance(9 * MINUTE)
  await expect(tab.stay).toBeFocused()
  await tab.page.keyboard.press('Tab')
  await expect(tab.signOut).toBeFocused()
  await tab.page.keyboard.press('Escape')
  await expect(tab.warning).toBeHidden()
  await advance(9 * MINUTE)
  await expect(tab.stay).toBeFocused()
  await expect(async () => {
    await tab.page.keyboard.press('Enter')
    await expect(tab.warning).toBeHidden({timeout: 1_000})
  }).toPass({intervals: [100], timeout: 5_000})
  await advance(9 * MINUTE)
  await tab.stay.click()
  await expect(tab.warning).toBeHidden()
  await tab.page.keyboard.press('x')
  expect(await value(tab, 'stolen')).toBeGreaterThan(0) // the page has its own keys as before
})

test('warning and notices stay in reach when the page opens a modal dialog of its own @engines', async ({
  signIn,
  openTab,
  advance,
  server,
}) => {
  await signIn()
  const tab = await openTab('/desk')
  await expect(tab.page.locator('curfew-warning')).toBeAttached()
  const open = () => tab.page.evaluate(() => (document.getElementById('own') as HTMLDialogElement).showModal())
  await tab.page.locator('#text').focus()
  await advance(9 * MINUTE)
  await expect(tab.stay).toBeFocused()
  await open()
  await expect(tab.stay).toBeFocused()
  await tab.stay.click()
  await expect(tab.warning).toBeHidden()
  await expect(tab.page.locator('#answer')).toBeFocused()
  await server.api('POST', '/notices', {user: 'ada', message: 'The printer is back.'})
  await tab.page.getByRole('button', {name: 'Dismiss'}).click()
  await expect(tab.page.getByText('The printer is back.')).toBeHidden()
  await server.api('POST', '/notices', {user: 'ada', message: 'It is gone again.'})
  await expect(tab.page.getByText('It is gone again.')).toBeVisible()
  await tab.page.evaluate(() => document.getElementById('own')!.remove()) // and the notice is not gone with it
  await tab.page.getByRole('button', {name: 'Dismiss'}).click()
  await expect(tab.page.getByText('It is gone again.')).toBeHidden()
})

test('a space in a modal dialog of the page is an act', async ({signIn, openTab, advance}) => {
  await signIn()
  const tab = await openTab('/desk')
  await advance(9 * MINUTE)
  await expect(tab.stay).toBeFocused()
  await tab.page.evaluate(() => {
    // opened where no event tells of it, a moment before the key
    const host = document.createElement('div')
    document.body.append(host)
    const own = host.attachShadow({mode: 'open'}).appendChild(document.createElement('dialog'))
    own.append(document.createElement('button'))
    own.showModal()
  })
  await tab.page.keyboard.press('Space')
  await expect(tab.warning).toBeHidden()
})

for (const viewport of [
  {width: 360, height: 640},
  {width: 320, height: 256},
]) {
  test(`long notices can be read from their beginning and dismissed at ${viewport.width}x${viewport.height}`, async ({
    signIn,
    openTab,
    server,
  }) => {
    await signIn()
    const tab = await openTab('/desk')
    await tab.page.setViewportSize(viewport)
    const messages = [
      'Beginning ' + 'and so on '.repeat(199),
      ...Array.from({length: 5}, (_, i) => `Notice ${i} ${'and more '.repeat(20)}`),
    ]
    for (const message of messages) await server.api('POST', '/notices', {user: 'ada', message})
    const dismiss = tab.page.getByRole('button', {name: 'Dismiss'})
    await expect(dismiss).toHaveCount(messages.length)
    const log = tab.page.getByRole('log')
    await log.hover()
    const topOf = (text: string) =>
      tab.page.getByText(text).evaluate(p => {
        const range = document.createRange()
        range.setStart(p.firstChild!, 0)
        range.setEnd(p.firstChild!, 8)
        return range.getBoundingClientRect().top
      })
    for (let i = messages.length - 1; i >= 0; i--) {
      await tab.page.mouse.wheel(0, -20_000) // to the first
      await expect.poll(() => topOf('Beginning')).toBeGreaterThanOrEqual(0)
      await dismiss.nth(i).click()
      await expect(dismiss).toHaveCount(i)
    }
  })
}

test('the line that tells of a lost connection takes no click and lies on no control', async ({
  signIn,
  openTab,
  server,
}) => {
  await signIn()
  const tab = await openTab('/desk')
  await server.call('fault', {kind: 'drop'})
  await server.call('fault', {kind: 'refuse'})
  const lost = tab.page.getByRole('status').filter({hasText: /connection is lost|Updates come/})
  await expect(lost).toBeVisible()
  const [box, save] = [(await lost.boundingBox())!, (await tab.page.locator('#save').boundingBox())!]
  expect(
    box.y + box.height <= save.y ||
      box.y >= save.y + save.height ||
      box.x + box.width <= save.x ||
      box.x >= save.x + save.width,
  ).toBe(true)
  const under = await tab.page.evaluate(({x, y}) => document.elementFromPoint(x, y)?.localName, {
    x: box.x + box.width / 2,
    y: box.y + box.height / 2,
  })
  expect(under).not.toContain('curfew')
  await tab.page.locator('#save').click()
  expect(await value(tab, 'saves')).toBe(1)
  await server.call('fault', {kind: 'none'})
  await expect(lost).toBeHidden({timeout: 20_000})
})
