import {type BrowserContext, expect, type Page} from '@playwright/test'

/** What the script of Curfew said in a page, as events, and what the browser did with the page. */
export interface Seen {
  /** Names of events, without `curfew:`. */
  events: string[]
  /** Why the session of the page has ended; empty where it goes on, or goes on again. */
  reason: string
  /** Whether the page came out of the browser's cache for Back. */
  restored: boolean
  frozen: boolean
}

/** Notes all of that from the start of each page, so that tests can wait for what has happened already. */
export function note() {
  const seen: Seen = {events: [], reason: '', restored: false, frozen: false}
  ;(window as any).curfewKit = seen
  for (const name of ['warn', 'active', 'notice', 'expire', 'resume', 'connection']) {
    document.addEventListener('curfew:' + name, event => {
      seen.events.push(name)
      if (name === 'expire') seen.reason = (event as CustomEvent).detail.reason ?? ''
      if (name === 'resume') seen.reason = ''
    })
  }
  addEventListener('pageshow', event => (seen.restored = event.persisted))
  document.addEventListener('freeze', () => (seen.frozen = true))
  document.addEventListener('resume', () => (seen.frozen = false))
}

/** What was noted in a page. */
export const seen = (page: Page): Promise<Seen | undefined> => page.evaluate(() => (window as any).curfewKit)

/**
 * Of the page that it runs in: its rendered text, its title, and how many rendered fields have a value. An
 * element of the page may have the name of a property, and be found in its place: an iframe called `body`.
 */
export const shown = () => ({
  text: document.documentElement?.innerText.trim() ?? '',
  title: Reflect.get(Document.prototype, 'title', document) as string,
  fields: [...document.querySelectorAll<HTMLInputElement>('input, textarea, select')].filter(
    f => f.value && f.getClientRects().length > 0,
  ).length,
})

/** What a page shows. */
export const shows = (page: Page) => page.evaluate(shown)

/** What a blank page shows: its title is the host, since for an empty one browsers show the address. */
export const nothing = (page: Page) => ({text: '', title: new URL(page.url()).host, fields: 0})

/** The server that guards the pages of a context, by its URL with the base path. */
const servers = new WeakMap<BrowserContext, string>()

export const guardedBy = (context: BrowserContext, url: string) => servers.set(context, url)

/** What a page shows, and what it has been told. */
export interface Look {
  url: string
  text: string
  title: string
  fields: number
  /** Whether nothing of the page is to be seen. */
  isBlank: boolean
  /** Whether the warning shows, as a dialog. */
  isWarned: boolean
  /** Whether the page waits for its user to sign in again. */
  isWaiting: boolean
  /** What the script said in it; undefined where nothing was noted. */
  seen: Seen | undefined
}

/** Of the page that it runs in: which dialogs of Curfew show, whatever their language, and what was noted. */
const told = () => {
  const hasOpen = (hosts: string, dialogs: string) =>
    [...document.querySelectorAll(hosts)].some(host => {
      const dialog = host.shadowRoot?.querySelector<HTMLDialogElement>(dialogs)
      return !!dialog?.open && dialog.getClientRects().length > 0 && getComputedStyle(dialog).visibility === 'visible'
    })
  return {
    url: location.href,
    isWarned: hasOpen('curfew-warning, curfew-plain', '[role=alertdialog]'),
    isWaiting: hasOpen('curfew-waiting', 'dialog'),
    seen: (window as any).curfewKit as Seen | undefined,
  }
}

/** Looks at a page, all at one moment. Undefined while it is on its way to another. */
export async function look(page: Page): Promise<Look | undefined> {
  let found: ReturnType<typeof shown> & ReturnType<typeof told>
  try {
    found = await page.evaluate(`({...(${shown})(), ...(${told})()})`)
  } catch (error) {
    if (page.isClosed()) throw error
    return undefined
  }
  const {text, title, fields, url} = found
  return {...found, isBlank: text === '' && fields === 0 && title !== '' && title === new URL(url).host}
}

/** The server that guards a page. */
export function serverOf(page: Page): string {
  const url = servers.get(page.context())
  if (url === undefined) {
    throw new Error(
      'This browser is not known to the kit: take it from otherBrowser(), or hand it to signIn or openTab.',
    )
  }
  return url
}
