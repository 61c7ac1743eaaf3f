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

const pages: Record<string, Answer> = {}
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
  const tabs = []
  for (const name of Object.keys(policies)) tabs.push(await openTab(path(name)))
  await advance(9 * MINUTE)
  for (const tab of tabs) {
    await expect(tab.stay).toBeVisible()
    await expect(tab.warning).toHaveCSS('border-radius', '16px') // it has its style
  }
  await tabs[0]!.stay.click()
  for (const tab of tabs) await expect(tab.warning).toBeHidden()
  await advance(9 * MINUTE)
  await tabs.at(-1)!.signOut.click()
  for (const tab of tabs) await tab.signedOut('You have signed out.')
  await signIn()
  const strict = await openTab(path('no form and no style'))
  await advance(9 * MINUTE)
  await strict.signOut.click()
  await strict.signedOut('You have signed out.')
})
