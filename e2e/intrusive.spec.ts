import type {Page} from '@playwright/test'
import {html, script, testWith} from './application'
import {countActs, expect, MINUTE, nothing, shows, Tab} from './curfew'

// Pages of an application that get in the way without meaning to: their scripts replace what the
// browser gives, their elements are named like what the script reads, their observers fight for
// what they have set.

/** Each replaces something once the script has begun. */
const replaced = `
  const broken = () => { throw new Error('replaced') }
  window.replaceAll = () => {
    for (const name of ['fetch', 'WebSocket', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'URL', 'URLSearchParams', 'requestAnimationFrame']) window[name] = broken
    window.Date = class { static now() { return 0 } }
    window.performance.now = () => 0
    window.JSON = {parse: broken, stringify: broken}
    customElements.define = broken
  }`

const clobbered = html(
  'Clobbered secret',
  '',
  `<iframe name="hidden"></iframe><iframe name="body"></iframe><img name="title" alt=""><form name="head"></form>
<form id="form"><input name="style"><input name="matches"><input name="children"><input id="text" name="remove" value="a secret"><p>A secret</p></form>`,
)

const fights = `
  const fight = (target, options, act) => { new MutationObserver(act).observe(target, options); act() }
  const [title, app] = [document.querySelector('title'), document.getElementById('app')]
  window.rounds = 0
  fight(title, {childList: true, characterData: true, subtree: true}, () => { rounds++; if (document.title !== 'A secret title') document.title = 'A secret title' })
  fight(app, {attributes: true}, () => { rounds++; if (app.style.display !== 'block') app.style.setProperty('display', 'block', 'important') })
  fight(document.body, {attributes: true}, () => { if (document.body.style.visibility !== 'visible') document.body.style.setProperty('visibility', 'visible', 'important') })`

const bent = `
  Array.from = list => [list]
  Array.prototype.toJSON = function () { return 'bent' }
  Object.prototype.each = Array.prototype.each = function () {}
  Element.prototype.remove = function () { if (this.parentNode) this.parentNode.removeChild(this); return this }
  Function.prototype.bind = function (self) { const f = this; return function () { return f.apply(self, arguments) } }`

const hosts = `
  for (const [name, mode, style] of [['a-open', 'open', 'display: block'], ['a-closed', 'closed', 'display: block'], ['a-loud', 'closed', 'all: initial']])
    customElements.define(name, class extends HTMLElement {
      constructor() {
        super()
        const root = this.attachShadow({mode})
        root.innerHTML = '<style>:host { ' + style + ' !important; visibility: visible !important; content-visibility: visible !important } p { visibility: visible !important }</style><p>A secret ' + name + '</p><input value="a secret">'
        ;(window.roots ??= []).push(root)
      }
    })
  for (const name of ['a-open', 'a-closed', 'a-loud']) document.body.append(document.createElement(name))
  if (location.search) document.documentElement.append(document.createElement('a-open'), document.createElement('a-loud'))`

const traps = `
  const trap = document.getElementById('trap')
  document.addEventListener('focusin', event => { if (!trap.contains(event.target)) trap.querySelector('input').focus() })
  addEventListener('keydown', event => {
    if (event.key !== 'Tab') return
    event.preventDefault()
    event.stopImmediatePropagation()
    trap.querySelector('input').focus()
  }, {capture: true})
  trap.querySelector('button').addEventListener('click', async () => {
    await trap.requestFullscreen()
    document.getElementById('pop').showPopover()
    trap.querySelector('input').focus()
  })`

const test = testWith({
  '/traps': html(
    'Traps',
    '<script defer src="/traps.js"></script>',
    '<div id="trap"><input id="text"><button>Full</button></div><div id="pop" popover="manual">A popover</div>',
  ),
  '/traps.js': script(traps),
  '/replaced': html('Replaced', `<script src="/replaced.js"></script>`, '<h1>Replaced</h1>'),
  '/replaced.js': script(replaced),
  '/clobbered': clobbered,
  '/fights': html('Fights', '<script type="module" src="/fights.js"></script>', '<div id="app"><p>A secret</p></div>'),
  '/fights.js': script(fights),
  '/bent': html('Bent', `<script src="/bent.js"></script>`, '<h1>Bent</h1>'),
  '/bent.js': script(bent),
  '/hosts': html('Hosts', '<script type="module" src="/hosts.js"></script>', ''),
  '/hosts.js': script(hosts),
  '/plain': html('Plain', '', '<h1>Plain</h1><input id="text">'),
})

test('a page whose scripts replace what browsers give warns, stays and ends @engines', async ({
  signIn,
  openTab,
  advance,
}) => {
  await signIn()
  const tab = await openTab('/replaced')
  await tab.page.locator('curfew-warning').waitFor({state: 'attached'})
  await tab.page.waitForLoadState('networkidle') // all modules have begun
  await tab.page.evaluate(() => (window as any).replaceAll())
  await advance(9 * MINUTE)
  await tab.stay.click()
  await expect(tab.warning).toBeHidden()
  await advance(9 * MINUTE)
  await tab.signOut.click()
  await tab.signedOut('You have signed out.')
})

test('a page that has elements named like what the script reads is guarded all the same @engines', async ({
  signIn,
  openTab,
  advance,
}) => {
  await signIn()
  const tab = await openTab('/clobbered')
  await advance(9 * MINUTE)
  await expect(tab.stay).toBeVisible()
  await tab.stay.click()
  await expect(tab.warning).toBeHidden()
  await tab.page.evaluate(() => document.dispatchEvent(new Event('freeze')))
  expect(await tab.page.evaluate(() => document.querySelector('title')!.textContent)).toBe(new URL(tab.server.url).host)
  expect(await tab.page.evaluate(() => (document.documentElement as HTMLElement).innerText.trim())).toBe('')
  await advance(10 * MINUTE)
  await expect(tab.waiting).toContainText(/no activity/)
  expect(await tab.page.evaluate(() => document.documentElement.innerText.trim())).toBe('')
})

test('a page whose observers fight for what they have set is blank, and leaves @engines', async ({
  signIn,
  openTab,
  server,
}) => {
  await signIn()
  const tab = await openTab('/fights')
  await tab.page.evaluate(() => document.dispatchEvent(new Event('freeze')))
  await expect.poll(() => shows(tab.page)).toMatchObject({text: ''})
  await server.forceLogout({user: 'ada'})
  await tab.signedOut(/administrator/)
})

test('a library that bends the language changes nothing @engines', async ({signIn, openTab, advance}) => {
  await signIn()
  const tab = await openTab('/bent')
  await advance(9 * MINUTE)
  await tab.stay.click()
  await expect(tab.warning).toBeHidden()
  await tab.page.evaluate(() => document.dispatchEvent(new Event('freeze')))
  await tab.blank()
  await tab.page.evaluate(() => document.dispatchEvent(new Event('resume')))
  await expect(tab.page.getByRole('heading', {name: 'Bent'})).toBeVisible()
  await advance(10 * MINUTE)
  await tab.waits()
})

/** Text that is rendered, in shadow trees too. */
const rendered = (page: Page) =>
  page.evaluate(() => {
    const seen: string[] = []
    const roots: ParentNode[] = [document, ...((window as any).roots ?? [])]
    for (const root of roots)
      for (const element of root.querySelectorAll('p, h1, input'))
        if (element.checkVisibility({visibilityProperty: true, contentVisibilityAuto: true}))
          seen.push(element.outerHTML)
    return seen
  })

for (const where of ['', '?around']) {
  test(`shadow trees that style their host are hidden ${where} @engines`, async ({signIn, openTab}) => {
    await signIn()
    const tab = await openTab('/hosts' + where)
    await expect.poll(() => rendered(tab.page)).not.toEqual([])
    await tab.page.evaluate(() => document.dispatchEvent(new Event('freeze')))
    expect(await rendered(tab.page)).toEqual([])
    await tab.page.evaluate(() => document.dispatchEvent(new Event('resume')))
  })
}

test('a page that is written anew is guarded as before @engines', async ({
  signIn,
  openTab,
  page,
  server,
  context,
  advance,
}) => {
  await signIn()
  await page.goto(server.url + '/plain')
  await expect(page.locator('curfew-warning')).toBeAttached()
  await page.evaluate(() => {
    document.open()
    document.write('<!doctype html><title>Written</title><h1>Written</h1><input id="text">')
    document.close()
  })
  await expect(page.getByRole('heading', {name: 'Written'})).toBeVisible()
  await page.locator('#text').focus()
  await page.keyboard.press('a')
  await expect.poll(() => server.story('input')).toContain('activity')
  await advance(9 * MINUTE)
  await expect(page.getByRole('alertdialog')).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('alertdialog')).toBeHidden()
  await advance(10 * MINUTE)
  await new Tab(page, server).waits()
})

test('the warning is worked by keys over full screen, popovers and a trap for the focus @engines', async ({
  signIn,
  openTab,
  advance,
  server,
}) => {
  await signIn()
  const tab = await openTab('/traps')
  const {page} = tab
  await page.getByRole('button', {name: 'Full'}).click()
  await expect(page.getByText('A popover')).toBeVisible()
  await page.keyboard.press('a')
  await expect.poll(() => server.story('input')).toContain('activity')
  await advance(9 * MINUTE)
  await expect(tab.stay).toBeFocused()
  await page.keyboard.press('Tab')
  await expect(tab.signOut).toBeFocused()
  await page.keyboard.press('Tab')
  await page.keyboard.press('Shift+Tab')
  await tab.stay.click()
  await expect(tab.warning).toBeHidden()
  // Firefox takes the focus from a window that is full screen and not there.
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('text')
})

test('the warning and the curtain outlive what a framework does to the document @engines', async ({
  signIn,
  openTab,
  advance,
}) => {
  await signIn()
  const tab = await openTab('/plain')
  const {page} = tab
  await expect(page.locator('curfew-warning')).toBeAttached()
  await advance(9 * MINUTE)
  await expect(tab.stay).toBeVisible()
  const replace = (what: 'body' | 'all') =>
    page.evaluate(how => {
      const body = document.createElement('body')
      body.innerHTML = '<h1>A secret of another body</h1><input value="a secret">'
      const head = document.createElement('head')
      head.innerHTML = '<title>A secret title</title>'
      if (how === 'body') document.body.replaceWith(body)
      else document.documentElement.replaceChildren(head, body)
    }, what)
  await replace('body')
  await expect(tab.stay).toBeVisible()
  await replace('all')
  await expect(tab.stay).toBeVisible() // it comes back within a second
  await tab.stay.click()
  await expect(tab.warning).toBeHidden()

  await page.evaluate(() => document.dispatchEvent(new Event('freeze')))
  await tab.blank()
  for (const what of ['body', 'all'] as const) {
    await replace(what)
    await tab.blank()
  }
  await page.evaluate(() => {
    const root = document.createElement('html')
    document.adoptedStyleSheets.length = 0
    document.documentElement.replaceWith(root)
    const body = document.createElement('body')
    body.innerHTML = '<p>A secret</p>'
    root.append(document.createElement('head'), body)
    document.title = 'A secret of a script'
    document.adoptedStyleSheets.pop()
  })
  await tab.blank()
  expect(await page.evaluate(() => document.adoptedStyleSheets.length)).toBe(1)
  await page.evaluate(() => document.dispatchEvent(new Event('resume')))
  await expect(page.getByText('A secret')).toBeVisible()
  await expect(page).toHaveTitle('A secret of a script')
  expect(await page.evaluate(() => document.adoptedStyleSheets.length)).toBe(0)
})
