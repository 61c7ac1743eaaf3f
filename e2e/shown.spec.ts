import {readFileSync} from 'node:fs'
import AxeBuilder from '@axe-core/playwright'
import type {Locator, Page} from '@playwright/test'
import {expect, MINUTE, type Tab, test as base} from './curfew'
import {Site} from './site'

// What people are shown of what an administrator has written and of the connection, wherever there
// is room for it.

const words = (language: string) => JSON.parse(readFileSync(`locale/words/${language}.json`, 'utf8'))

const page = (body: string) => `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Form</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/form.css">
<script type="module" src="/static/curfew.js" data-socket="/session/ws"></script></head><body>${body}</body></html>`

const bars = `<header><button>New</button></header><main><h1>Form</h1><p>${'Text of the form. '.repeat(200)}</p></main>
<footer><button>Save</button> <a href="#top">Up</a></footer>`

const style = `header, footer { position: fixed; inset: 0 0 auto 0; display: flex; background: silver }
  footer { inset: auto 0 0 0 } button { flex: 1; min-height: 44px } .all { display: grid; grid-template-columns: 1fr 1fr }`

const test = base.extend<{}, {site: Site}>({
  strictCSP: false, // axe styles the page while it measures
  site: [
    async ({}, use) => {
      const site = await Site.start({
        '/bars': ['text/html', page(bars)],
        '/full': ['text/html', page(`<h1>Full</h1><div class="all">${'<button>Do</button>'.repeat(200)}</div>`)],
        '/named': ['text/html', page('<h1>Named</h1><img name="cookie" alt="">')],
        '/form.css': ['text/css', style],
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

const message = 'We move to the new server.\n\nPlease save:\n  • drafts\n  • <b>forms</b>'
const quoteIn = (where: Locator | Page) => where.getByRole('blockquote')
const text = (of: Locator) => of.evaluate(element => element.textContent)
const stackOf = (page: Page) => page.locator('curfew-panel .stack')

/** axe with what Curfew shows, in the page as it stands. */
async function accessible(page: Page, ...within: [host: string, inside: string]) {
  const {violations, passes} = await new AxeBuilder({page: page as never})
    .include({fromShadowDom: within})
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze()
  expect(violations.map(v => `${v.id}: ${v.nodes.map(n => n.html).join(' ')}`)).toEqual([])
  expect(passes.length).toBeGreaterThan(0)
}

/** The module is there, so that nothing plain is shown. */
const whole = (tab: Tab) => expect(tab.page.locator('curfew-warning')).toBeAttached()

test("an administrator's message stands quoted in the warning, with its line breaks", async ({
  signIn,
  openTab,
  server,
}) => {
  await signIn()
  const tab = await openTab('/bars')
  await whole(tab)
  await server.forceLogout({user: 'ada', grace_ms: 5 * MINUTE, message})
  await expect(tab.warning).toContainText('An administrator is signing you out. Save your work.')
  await expect(tab.warning.getByText('From your administrator')).toBeVisible()
  expect(await text(quoteIn(tab.warning))).toBe(message)
  await expect(quoteIn(tab.warning)).toHaveCSS('white-space-collapse', 'preserve')
  await expect(tab.warning).toHaveAccessibleDescription(/You will be signed out in 5 minutes\. From your administrator/)
  await expect(tab.warning.getByRole('button')).toHaveText(['Continue working', 'Sign out now'])
  await accessible(tab.page, 'curfew-warning', 'dialog')
})

test('without a message there is no quotation, and none describes the dialog', async ({signIn, openTab, server}) => {
  await signIn()
  const tab = await openTab('/bars')
  await whole(tab)
  await server.forceLogout({user: 'ada', grace_ms: 5 * MINUTE})
  await expect(tab.warning).toContainText('An administrator is signing you out.')
  await expect(quoteIn(tab.warning)).toBeHidden()
  await expect(tab.warning).toHaveAccessibleDescription(/^An administrator .+ in 5 minutes\.$/)
})

test('a long message leaves the buttons in sight', async ({signIn, openTab, server}) => {
  await signIn()
  const tab = await openTab('/bars')
  await whole(tab)
  await tab.page.setViewportSize({width: 390, height: 500})
  await server.forceLogout({user: 'ada', grace_ms: 5 * MINUTE, message: 'And so on.\n'.repeat(150)})
  await expect(tab.signOut).toBeInViewport({ratio: 1})
  await expect(tab.warning.getByRole('heading')).toBeInViewport({ratio: 1})
})

test('a server that tells no text apart is believed by its message', async ({signIn, context, openTab, server}) => {
  await context.routeWebSocket(/session\/ws/, socket => {
    const upstream = socket.connectToServer()
    upstream.onMessage(data => {
      const {text, data: values, ...older} = JSON.parse(String(data))
      socket.send(JSON.stringify(older))
    })
  })
  await signIn()
  const tab = await openTab('/bars')
  await whole(tab)
  const {id} = await server.forceLogout({user: 'ada', grace_ms: 5 * MINUTE, message})
  await expect(tab.warning).toBeVisible()
  expect(await text(quoteIn(tab.warning))).toBe(message)
  await server.api('DELETE', `/logouts/${id}`).catch(() => {}) // it answers with nothing
  await expect(tab.warning).toBeHidden()
  await server.forceLogout({user: 'ada', grace_ms: 5 * MINUTE})
  await expect(tab.warning).toContainText('An administrator is signing you out. Save your work.')
  await expect(quoteIn(tab.warning)).toBeHidden()
})

test('a reason that the page does not know is told by the message', async ({signIn, context, openTab, server}) => {
  await context.routeWebSocket(/session\/ws/, socket => {
    const upstream = socket.connectToServer()
    upstream.onMessage(data => {
      const told = JSON.parse(String(data))
      if (told.reason === 'admin') Object.assign(told, {reason: 'upkeep', message: 'The house closes.'})
      socket.send(JSON.stringify(told))
    })
  })
  await signIn()
  const tab = await openTab('/bars')
  await whole(tab)
  await server.forceLogout({user: 'ada', grace_ms: 5 * MINUTE, message})
  await expect(tab.warning).toContainText('The house closes. You will be signed out in')
  expect(await text(quoteIn(tab.warning))).toBe(message)
})

test('a page that has something of the name cookie is shown all the same', async ({signIn, openTab, server}) => {
  await signIn()
  const tab = await openTab('/named')
  await whole(tab)
  expect(await tab.page.evaluate(() => typeof document.cookie)).toBe('object')
  await server.advance(10 * MINUTE)
  await expect(tab.waiting).toContainText('no activity')
})

test('a page that waits quotes what an administrator has written', async ({signIn, context, openTab, server}) => {
  // Such a page is mostly taken away: a server may yet say so of one that waits.
  await context.route(/session\/status/, async route => {
    const answer = await route.fetch()
    await route.fulfill({response: answer, json: {...(await answer.json()), text: message}})
  })
  await signIn()
  const tab = await openTab('/bars')
  await whole(tab)
  await server.advance(10 * MINUTE)
  await expect(tab.waiting).toContainText('no activity')
  await expect(tab.waiting.getByText('From your administrator')).toBeVisible()
  expect(await text(quoteIn(tab.waiting))).toBe(message)
  await expect(tab.waiting.getByRole('button')).toHaveText(['Sign in to continue', 'Leave this page'])
})

test('a notice is quoted; one of a sign-in is worded by the page', async ({signIn, openTab, otherBrowser, server}) => {
  await signIn('grace')
  const tab = await openTab('/bars')
  await whole(tab)
  await server.api('POST', '/notices', {user: 'grace', message})
  const notices = tab.page.locator('.notice')
  await expect(notices.getByText('From your administrator')).toBeVisible()
  expect(await text(quoteIn(tab.page))).toBe(message)
  await signIn('grace', await otherBrowser())
  await expect(notices.nth(1)).toContainText(/^Your account has just signed in elsewhere: .+, 127\.0\.0\.1\./)
  await expect(notices.nth(1)).not.toContainText('administrator')
  await accessible(tab.page, 'curfew-panel', '.panel')
})

test.describe('in German', () => {
  test.use({locale: 'de'})

  test('a notice of a sign-in speaks the language of the page', async ({signIn, openTab, otherBrowser}) => {
    await signIn('grace')
    const tab = await openTab('/bars')
    await whole(tab)
    await signIn('grace', await otherBrowser())
    const [beginning] = words('de')['page.signedInElsewhere'].split('{{')
    await expect(tab.page.locator('.notice')).toContainText(beginning)
    await expect(tab.page.locator('.panel')).toHaveAttribute('lang', 'de')
  })
})

/** Which controls of the page Curfew's stack lies on. */
const coveredIn = (page: Page) =>
  page.evaluate(() => {
    const stack = document.querySelector('curfew-panel')!.shadowRoot!.querySelector('.stack')!.getBoundingClientRect()
    return [...document.querySelectorAll('button, a')]
      .filter(control => {
        const box = control.getBoundingClientRect()
        return box.left < stack.right && box.right > stack.left && box.top < stack.bottom && box.bottom > stack.top
      })
      .map(control => control.textContent)
  })

for (const viewport of [
  {width: 1280, height: 720},
  {width: 320, height: 568},
]) {
  test(`notices and lines are one stack that covers no control at ${viewport.width} px`, async ({
    signIn,
    openTab,
    server,
  }) => {
    await signIn()
    const tab = await openTab('/bars')
    await whole(tab)
    await tab.page.setViewportSize(viewport)
    await server.api('POST', '/notices', {user: 'ada', message: 'The printer is back.'})
    await server.api('POST', '/notices', {user: 'ada', message: 'It is on the second floor now.'})
    await server.call('fault', {kind: 'refuse'})
    await server.call('fault', {kind: 'drop'})
    const stack = stackOf(tab.page)
    await expect(stack.getByRole('status').filter({hasText: /connection is lost|Updates come/})).toBeVisible()
    await expect(stack.locator('.notice')).toHaveCount(2)
    expect(await coveredIn(tab.page)).toEqual([])
    const {height} = (await stack.boundingBox())!
    expect(height).toBeLessThan(viewport.width < 500 ? 240 : 200) // compact
    expect(await tab.page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(viewport.width)
    await server.call('fault', {kind: 'none'})
    await tab.page.getByRole('button', {name: 'Dismiss'}).first().click()
    await tab.page.getByRole('button', {name: 'Dismiss'}).click()
    await expect(stack.locator('.notice')).toHaveCount(0)
  })
}

test('a page full of controls has the beginnings of notices over it, and all when asked', async ({
  signIn,
  openTab,
  server,
}) => {
  await signIn()
  const tab = await openTab('/full')
  await whole(tab)
  await tab.page.setViewportSize({width: 320, height: 256}) // 1280 by 1024 at 400 %
  await server.api('POST', '/notices', {user: 'ada', message: 'The printer is back. '.repeat(20)})
  const stack = stackOf(tab.page)
  await expect(stack.locator('.notice')).toBeVisible()
  const small = (await stack.boundingBox())!.height
  expect(small).toBeLessThanOrEqual(52) // a line
  await expect(stack.getByRole('button', {name: 'Dismiss'})).toBeInViewport({ratio: 1})
  await tab.page.getByRole('button', {name: 'Show'}).click()
  expect((await stack.boundingBox())!.height).toBeGreaterThan(small)
  await expect(stack.getByRole('button', {name: 'Show'})).toBeHidden()
  await expect(stack.getByRole('button', {name: 'Dismiss'})).toBeFocused()
  await accessible(tab.page, 'curfew-panel', '.panel')
  await stack.getByRole('button', {name: 'Dismiss'}).click()
  await expect(stack).toBeHidden()
})

test('the stack makes room for a control that is scrolled below it', async ({signIn, openTab, server}) => {
  await signIn()
  const tab = await openTab('/bars')
  await whole(tab)
  await server.api('POST', '/notices', {user: 'ada', message: 'The printer is back.'})
  await expect(stackOf(tab.page).locator('.notice')).toBeVisible()
  const isUnder = await tab.page.evaluate(() => {
    const stack = document.querySelector('curfew-panel')!.shadowRoot!.querySelector('.stack')!
    const {top, bottom, right} = stack.getBoundingClientRect()
    const control = document.body.appendChild(document.createElement('button'))
    control.textContent = 'Below'
    control.style.cssText = `position: absolute; left: ${right - 80}px; top: ${bottom + 300}px; width: 80px`
    document.body.append(Object.assign(document.createElement('div'), {style: 'height: 200vh'}))
    scrollBy(0, 330)
    const box = control.getBoundingClientRect()
    return box.top < bottom && box.bottom > top && box.left < right && stack.getBoundingClientRect().top === top
  })
  expect(isUnder).toBe(true) // before the stack makes room
  await expect.poll(() => coveredIn(tab.page)).toEqual([])
})

test('the line of the connection goes away where polling works, and comes back where it does not', async ({
  signIn,
  context,
  server,
}) => {
  await signIn()
  const page = await context.newPage()
  await page.clock.install()
  await page.routeWebSocket(/session\/ws/, socket => socket.close({code: 1006 as never}).catch(() => {}))
  await page.goto(server.url + '/bars')
  const line = stackOf(page).getByRole('status').first()
  const polled = () => page.waitForResponse(/session\/status/)
  await expect(async () => {
    await page.clock.runFor(1_000)
    await expect(line).toHaveText('Updates come every second; your work is not affected.', {timeout: 200})
  }).toPass()
  const {backgroundColor} = await line.evaluate(e => ({backgroundColor: getComputedStyle(e).backgroundColor}))
  expect(backgroundColor).toBe('rgb(255, 255, 255)') // quiet
  for (let second = 0; second < 11; second++) {
    const answer = polled()
    await page.clock.runFor(1_000)
    await answer
  }
  await expect(line).toBeHidden()
  for (let second = 0; second < 5; second++) {
    const answer = polled()
    await page.clock.runFor(1_000) // sockets are refused again and again
    await answer
    await expect(line).toBeHidden()
  }
  await page.route(/session\/status/, route => route.abort())
  await page.clock.runFor(7_000)
  await expect(line).toHaveText('The connection is lost. Reconnecting…')
  await page.unroute(/session\/status/)
  await expect(async () => {
    await page.clock.runFor(1_000)
    await expect(line).toHaveText(/Updates come/, {timeout: 200})
  }).toPass()
})

// ---- all of it in every look

for (const look of [
  {name: 'at 320 px', viewport: {width: 320, height: 568}},
  {name: 'at 400 %', viewport: {width: 320, height: 256}},
  {name: 'dark', colorScheme: 'dark' as const},
  {name: 'in forced colours', forcedColors: 'active' as const},
  {name: 'with reduced motion', reducedMotion: 'reduce' as const},
]) {
  for (const locale of ['en', 'de', 'ar', 'ja']) {
    if (locale !== 'en' && locale !== 'ar' && !look.viewport) continue // these differ in length alone
    const {name, ...options} = look
    const isUsual = name === 'at 320 px' ? locale === 'ar' : name === 'in forced colours' && locale === 'en'
    test.describe(`${name} in ${locale}${isUsual ? '' : ' @looks'}`, () => {
      const {viewport, colorScheme, forcedColors, reducedMotion} = options as any
      test.use({
        locale,
        ...(viewport && {viewport}),
        ...(colorScheme && {colorScheme}),
        contextOptions: {...(forcedColors && {forcedColors}), ...(reducedMotion && {reducedMotion})},
      })

      test('warning, notices and the dialog of a page that waits can be read and used', async ({
        signIn,
        openTab,
        server,
      }) => {
        const said = words(locale)
        await signIn()
        const tab = await openTab('/bars')
        await whole(tab)
        await server.api('POST', '/notices', {user: 'ada', message: 'The printer is back.'})
        const panel = tab.page.locator('curfew-panel .panel')
        await expect(panel).toHaveAttribute('dir', locale === 'ar' ? 'rtl' : 'ltr')
        await expect(panel.getByText(said['page.fromAdmin'])).toBeAttached()
        await accessible(tab.page, 'curfew-panel', '.panel')
        // A click of a person would be an act, and might be told of after the clock has moved.
        await panel.getByRole('button', {name: said['page.dismiss']}).dispatchEvent('click')

        const {id} = await server.forceLogout({user: 'ada', grace_ms: 5 * MINUTE, message})
        const warning = tab.page.getByRole('alertdialog', {name: said['page.title']})
        await usable(warning, [said['page.continue'], said['page.signOut']], locale)
        await accessible(tab.page, 'curfew-warning', 'dialog')
        await warning.getByRole('button', {name: said['page.continue']}).dispatchEvent('click')
        await expect(panel.getByText(said['page.signedOutSoon'])).toBeInViewport()
        await expect(panel.locator('.aside bdi')).toHaveAttribute('dir', 'ltr')
        await accessible(tab.page, 'curfew-panel', '.panel')
        await server.api('DELETE', `/logouts/${id}`).catch(() => {}) // it answers with nothing
        await expect(panel.getByText(said['page.signedOutSoon'])).toBeHidden()

        await server.advance(9 * MINUTE)
        await usable(warning, [said['page.stay'], said['page.signOut']], locale)
        await expect(warning.locator('.count bdi')).toHaveAttribute('dir', 'ltr')
        await accessible(tab.page, 'curfew-warning', 'dialog')
        await server.advance(MINUTE)
        const waiting = tab.page.getByRole('dialog', {name: said['page.signedOut']})
        await usable(waiting, [said['page.signInAgain'], said['page.leave']], locale)
        await accessible(tab.page, 'curfew-waiting', 'dialog')
      })
    })
  }
}

/** A dialog fits into the window, in its language and direction, and its buttons can be brought into sight. */
async function usable(dialog: Locator, buttons: string[], locale: string) {
  await expect(dialog).toHaveAttribute('lang', locale)
  await expect(dialog).toHaveAttribute('dir', locale === 'ar' ? 'rtl' : 'ltr')
  expect(await dialog.evaluate(e => e.scrollWidth - e.clientWidth)).toBeLessThanOrEqual(0)
  const {x, y, width, height} = (await dialog.boundingBox())!
  const window = dialog.page().viewportSize()!
  expect(x >= 0 && y >= 0 && x + width <= window.width && y + height <= window.height).toBe(true)
  for (const name of buttons) {
    const button = dialog.getByRole('button', {name})
    await button.scrollIntoViewIfNeeded()
    await expect(button).toBeInViewport({ratio: 1})
  }
}
