import type {BrowserContext} from '@playwright/test'
import {expect, type Server, type Tab} from './curfew'

// What tests of pages that wait have in common.

/** Leaves a mark in the document, which lasts for as long as it does. */
export const mark = (tab: Tab) => tab.page.evaluate(() => void ((window as any).mark = true))
export const isMarked = (tab: Tab) => tab.page.evaluate(() => (window as any).mark === true)
export const events = (tab: Tab) => tab.page.evaluate(() => (window as any).curfewKit.events as string[])
export const heading = (tab: Tab) => tab.page.getByRole('heading').first()

/** The page is the one that waited. */
export async function isBack(tab: Tab, timeout = 5_000) {
  await expect(heading(tab)).toBeVisible({timeout})
  await expect(tab.waiting).toBeHidden()
  expect(await isMarked(tab)).toBe(true)
}

/** The page is gone, document and all, and another one is there. */
export async function isGone(tab: Tab, url: string | RegExp = /\/login\?next=/) {
  await expect(tab.page).toHaveURL(url)
  await expect.poll(() => isMarked(tab).catch(() => true)).toBe(false)
}

/** A session without a sign-in, whose cookies, or some, come into the browser by another way. */
export async function addSession(
  server: Server,
  context: BrowserContext,
  user: string,
  groups: string[],
  ...which: ('cookie' | 'seen')[]
) {
  const made = await server.call<{cookie: string; seen: string}>('session', {user, groups})
  const pairs = (which.length > 0 ? which : (['cookie', 'seen'] as const)).map(name => made[name])
  const cookies = pairs.map(pair => ({
    name: pair.slice(0, pair.indexOf('=')),
    value: pair.slice(pair.indexOf('=') + 1),
    domain: 'localhost',
    path: '/',
    secure: true,
    sameSite: 'Lax' as const,
  }))
  await context.addCookies(cookies)
}
