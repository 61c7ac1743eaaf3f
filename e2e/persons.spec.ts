import {expect, MINUTE, test} from './curfew'
import {stored} from './stored'

// Two people use one browser, one after the other.

test('who comes next finds nothing, and whoever was there finds all again', async ({server, signIn, openTab}) => {
  await signIn('ada')
  const [one, two] = [await openTab(), await openTab('/account')]
  await one.note.pressSequentially('only for ada')
  await expect.poll(() => server.story('input')).toContain('activity')
  await server.advance(11 * MINUTE)
  for (const tab of [one, two]) await tab.waits()

  await signIn('grace')
  // A page that waited is gone: what stands there now is loaded anew, for grace.
  for (const tab of [one, two]) await expect(tab.page.getByText('grace').first()).toBeVisible()
  await one.connected()
  await expect(one.page).toHaveURL(server.url + '/')
  await one.note.pressSequentially('of grace')
  await expect.poll(async () => (await stored(one.page)).drafts).toBe(2)
  const found = await stored(one.page)
  for (const word of ['only for', 'grace', 'account']) expect(found.text).not.toContain(word)
  for (const tab of [one, two]) expect(await tab.page.content()).not.toContain('only for ada')
  await expect(one.page.getByText('What you typed is back.')).toBeHidden()

  await server.forceLogout({everyone: true})
  for (const tab of [one, two]) await tab.signedOut(/administrator/)
  await signIn('ada')
  await expect(one.note).toHaveValue('only for ada', {timeout: 10_000})
  await expect(one.page.getByText('What you typed is back.')).toBeVisible()
  await signIn('grace')
  await expect(one.note).toHaveValue('of grace', {timeout: 10_000})
})
