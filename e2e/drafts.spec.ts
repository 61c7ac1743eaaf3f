import {expect, MINUTE, test} from './curfew'
import {keeps} from './stored'

// What is typed into a kept form comes back to its user, and can be read by nobody else.

test('what was typed up to the end is back after signing in anew @engines', async ({server, signIn, openTab}) => {
  await signIn('grace')
  const tab = await openTab()
  await keeps(tab.page)
  await tab.note.pressSequentially('typed to the end')
  await server.forceLogout({user: 'grace'})
  await tab.signedOut(/administrator/)
  await signIn('grace') // the sign-in page goes on by itself
  await expect(tab.note).toHaveValue('typed to the end')
  await expect(tab.page.getByText('What you typed is back.')).toBeVisible()
})
