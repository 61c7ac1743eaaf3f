import {expect, MINUTE, test} from './curfew'

// A page whose session ended by time waits for its user, blank, and comes back as it was.

test('all tabs come back by one sign-in, as they were @engines', async ({server, signIn, openTab}) => {
  await signIn('grace')
  const other = await openTab()
  const tab = await openTab()
  await tab.note.pressSequentially('typed')
  await expect.poll(() => server.story('input')).toContain('activity')
  await server.advance(11 * MINUTE)
  for (const one of [tab, other]) await one.waits()
  const window = await tab.signInWindow()
  await window.getByLabel('User name').pressSequentially('grace')
  await window.getByLabel('Password').pressSequentially('grace-demo')
  const closed = window.waitForEvent('close')
  await window.getByRole('button', {name: 'Sign in'}).click()
  await closed
  for (const one of [tab, other]) await expect(one.note).toBeVisible()
  await expect(tab.note).toHaveValue('typed')
  await expect(tab.note).toBeFocused()
})
