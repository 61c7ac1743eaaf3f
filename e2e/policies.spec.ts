import {type Answer, html, testWith} from './application'
import {expect, MINUTE} from './curfew'

// Pages of an application whose policies are as strict as they get. Curfew lets its script into
// them; that asks for no more than to run, and for connect-src 'self'.

const self = "default-src 'none'; script-src 'self'; connect-src 'self'"

const policies: Record<string, string> = {
  nothing: "default-src 'none'",
  'a nonce': "default-src 'none'; script-src 'nonce-abc'; connect-src 'none'",
  'strict-dynamic': "script-src 'nonce-abc' 'strict-dynamic'; object-src 'none'; base-uri 'none'",
  'no form and no style': `${self}; form-action 'none'; style-src 'none'; base-uri 'none'; frame-ancestors 'none'`,
  'trusted types': `${self}; require-trusted-types-for 'script'; trusted-types 'none'`,
  'a sandbox': `${self}; sandbox allow-scripts allow-same-origin`,
}

const path = (name: string) => '/' + name.replaceAll(' ', '-')

const pages: Record<string, Answer> = {'/': {body: html('First', '', '')}}
for (const [name, policy] of Object.entries(policies)) {
  pages[path(name)] = {
    body: html(name, '', `<h1>${name}</h1>`),
    headers: {
      'content-security-policy': policy + "; img-src 'self'", // where Firefox asks for an icon
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'x-content-type-options': 'nosniff',
    },
  }
}

const test = testWith(pages)

test('under the strictest policies a page warns in full, and signs out @engines', async ({
  signIn,
  openTab,
  advance,
}) => {
  await signIn()
  const tab = await openTab()
  for (const name of Object.keys(policies)) {
    await tab.goto(path(name))
    await tab.connected()
    await advance(9 * MINUTE)
    await expect(tab.warning, name).toHaveCSS('border-radius', '16px') // it has its style
    await tab.stay.click()
    await expect(tab.warning, name).toBeHidden()
  }
  for (const name of ['no form and no style', 'a sandbox']) {
    const leaving = await openTab(path(name))
    await advance(9 * MINUTE)
    await leaving.signOut.click()
    await leaving.signedOut('You have signed out.')
    await signIn()
  }
})
