import type {Page, WebSocketRoute} from '@playwright/test'
import {countActs, expect, MINUTE, nothing, shows, Tab, test as base} from './curfew'
import {Site} from './site'

// The script on pages of some application that shares the origin with Curfew.

const script = '<script type="module" src="/static/curfew.js" data-socket="/session/ws"></script>'
const required = script.replace('data-socket', 'data-required data-socket')
const page = (title: string, rest: string): [string, string, string] => [
  'text/html',
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body><h1>${title}</h1>${rest}</body></html>`,
  'max-age=60',
]

const pages = {
  '/public': page('Public', script + '<a href="/plain">Onward</a>'),
  '/private': page('Private', required),
  '/plain': page('Plain', ''),
  '/framed': page('Framed', script + '<iframe id="frame" src="/first"></iframe>'),
  '/first': page('First', '<input id="inside"><a href="/second">On</a>'),
  '/second': page('Second', '<input id="inside"><script async src="/never.js"></script>'),
  '/late': page('Late', script),
  '/around': page(
    'Around',
    '<iframe title="One" src="/within?1"></iframe><iframe title="Two" src="/within?2"></iframe>' + script,
  ),
  '/within': page('Within', script),
  '/files': page('Files', script + '<a href="/file">File</a>'),
  '/file': ['application/octet-stream', 'content'] as [string, string],
  '/kept': page('Kept', required),
  '/worker.js': [
    'text/javascript',
    `
    addEventListener('install', event => event.waitUntil(caches.open('kept').then(cache => cache.add('/kept'))))
    addEventListener('activate', event => event.waitUntil(clients.claim()))
    addEventListener('fetch', event => { if (event.request.url.endsWith('/kept')) event.respondWith(caches.match('/kept')) })`,
  ] as [string, string],
  '/based': [
    'text/html',
    `<!doctype html><html lang="en"><head><title>Based</title><base href="http://127.0.0.1:9/"></head><body><h1>Based</h1>
${script.replace('src="', 'src="ORIGIN')}</body></html>`,
  ] as [string, string],
  '/long': page('Long', script + '<p id="tall">text</p><script src="/long.js"></script>'),
  '/long.js': ['text/javascript', "document.getElementById('tall').style.height = '5000px'"] as [string, string],
}

const test = base.extend<{}, {site: Site}>({
  site: [
    async ({}, use) => {
      const site = await Site.start(pages)
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

const atRest = (page: Page) => expect(page.locator('curfew-warning')).toHaveCount(0)

test(
  'a page that has no session comes back by Back as it was',
  {tag: '@chromium'},
  async ({page, goBackCached, server}) => {
    await page.goto(server.url + '/public')
    await atRest(page)
    await page.getByRole('link').click()
    await expect(page).toHaveTitle('Plain')
    await goBackCached(page)
    await expect(page.getByRole('heading', {name: 'Public'})).toBeVisible()
    await expect(page).toHaveTitle('Public')
  },
)

test(
  'a page that has no session shows itself after a freeze',
  {tag: '@chromium'},
  async ({realBrowser, freeze, server}) => {
    const {context} = await realBrowser()
    const page = context.pages()[0]!
    await page.goto(server.url + '/public')
    await atRest(page)
    await page.evaluate(() =>
      document.addEventListener('resume', () => {
        ;(window as any).thawed = true
      }),
    )
    const thaw = await freeze(page)
    await thaw()
    await expect.poll(() => page.evaluate(() => (window as any).thawed)).toBe(true)
    expect(await shows(page)).toMatchObject({text: expect.stringContaining('Public'), title: 'Public'})
  },
)

test('a page that requires a session goes to sign-in where there is none; any other is left alone @engines', async ({
  page,
  server,
}) => {
  await page.goto(server.url + '/private')
  await expect(page).toHaveURL(server.url + '/login?next=%2Fprivate')
  await page.goto(server.url + '/public')
  await atRest(page)
  await expect(page).toHaveURL(server.url + '/public')
})

test("the socket is asked of the page's origin, whatever its base @engines", async ({page, signIn, server}) => {
  await signIn()
  await page.goto(server.url + '/based')
  await expect.poll(() => server.story('input')).toContain('tab opened')
  await server.forceLogout({user: 'ada'})
  await expect(page).toHaveURL(server.url + '/login?next=%2Fbased')
})

/** How a frame comes to hold what a person types in, and where its field is then. */
const frames: Record<string, (page: Page) => Promise<unknown>> = {
  'led to a page that is still loading': page =>
    page.frame({url: /first/})!.evaluate(() => {
      location.href = '/second'
    }),
  'written anew by the page': page =>
    page.frame({url: /first/})!.evaluate(() => {
      document.open()
      document.write('<!doctype html><title>Written</title><input id="inside">')
      document.close()
    }),
  'written anew and not finished': page =>
    page.frame({url: /first/})!.evaluate(() => {
      document.open()
      document.write('<!doctype html><title>Written</title><input id="inside">')
    }),
  'put into a shadow tree': page =>
    page.evaluate(() => {
      document.getElementById('frame')!.remove()
      const frame = document.createElement('iframe')
      frame.id = 'frame'
      frame.src = '/second'
      document.body.appendChild(document.createElement('div')).attachShadow({mode: 'open'}).append(frame)
    }),
  'in another frame': page =>
    page.frame({url: /first/})!.evaluate(() => {
      document.querySelector('input')!.remove()
      const frame = document.createElement('iframe')
      frame.src = '/second'
      document.body.append(frame)
    }),
}

for (const [how, lead] of Object.entries(frames)) {
  test(`typing in a frame is an act: one ${how}`, async ({page, signIn, server}) => {
    await signIn()
    await page.route('**/never.js', () => {})
    const count = await countActs(page)
    await page.goto(server.url + '/framed')
    await expect(page.frameLocator('#frame').locator('#inside')).toBeVisible()
    await lead(page)
    await expect.poll(() => page.frames().some(frame => /second/.test(frame.url())) || /written/.test(how)).toBe(true)
    const outer = page.frameLocator('#frame')
    const field = (how === 'in another frame' ? outer.frameLocator('iframe') : outer).locator('#inside')
    await field.focus()
    await page.keyboard.press('a')
    await expect(field).toHaveValue('a')
    await expect.poll(count).toBeGreaterThan(0)
  })
}

test('a pointer that moves in a frame within a shadow tree is an act', async ({page, signIn, server}) => {
  await signIn()
  const count = await countActs(page)
  await page.goto(server.url + '/framed')
  await frames['put into a shadow tree']!(page)
  const box = (await page.locator('#frame').boundingBox())!
  await page.mouse.move(box.x + 50, box.y + 100)
  await expect.poll(count).toBeGreaterThan(0) // it entered the frame
  await page.mouse.move(box.x + 51, box.y + 100)
  const before = count()
  await page.mouse.move(box.x + 60, box.y + 110)
  await expect.poll(count).toBeGreaterThan(before)
})

test('what a script scrolls after a finger has scrolled is no act', async ({browser, signIn, server}) => {
  const context = await browser.newContext({hasTouch: true, isMobile: true, viewport: {width: 400, height: 700}})
  await signIn('ada', context)
  const page = await context.newPage()
  const count = await countActs(page)
  await page.goto(server.url + '/long')
  await expect.poll(() => server.story('input')).toContain('tab opened')
  await page.evaluate(() =>
    addEventListener(
      'pointercancel',
      () => {
        ;(window as any).cancelled = true
      },
      {capture: true},
    ),
  )
  const cdp = await context.newCDPSession(page)
  await cdp.send('Input.dispatchTouchEvent', {type: 'touchStart', touchPoints: [{x: 200, y: 600}]})
  for (let y = 590; y > 500; y -= 10)
    await cdp.send('Input.dispatchTouchEvent', {type: 'touchMove', touchPoints: [{x: 200, y}]})
  await expect.poll(() => page.evaluate(() => (window as any).cancelled)).toBe(true)
  await cdp.send('Input.dispatchTouchEvent', {type: 'touchEnd', touchPoints: []})
  await expect.poll(count).toBeGreaterThan(0)
  const scroll = (y: number) =>
    page.evaluate(
      to =>
        new Promise(done => {
          addEventListener('scroll', () => setTimeout(done, 50), {once: true})
          scrollTo(0, to)
        }),
      y,
    )
  await scroll(2000) // the last of the finger's own scrolling may come with it
  const before = count()
  await scroll(2500)
  expect(count()).toBe(before)
  await page.touchscreen.tap(30, 300)
  await expect.poll(count).toBeGreaterThan(before)
  await context.close()
})

/** Sockets whose other end is the test. */
async function ownSockets(
  page: Page,
  opened: (socket: WebSocketRoute, send: (message: object) => void, n: number) => void,
) {
  const asked: string[] = []
  await page.routeWebSocket(/session\/ws/, socket => {
    let seq = 0
    asked.push('connect')
    socket.onMessage(message => {
      if (/"sync"/.test(String(message))) asked.push('sync')
    })
    opened(
      socket,
      message => socket.send(JSON.stringify({seq: ++seq, ...message})),
      asked.filter(what => what === 'connect').length,
    )
  })
  return asked
}
const hello = {type: 'hello', tab: 'x', user: 'ada', heartbeat_ms: 15_000, extend_on: 'activity'}
const inTime = {warn_in_ms: 540_000, expire_in_ms: 600_000}

test('a page past its deadline whose server cannot end the session yet asks once a second, and stays blank', async ({
  page,
  signIn,
  server,
}) => {
  await signIn()
  const asked = await ownSockets(page, (socket, send, n) =>
    send({...hello, warn_in_ms: 0, expire_in_ms: n === 1 ? 200 : 0}),
  )
  await page.goto(server.url + '/late')
  await expect.poll(() => shows(page)).toEqual(nothing(page))
  const began = Date.now()
  await page.evaluate(() => {
    const times: number[] = ((window as any).shown = [])
    const look = () => {
      if (document.body.innerText.trim()) times.push(performance.now())
      requestAnimationFrame(look)
    }
    look()
  })
  await expect.poll(() => asked.length, {timeout: 10_000}).toBeGreaterThanOrEqual(4)
  expect(asked.length).toBeLessThanOrEqual(3 + (Date.now() - began) / 1000)
  expect(await page.evaluate(() => (window as any).shown)).toEqual([])
})

test('an act that is told before the server has greeted the page is told once', async ({page, signIn, server}) => {
  await signIn()
  const heard: string[] = []
  let say = (_message: object) => {}
  await ownSockets(page, (socket, send) => {
    say = send
    socket.onMessage(message => {
      heard.push(JSON.parse(String(message)).type)
    })
  })
  await page.goto(server.url + '/late')
  await expect(async () => {
    await page.keyboard.press('a') // until the socket is open: further ones are told with the next heartbeat
    expect(heard).toContain('activity')
  }).toPass()
  say({...hello, ...inTime})
  say({type: 'tick'})
  await expect.poll(() => heard).toContain('ack') // what was sent before has arrived
  expect(heard.filter(type => type === 'activity')).toHaveLength(1)
})

test('messages that waited while the page slept lift nothing: a new connection is asked', async ({
  page,
  signIn,
  server,
}) => {
  await signIn()
  const sends: ((message: object) => void)[] = []
  await ownSockets(page, (socket, send) => {
    sends.push(send)
  })
  await page.goto(server.url + '/late')
  await expect.poll(() => sends.length).toBe(1)
  await test.step('frozen, then thawed', async () => {
    sends[0]!({...hello, ...inTime})
    await page.locator('curfew-warning').waitFor({state: 'attached'})
    await page.evaluate(() => document.dispatchEvent(new Event('freeze')))
    sends[0]!({type: 'active', ...inTime})
    await page.evaluate(() => document.dispatchEvent(new Event('resume')))
    await expect.poll(() => sends.length).toBe(2)
    sends[0]!({type: 'active', ...inTime})
    expect(await shows(page)).toEqual(nothing(page))
    sends[1]!({...hello, warn_in_ms: 300, expire_in_ms: 500})
    await expect(page.getByRole('heading', {name: 'Late'})).toBeVisible()
  })
  await test.step('past its own deadline', async () => {
    await expect.poll(() => shows(page)).toEqual(nothing(page))
    sends[1]!({type: 'active', ...inTime})
    await expect.poll(() => sends.length).toBe(3)
    expect(await shows(page)).toEqual(nothing(page))
    sends[2]!({...hello, warn_in_ms: 300, expire_in_ms: 500})
    await expect(page.getByRole('heading', {name: 'Late'})).toBeVisible()
  })
  await test.step('come just as it asks', async () => {
    const started = page.waitForEvent('console', message => message.text() === 'busy')
    const busy = page.evaluate(() => {
      console.log('busy')
      const began = performance.now()
      while (performance.now() - began < 2_000);
    })
    await started
    sends[2]!({type: 'active', ...inTime})
    await busy
    await expect.poll(() => sends.length).toBe(4)
    expect(await shows(page)).toEqual(nothing(page))
    sends[3]!({...hello, ...inTime})
    await expect(page.getByRole('heading', {name: 'Late'})).toBeVisible()
  })
})

test('a page that a service worker answered is blank until the server has spoken, and goes to sign-in without a session @engines', async ({
  page,
  context,
  signIn,
  server,
}) => {
  await signIn()
  await page.goto(server.url + '/plain')
  await page.evaluate(async () => {
    await navigator.serviceWorker.register('/worker.js')
    await navigator.serviceWorker.ready
  })
  const sockets: ((message: object) => void)[] = []
  await ownSockets(page, (socket, send) => {
    sockets.push(send)
  })
  await page.goto(server.url + '/kept')
  await expect.poll(() => sockets.length).toBe(1)
  expect(await shows(page)).toEqual(nothing(page))
  sockets[0]!({...hello, ...inTime})
  await expect(page.getByRole('heading', {name: 'Kept'})).toBeVisible()
  await context.clearCookies()
  const late = await context.newPage()
  await late.goto(server.url + '/kept')
  await expect(late).toHaveURL(server.url + '/login?next=%2Fkept')
})

test('a page guards its frames: one socket, one dialog, and their scripts pass on @engines', async ({
  page,
  signIn,
  server,
  advance,
}) => {
  await signIn()
  const count = await countActs(page)
  await page.goto(server.url + '/around')
  const frame = page.frame({url: /within\?1/})!
  await expect.poll(() => server.story('input')).toContain('tab opened')
  await frame.evaluate(() => import('/static/curfew.js' as string).then(client => client.activity()))
  await expect.poll(() => server.story('input')).toContain('activity') // before the clock moves: later it would be an act of then
  expect(count()).toBe(1)
  await frame.evaluate(() =>
    document.addEventListener('curfew:warn', () => {
      ;(window as any).passedOn = true
    }),
  )
  await advance(9 * MINUTE)
  await expect(page.getByRole('alertdialog')).toBeVisible()
  await expect.poll(() => frame.evaluate(() => (window as any).passedOn)).toBe(true)
  for (const inner of page.frames().slice(1)) await expect(inner.locator('curfew-warning')).toHaveCount(0)
  expect((await server.story('input')).filter(what => what === 'tab opened')).toHaveLength(1)
  await advance(MINUTE)
  await new Tab(page, server).waits()
  for (const inner of page.frames().slice(1)) await expect(inner.locator('curfew-waiting')).toHaveCount(0)
})

test('a download is no goodbye: the page stays under the server, and closing it later is one @engines', async ({
  page,
  signIn,
  server,
}) => {
  await signIn()
  await page.clock.install()
  await page.goto(server.url + '/files')
  await expect.poll(() => server.story('input')).toContain('tab opened')
  const download = page.waitForEvent('download')
  await page.getByRole('link').click({noWaitAfter: true})
  await download
  const tabs = async () => (await server.forceLogout({user: 'ada', dry_run: true})).tabs
  await page.clock.runFor(100)
  await expect.poll(tabs, {timeout: 1_000}).toBe(1)
  await page.clock.fastForward(9_000)
  await page.close()
  await expect.poll(() => server.story('decision')).toContain('last tab closed')
})

test('a browser that does not tell of navigations: a link is one, though the page keeps clicks to itself, and a button is none', async ({
  context,
  signIn,
  server,
}) => {
  await signIn()
  const leave = async (how: (page: Page) => Promise<unknown>) => {
    const page = await context.newPage()
    await page.addInitScript(() => {
      Object.defineProperty(window, 'navigation', {value: undefined})
      document.addEventListener(
        'click',
        event => {
          event.stopPropagation()
          if ((window as any).opensNothing) event.preventDefault()
        },
        {capture: true},
      )
    })
    const opened = (await server.story('input')).filter(what => what === 'tab opened').length
    await page.goto(server.url + '/public')
    await expect
      .poll(async () => (await server.story('input')).filter(what => what === 'tab opened').length)
      .toBe(opened + 1)
    await how(page)
    await page.close()
    await expect.poll(async () => (await server.story('input')).at(-1)).toMatch(/^tab left/)
    return (await server.story('input')).at(-1)
  }
  expect(
    await leave(async page => {
      await page.getByRole('link').click()
      await expect(page).toHaveTitle('Plain')
    }),
  ).toBe('tab left: navigate')
  expect(
    await leave(async page => {
      await page.evaluate(() => {
        ;(window as any).opensNothing = true
      })
      await page.getByRole('link').click()
      await page.evaluate(() => new Promise(done => setTimeout(done)))
    }),
  ).toBe('tab left: closed')
})
