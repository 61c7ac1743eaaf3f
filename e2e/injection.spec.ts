import {createHash} from 'node:crypto'
import {brotliCompressSync} from 'node:zlib'
import {type Answer, html, script, testWith} from './application'
import {expect} from './curfew'

// Curfew puts its tag into pages of an application and takes nothing from them: their own scripts run
// as before, and their text reads as before.

/** What each page does by a script of its own. */
const own = "window.own = 'ok'"
const hash = `'sha256-${createHash('sha256').update(own).digest('base64')}'`
const others = "img-src 'self'; default-src 'none'"

const inline = html('Page', `<script>${own}</script>`, '')
const nonce = html('Page', `<script nonce="abc">${own}</script>`, '')
const under = (policy: string | string[], body: string): Answer => ({
  body,
  headers: {'content-security-policy': policy as string}, // several make several headers
})
const meta = (policy: string) =>
  html('Page', `<meta http-equiv="Content-Security-Policy" content="${policy}"><script>${own}</script>`, '')
const importMap =
  '<script type="importmap">{"imports": {"own": "/own.js"}}</script><script type="module">import "own"</script>'

const elsewhere = importMap.replace('/own.js', "data:text/javascript,window.own='ok'")

const pages: Record<string, Answer | string> = {
  '/no-policy': inline,
  '/hash': under(`${others}; script-src ${hash} 'unsafe-inline'`, inline),
  '/unsafe-inline': under(`${others}; script-src 'unsafe-inline'`, inline),
  '/several': under(
    [`${others}; script-src 'nonce-abc'`, `script-src ${hash}, default-src 'unsafe-inline' 'self'`],
    nonce,
  ),
  '/meta': meta(`${others}; script-src ${hash}`),
  '/meta-strict-dynamic': meta(`script-src 'strict-dynamic' ${hash}`),
  '/import-map': html('Page', importMap, ''),
  '/import-map-behind-base': html('Page', '<base href="http://127.0.0.1:1/">' + elsewhere, ''),
  '/xhtml': {
    ...under(
      `${others}; script-src 'self'`,
      '<x:html xmlns:x="http://www.w3.org/1999/xhtml"><x:body><x:script src="/own.js"></x:script></x:body></x:html>',
    ),
    type: 'application/xhtml+xml',
  },
  // The tag would move the charset out of the bytes in which browsers look for it.
  '/shift-jis': {
    headers: {'content-encoding': 'br'},
    body: brotliCompressSync(
      Buffer.concat([
        Buffer.from(`<!doctype html><html><head><!--${' '.repeat(900)}--><meta charset="shift_jis"><title>`),
        Buffer.from([0x93, 0xfa, 0x96, 0x7b]),
        Buffer.from(`</title><script>${own}</script></head><body></body></html>`),
      ]),
    ),
  },
}

const test = testWith({...pages, '/own.js': script(own)})

test('pages of any make are guarded, and do what they did before @engines', async ({page, signIn, server}) => {
  await signIn()
  for (const path of Object.keys(pages)) {
    await page.goto(server.url + path)
    await expect.poll(() => page.evaluate(() => (window as any).own), {message: path}).toBe('ok')
    await expect(page.locator('curfew-warning'), path).toBeAttached() // by a module of the script
  }
  expect(await page.title()).toBe('日本')
})
