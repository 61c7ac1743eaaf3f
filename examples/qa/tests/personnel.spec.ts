import {expect, MINUTE, test} from 'curfew-playwright'
import {watchTimers} from './timers.js'

// The personnel directory of examples/django. The workers share one server, so time passes for one
// session at a time: `age`, and not `advance`.

test.describe('in German', () => {
  test.use({locale: 'de-DE'})

  test('five tabs warn together and end together', async ({signIn, openTab, age}) => {
    await signIn({user: 'ada', groups: ['admins']})
    const tabs = []
    for (const path of ['/', '/people/grace/', '/people/ada/', '/changes/', '/admin/']) tabs.push(await openTab(path))
    await age(9 * MINUTE)
    for (const tab of tabs) await expect(tab).toBeWarned()
    await age(MINUTE)
    for (const tab of tabs) await expect(tab).toBeWaiting()
  })
})

test('half an hour at the desk', async ({signIn, openTab, age}) => {
  await signIn('grace')
  const page = await openTab('/people/grace/')
  const room = page.getByLabel('Room')
  const begin = performance.now()
  const longestWait = watchTimers()

  await age(9 * MINUTE)
  await expect(page).toBeWarned()
  await page.getByRole('button', {name: 'Stay signed in'}).click()
  await expect(page).not.toBeWarned()

  await age(9 * MINUTE)
  await expect(page).toBeWarned()
  await page.keyboard.press('Escape') // means the same
  await expect(page).not.toBeWarned()

  await room.fill('B 205')
  await age(12 * MINUTE)
  await expect(page).toHaveEnded('idle')
  await expect(page).toBeBlank()
  await signIn('grace')
  await expect(page).toBeSignedIn('grace')
  await expect(room).toHaveValue('B 205')
  console.log(`half an hour took ${Math.round(performance.now() - begin)} ms`)
  expect(longestWait()).toBeLessThanOrEqual(1000) // the longest pause in which an expectation looks again
})

test('a form is saved, and everybody who listens hears of it', async ({signIn, openTab, otherBrowser}) => {
  const other = await otherBrowser()
  await signIn('ada', other)
  const listener = await openTab('/changes/', other)
  await expect(listener.getByRole('status')).toHaveText('Listening.')

  await signIn('linus')
  const page = await openTab('/people/linus/')
  await page.getByLabel('Phone').fill('+358 9 5550 0200')
  await page.getByRole('button', {name: 'Save'}).click()
  await expect(page.getByRole('status')).toHaveText('Saved.')
  await expect(listener.getByRole('link', {name: 'Linus'})).toBeVisible()
})

test('an administrator signs one session out, and no other', async ({signIn, openTab, otherBrowser, forceLogout}) => {
  const session = await signIn('ada')
  const page = await openTab('/people/ada/')
  const other = await otherBrowser()
  await signIn('ada', other)
  const elsewhere = await openTab('/', other)

  await forceLogout({session: await session.ref(), message: 'This machine is needed.'})
  await expect(page).toHaveEnded('admin')
  await expect(page.getByText('This machine is needed.')).toBeVisible()
  await expect(elsewhere).toBeSignedIn('ada')
})

test('who signs in after somebody else finds nothing of theirs', async ({signIn, page}) => {
  await signIn({user: 'ada', password: 'ada-demo'})
  await page.goto('/people/grace/')
  await page.goto('/')
  await expect(page.getByRole('heading', {name: 'You looked up'})).toBeVisible()
  await page.goto('about:blank')
  await signIn({user: 'linus', password: 'linus-demo'})
  await page.goto('/')
  await expect(page).toBeSignedIn('linus')
  await expect(page.getByRole('heading', {name: 'You looked up'})).toBeHidden()
})
