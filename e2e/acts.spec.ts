import type {Page} from '@playwright/test'
import {countActs, expect, MINUTE, type Tab, test as base} from './curfew'
import {Site} from './site'

/**
 * A page of some other application on the guarded origin, with everything in it that people act on.
 */
const workshop = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Workshop</title>
<script type="module" src="/static/curfew.js" data-socket="/session/ws"></script></head><body>
<h1>Workshop</h1><label>Text <input id="text"></label>
<div id="inner" tabindex="0"><p>Long</p><p id="tall">text</p></div>
<button id="deaf">Deaf</button><p id="drag" draggable="true">Drag me</p><p id="drop">Here</p>
<iframe id="frame" title="Frame" src="/frame"></iframe>
<script src="/workshop.js"></script></body></html>`

const script = `
  document.getElementById('inner').style.cssText = 'height: 80px; overflow: auto'
  document.getElementById('tall').style.height = '2000px'
  for (const type of ['pointerdown', 'mousedown', 'keydown', 'keyup', 'pointermove', 'mousemove', 'click'])
    document.getElementById('deaf').addEventListener(type, event => { event.stopImmediatePropagation(); event.preventDefault() })
  document.getElementById('drop').addEventListener('dragover', event => event.preventDefault())`

const noise = `
  for (const type of ['pointerdown', 'pointermove', 'mousemove', 'wheel', 'touchstart', 'keydown', 'keyup', 'input', 'scroll', 'paste'])
    for (const target of [window, document, document.body, document.getElementById('text')]) target.dispatchEvent(new Event(type, {bubbles: true, composed: true}))
  document.getElementById('text').value = 'set by script'
  document.getElementById('deaf').click()
  document.getElementById('inner').scrollTop = 500
  scrollTo(0, 100)
  document.title = 'noise made'`

const test = base.extend<{workshop: Tab}, {site: Site}>({
  site: [
    async ({}, use) => {
      const site = await Site.start({
        '/workshop': ['text/html', workshop],
        '/frame': ['text/html', '<!doctype html><title>Frame</title><label>Inside <input id="inside"></label>'],
        '/workshop.js': ['text/javascript', script],
        '/noise.js': ['text/javascript', noise],
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
  workshop: async ({signIn, openTab}, use) => {
    await signIn()
    await use(await openTab('/workshop'))
  },
})

const ways: Record<string, (tab: Tab) => Promise<void>> = {
  'the pointer moves': tab => tab.page.mouse.move(200 + Math.random() * 50, 9),
  'a button is pressed': async tab => {
    await tab.page.mouse.down()
    await tab.page.mouse.up()
  },
  'the wheel turns': tab => tab.page.mouse.wheel(0, 10),
  'a key is pressed': tab => tab.page.keyboard.press('a'),
  'a key is held': async tab => {
    for (let i = 0; i < 3; i++) await tab.page.keyboard.down('j')
  },
  'a key is let go': tab => tab.page.keyboard.up('j'),
}

test('everything that a person does withdraws the warning', async ({workshop: tab, advance}) => {
  await tab.page.locator('#text').focus()
  for (const [way, act] of Object.entries(ways)) {
    await test.step(way, async () => {
      await advance(9 * MINUTE)
      await expect(tab.warning).toBeVisible()
      await act(tab)
      await expect(tab.warning).toBeHidden()
    })
  }
})

/** What a person does to cause each event that the client listens to. */
const causes: Record<string, (page: Page) => Promise<unknown>> = {
  pointermove: page => page.mouse.move(200, 9),
  mousemove: page => page.mouse.move(210, 9),
  pointerdown: async page => {
    await page.mouse.down()
    await page.mouse.up()
  },
  pointerup: async page => {
    await page.mouse.down()
    await page.mouse.up()
  },
  mousedown: async page => {
    await page.mouse.down()
    await page.mouse.up()
  },
  wheel: page => page.mouse.wheel(0, 10),
  touchstart: touch,
  touchmove: touch,
  keydown: page => page.keyboard.press('a'),
  keyup: page => page.keyboard.press('a'),
  input: async page => {
    await page.locator('#text').focus()
    await page.keyboard.insertText('dictated')
  },
  cut: async page => {
    await page.locator('#text').selectText()
    await page.keyboard.press('Control+x')
  },
  paste: async page => {
    await page.locator('#text').focus()
    await page.keyboard.press('Control+v')
  },
  drag: dragAndDrop,
  dragover: dragAndDrop,
  drop: dragAndDrop,
}

async function touch(page: Page) {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Input.dispatchTouchEvent', {type: 'touchStart', touchPoints: [{x: 30, y: 20}]})
  await cdp.send('Input.dispatchTouchEvent', {type: 'touchMove', touchPoints: [{x: 60, y: 20}]})
  await cdp.send('Input.dispatchTouchEvent', {type: 'touchEnd', touchPoints: []})
  await cdp.detach()
}

/** Drags as a hand does, in small steps and without Playwright's interception. */
async function dragAndDrop(page: Page) {
  const [from, to] = [(await page.locator('#drag').boundingBox())!, (await page.locator('#drop').boundingBox())!]
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Input.setInterceptDrags', {enabled: false})
  const mouse = (type: 'mousePressed' | 'mouseMoved' | 'mouseReleased', way: number) =>
    cdp.send('Input.dispatchMouseEvent', {
      type,
      button: 'left',
      buttons: type === 'mouseReleased' ? 0 : 1,
      clickCount: 1,
      x: from.x + 5 + 20 * way,
      y: from.y + 5 + (to.y - from.y) * way,
    })
  await mouse('mousePressed', 0)
  for (let i = 1; i <= 10; i++) await mouse('mouseMoved', i / 10)
  await mouse('mouseReleased', 1)
  await cdp.detach()
}

/**
 * A page in which Curfew hears no event but those of one type: a listener that was there first
 * takes away the others.
 */
async function keenEar(page: Page) {
  await page.addInitScript(
    types => {
      for (const type of types) {
        window.addEventListener(
          type,
          event => {
            if (type === (window as any).only) return
            event.stopImmediatePropagation()
            if (type === 'dragover') event.preventDefault() // the page itself would allow the drop
          },
          {capture: true},
        )
      }
    },
    [...Object.keys(causes), 'scroll'],
  )
  return (type: string) =>
    page.evaluate(only => {
      ;(window as any).only = only
    }, type)
}

test('each event by itself is an act', async ({context, signIn, server}) => {
  await signIn()
  const page = await context.newPage()
  const count = await countActs(page)
  const only = await keenEar(page)
  await page.goto(server.url + '/workshop')
  await expect.poll(() => server.story('input')).toContain('tab opened')
  const heard = async (type: string, cause: () => Promise<unknown>) =>
    test.step(type, async () => {
      await only(type)
      const before = count()
      await cause()
      await expect.poll(count, type).toBeGreaterThan(before)
    })
  for (const [type, cause] of Object.entries(causes)) await heard(type, () => cause(page))
  await page.locator('#inner').hover()
  await only('pointerdown')
  await page.mouse.down()
  await heard('scroll', () =>
    page.locator('#inner').evaluate(inner => {
      inner.scrollTop += 40
    }),
  ) // with the button held
  await page.mouse.up()
})

test('what a widget swallows is an act, and what is typed in a frame', async ({context, signIn, server}) => {
  await signIn()
  const page = await context.newPage()
  const count = await countActs(page)
  await page.goto(server.url + '/workshop')
  await expect.poll(() => server.story('input')).toContain('tab opened')
  await page.locator('#deaf').click()
  await expect.poll(count).toBeGreaterThan(0)
  await page.frameLocator('#frame').locator('#inside').focus()
  const before = count()
  await page.keyboard.press('y')
  await expect.poll(count).toBeGreaterThan(before)
})

test('a touch is an act', async ({browser, signIn, server}) => {
  const context = await browser.newContext({hasTouch: true})
  await signIn('ada', context)
  const page = await context.newPage()
  await page.goto(server.url)
  await page.touchscreen.tap(30, 300)
  await expect.poll(() => server.story('input')).toContain('activity')
  await context.close()
})

test('what scripts do is no act, nor is polling or a reload by a timer', async ({workshop: tab, advance, server}) => {
  const acts = async () => (await server.story('input')).filter(what => /activity/.test(what)).length
  const before = await acts()
  await tab.page.addScriptTag({url: '/noise.js'})
  await expect(tab.page).toHaveTitle('noise made')
  for (let i = 0; i < 5; i++) await tab.page.request.get(server.url + '/session/status')
  await tab.page.request.get(server.url + '/') // no person started it
  expect(await acts()).toBe(before)
  await advance(9 * MINUTE)
  await expect(tab.warning).toBeVisible()
  await advance(MINUTE)
  await tab.waits()
})

test('the movement that a browser tells a page of under no mouse is no act', async ({workshop: tab, server}) => {
  await tab.page.evaluate(() => addEventListener('mousemove', () => document.body.append('moved'), {once: true}))
  await tab.page.mouse.move(0, 0)
  await expect(tab.page.getByText('moved')).toBeVisible()
  expect(await server.story('input')).not.toContain('activity') // the first one goes out at once
  await tab.page.mouse.move(5, 5)
  await expect.poll(() => server.story('input')).toContain('activity')
})

test('moving over the warning, Tab and arrows leave it open; its buttons work by keyboard alone', async ({
  signIn,
  openTab,
  advance,
  server,
}) => {
  await signIn()
  const tab = await openTab()
  await tab.note.fill('typed')
  await tab.note.evaluate((field: HTMLTextAreaElement) => field.setSelectionRange(1, 3))
  await advance(9 * MINUTE)
  await expect(tab.stay).toBeFocused()
  const box = (await tab.warning.boundingBox())!
  await tab.page.mouse.move(box.x + 20, box.y + 20)
  await tab.page.mouse.move(box.x + 40, box.y + 30)
  await tab.page.keyboard.press('Tab')
  await expect(tab.signOut).toBeFocused()
  await tab.page.keyboard.press('Shift+Tab')
  await tab.page.keyboard.press('ArrowDown')
  await expect(tab.stay).toBeFocused()
  expect(await server.story('decision')).not.toContain('withdraw warning')
  await tab.page.keyboard.press('Enter')
  await expect(tab.warning).toBeHidden()
  await expect(tab.note).toBeFocused()
  expect(
    await tab.note.evaluate((field: HTMLTextAreaElement) => [field.selectionStart, field.selectionEnd, field.value]),
  ).toEqual([1, 3, 'typed'])
  await advance(9 * MINUTE)
  await expect(tab.warning).toBeVisible()
  await tab.page.keyboard.press('Escape')
  await expect(tab.warning).toBeHidden()
  await expect(tab.note).toBeFocused()
})

test('Space on Sign out now signs out', async ({signIn, openTab, advance}) => {
  await signIn()
  const tab = await openTab()
  await advance(9 * MINUTE)
  await expect(tab.stay).toBeFocused()
  await tab.page.keyboard.press('Tab')
  await tab.page.keyboard.press('Space')
  await expect(tab.page.getByText('You have signed out.')).toBeVisible()
})

test('the countdown is told at minutes, then at 40 and 20 seconds', async ({
  signIn,
  openTab,
  advance,
  context,
  server,
}) => {
  await signIn()
  const tab = await openTab()
  await advance(9 * MINUTE)
  const spoken = tab.warning.locator('[aria-live=assertive]')
  await expect(tab.warning).toContainText(/0:5\d|1:00/)
  const leave = async (ms: number) => {
    const {expire_in_ms} = await (await context.request.get(server.url + '/session/status')).json()
    await advance(expire_in_ms - ms)
  }
  await leave(42_000)
  await expect(spoken).toHaveText('40 seconds left')
  await leave(22_000)
  await expect(spoken).toHaveText('20 seconds left')
  await leave(18_000) // past all marks: nothing is repeated
  await expect(tab.warning).toContainText(/0:1\d/)
  await expect(spoken).toHaveText('20 seconds left')
})

test('the time is told, a little late, by a page that was busy at its mark', async ({
  signIn,
  openTab,
  advance,
  context,
  server,
}) => {
  await signIn()
  const tab = await openTab()
  await advance(9 * MINUTE)
  await expect(tab.warning).toBeVisible()
  const {expire_in_ms} = await (await context.request.get(server.url + '/session/status')).json()
  await advance(expire_in_ms - 38_500)
  await expect(tab.warning.locator('[aria-live=assertive]')).toHaveText(/^3\d seconds left$/)
})
