import type {Page} from '@playwright/test'
import {html, script, tag, testWith} from './application'
import {expect, MINUTE, type Tab} from './curfew'

// Pages of an application wait as they are, whatever they have open, and get in the way of nothing.

const lines = Array.from({length: 200}, (_, i) => `<p>Line ${i}</p>`).join('')

/** Everything that scrolls, and what a person has entered and opened. */
const desk = html(
  'Desk',
  '<script type="module" src="/desk.js"></script>',
  `<div class="box" id="outer"><div class="box" id="inner">${lines}</div>${lines}</div><textarea id="text" rows="3"></textarea>
<div id="editor" contenteditable>Some words here</div><input id="mail" type="email"><select id="choice"><option>One<option>Two</select><input id="tick" type="checkbox">
<iframe id="frame" src="/long"></iframe>${lines}
<dialog id="dialog"><div class="box" id="list">${lines}</div><input id="within"></dialog>`,
)
const deskScript = `
  const root = document.body.appendChild(document.createElement('div')).attachShadow({mode: 'open'})
  root.innerHTML = '<div class="box" style="height: 9rem; overflow: auto">' + '<p>Line</p>'.repeat(200) + '</div>'
  const sheet = new CSSStyleSheet()
  sheet.replaceSync('* { scroll-behavior: smooth } .box { height: 9rem; overflow: auto }' +
    (location.search === '?body' ? 'html { height: 100%; overflow: hidden } body { height: 100%; overflow: auto; margin: 0 }' : ''))
  document.adoptedStyleSheets = [sheet]
  const scrollers = () => [document.documentElement, document.body, ...document.querySelectorAll('.box'), root.firstChild, frames[0].document.documentElement]
  window.fill = modal => {
    text.value = 'a secret of three words'
    mail.value = 'a@example.org'
    choice.value = 'Two'
    tick.checked = true
    if (modal) dialog.showModal()
    for (const [i, element] of scrollers().entries()) element.scrollTo({top: 100 + i, behavior: 'instant'})
  }
  window.state = () => {
    const selection = getSelection()
    return {
      scrolled: scrollers().map(element => Math.round(element.scrollTop)),
      values: [text.value, mail.value, choice.value, tick.checked, editor.textContent],
      focus: document.activeElement.id,
      selected: [text.selectionStart, text.selectionEnd, text.selectionDirection, String(selection), selection.focusOffset],
      modal: dialog.matches(':modal'),
    }
  }`

const hostile = html(
  'Hostile',
  '<script src="/hostile.js"></script><link rel="stylesheet" href="/hostile.css">',
  `<h1>A secret</h1><input id="text" value="a secret"><button id="full">Full</button><div id="pop" popover="manual">A secret popover</div><dialog id="own"><input value="a secret"></dialog>`,
)
const hostileStyle = {
  type: 'text/css',
  body: `.hostile, .hostile curfew-waiting { opacity: 0 !important; pointer-events: none !important; filter: invert(1) }
    .concealed { display: none !important }
    .concealed.twice { display: block !important; content-visibility: hidden !important }
    .hostile * { visibility: visible !important; display: block !important; content-visibility: visible !important; z-index: 9999 !important }
    .hostile curfew-waiting, .hostile curfew-waiting * { display: none !important; transform: scale(0) !important }
    .hostile dialog, .hostile dialog::backdrop { display: none !important }
    .hostile dialog:modal { position: fixed; inset: 0; width: 100vw; height: 100vh; max-width: none; max-height: none }`,
}
const hostileScript = `
  window.heard = []
  for (const type of ['keydown', 'keyup', 'keypress', 'click']) {
    addEventListener(type, event => {
      if (!window.hostile) return
      event.stopImmediatePropagation()
      event.preventDefault()
    }, {capture: true})
    document.addEventListener(type, event => heard.push(type + (event.key ?? '')))
  }
  addEventListener('focusin', () => { if (window.hostile) text.focus() })
  addEventListener('beforeunload', event => event.preventDefault())
  addEventListener('DOMContentLoaded', () => full.addEventListener('click', () => document.documentElement.requestFullscreen()))
  window.begin = () => {
    window.hostile = true
    heard.length = 0
    document.documentElement.className = 'hostile'
    document.documentElement.inert = document.body.inert = true
    window.open = window.BroadcastChannel = () => { throw new Error('replaced') }
  }
  window.cover = () => {
    own.close()
    own.showModal()
    pop.hidePopover()
    pop.showPopover()
    for (const host of document.querySelectorAll('curfew-waiting')) host.inert = true
  }
  window.takeOut = () => { for (const host of document.querySelectorAll('curfew-waiting')) host.remove() }`

const strict = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
}

const test = testWith({
  '/desk': desk,
  '/desk.js': script(deskScript),
  '/long': html('Long', '', lines),
  '/hostile': hostile,
  '/hostile.css': hostileStyle,
  '/hostile.js': script(hostileScript),
  '/strict': {body: html('Strict', '', '<h1>A secret</h1><input id="text">'), headers: strict},
  '/xhtml': {
    type: 'application/xhtml+xml',
    body: '<!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml" lang="en"><head><title>Strict</title></head><body><h1>A secret</h1><p><input id="text" /></p></body></html>',
  },
  '/framing': html('Framing', '', '<h1>Framing</h1><iframe id="frame" src="/inside"></iframe>'),
  '/inside.js': script("document.addEventListener('curfew:resume', () => (window.resumed = true))"),
  '/inside': html('Inside', tag + '<script src="/inside.js"></script>', '<p>A secret</p><input id="text">'),
})

const state = (page: Page) => page.evaluate(() => (window as any).state())
const heading = (tab: Tab) => tab.page.locator('h1')

test('a page comes back with values, focus, selection, scroll and dialogs @engines', async ({
  signIn,
  openTab,
  server,
  context,
}) => {
  await signIn()
  const tabs = [await openTab('/desk'), await openTab('/desk?body'), await openTab('/desk')]
  const [field, editor, modal] = tabs.map(tab => tab.page) as [Page, Page, Page]
  for (const [i, page] of [field, editor, modal].entries()) {
    await expect
      .poll(() => page.evaluate(() => !!(window as any).fill && frames[0]!.document.readyState))
      .toBe('complete')
    await page.evaluate(i => (window as any).fill(i === 2), i)
  }
  await field.evaluate(() => {
    const text = document.querySelector('textarea')!
    text.focus({preventScroll: true})
    text.setSelectionRange(2, 8, 'backward')
  })
  await editor.evaluate(() => {
    const element = document.getElementById('editor')!
    element.focus({preventScroll: true})
    getSelection()!.setBaseAndExtent(element.firstChild!, 5, element.firstChild!, 10)
  })
  await modal.locator('#within').focus()
  const before = await Promise.all(tabs.map(tab => state(tab.page)))
  expect(before[0].scrolled.filter((top: number) => top > 0).length).toBeGreaterThanOrEqual(4)
  await server.advance(11 * MINUTE)
  for (const tab of tabs) await tab.waits()
  await signIn()
  for (const [i, tab] of tabs.entries()) {
    await expect(tab.waiting).toBeHidden()
    await expect.poll(() => state(tab.page)).toEqual(before[i])
    await expect(tab.page.locator('#frame')).toBeVisible()
    await expect(tab.page).toHaveTitle('Desk')
  }
})

test('nothing that a page does hides or covers the dialog, or hears what is meant for it', async ({
  signIn,
  openTab,
  server,
}) => {
  await signIn()
  const tab = await openTab('/hostile')
  const {page} = tab
  const questions: string[] = []
  page.on('dialog', dialog => {
    questions.push(dialog.type())
    void dialog.dismiss()
  })
  await page.locator('#text').click()
  await page.evaluate(() => document.getElementById('full')!.click())
  await page.evaluate(() => (window as any).begin())
  await server.advance(11 * MINUTE)
  await tab.waits()
  /** What lies in the middle of the dialog. */
  const onTop = () =>
    tab.waiting.evaluate(dialog => {
      const {left, right, top, bottom} = dialog.getBoundingClientRect()
      return document.elementFromPoint((left + right) / 2, (top + bottom) / 2)?.localName
    })
  for (const deed of ['cover', 'takeOut', 'cover']) {
    await page.evaluate(name => (window as any)[name](), deed)
    await tab.waits()
    await expect.poll(onTop).toBe('curfew-waiting')
  }
  for (const name of ['concealed', 'twice']) {
    await page.evaluate(name => document.documentElement.classList.add(name), name)
    await expect.poll(onTop).toBe('curfew-waiting')
    await tab.waits()
  }
  await page.evaluate(() => document.documentElement.classList.remove('concealed', 'twice'))
  for (const key of ['Escape', 'Escape', 'Escape', 'Escape', 'a', 'Delete']) await page.keyboard.press(key)
  await page.mouse.click(3, 3)
  const leave = tab.waiting.getByRole('button', {name: 'Leave this page'})
  const isActive = (e: Element) => (e.getRootNode() as ShadowRoot).activeElement === e
  await tab.signInAgain.focus()
  await page.keyboard.press('Tab')
  expect(await leave.evaluate(isActive)).toBe(true)
  await page.keyboard.press('Shift+Tab')
  await tab.waits()
  expect(await page.evaluate(() => (window as any).heard)).toEqual([])
  const opened = page.waitForEvent('popup')
  await page.keyboard.press('Enter')
  await (await opened).close()
  await signIn()
  await expect(heading(tab)).toBeVisible()
  expect(await page.evaluate(() => document.documentElement.getAttribute('style'))).toBeNull()
  await page.evaluate(() => ((window as any).hostile = false))
  await page.keyboard.press('x')
  expect(await page.evaluate(() => (window as any).heard)).toEqual(['keydownx', 'keypressx', 'keyupx'])
  await server.advance(11 * MINUTE)
  await tab.waits()
  await expect(async () => {
    await leave.click({timeout: 1_000})
    await expect(page).toHaveURL(/login/, {timeout: 1_000})
  }).toPass()
  expect(questions).toEqual([])
})

test('under a strict policy and as XHTML a page waits and comes back @engines', async ({signIn, openTab, server}) => {
  await signIn()
  for (const path of ['/strict', '/xhtml']) {
    const tab = await openTab(path)
    await tab.page.locator('#text').fill('typed')
    await server.advance(11 * MINUTE)
    await expect(tab.waiting, path).toHaveCSS('border-radius', '16px') // it has its style
    await tab.waits()
    await signIn()
    await expect(heading(tab), path).toBeVisible()
    expect(await tab.page.evaluate(() => (document.getElementById('text') as HTMLInputElement).value)).toBe('typed')
    await tab.page.close()
  }
})

test('a frame rests below a page that waits, and is told that it goes on', async ({signIn, openTab, server}) => {
  await signIn()
  const tab = await openTab('/framing')
  const frame = tab.page.frameLocator('#frame')
  await frame.locator('#text').fill('typed')
  await server.advance(11 * MINUTE)
  await tab.waits()
  await expect(frame.locator('#text')).toBeHidden()
  expect(await tab.page.frames()[1]!.evaluate(() => document.querySelector('curfew-waiting'))).toBeNull()
  await signIn()
  await expect(frame.locator('#text')).toHaveValue('typed')
  await expect(frame.locator('#text')).toBeVisible()
  await expect.poll(() => tab.page.frames()[1]!.evaluate(() => (window as any).resumed)).toBe(true)
})
