import {expect, type Page} from '@playwright/test'

/**
 * Holds a page in the language for testing (?lang=en-XA, in which every text is in ⟦ ⟧) to have no
 * text that is in no file: what a person sees or hears of it, in open shadow trees too.
 *
 * Data is no text: names, addresses, refs and times of day. It stands in bdi or time, or in an
 * element with translate="no", or is one of those that are given here. What a person has written is a quotation.
 */
export async function expectAllTranslated(page: Page, ...data: string[]) {
  await expect.poll(() => page.evaluate(untranslated, data), {message: page.url()}).toEqual([])
}

/** Of the page that it runs in: where which text is in no brackets. */
export function untranslated(data: string[]): string[] {
  const found: string[] = []
  const SPOKEN = [
    'aria-label',
    'aria-description',
    'aria-roledescription',
    'aria-valuetext',
    'title',
    'placeholder',
    'alt',
  ]
  const SHOWN = ['data-label'] // by a style
  const SKIPPED = '[translate="no"], bdi, time, blockquote, q, script, style, noscript, template, textarea, svg'

  /** In how many brackets the text is that comes next: a sentence may have elements in it. */
  let depth = 0

  /** What is left of a text without what is in brackets, and without data. */
  const bare = (text: string) => {
    let rest = ''
    for (const letter of text) {
      if (letter === '⟦') depth++
      if (depth === 0) rest += letter
      if (letter === '⟧') depth = Math.max(0, depth - 1)
    }
    for (const value of data) rest = rest.replaceAll(value, '')
    return /\p{Letter}/u.test(rest) ? rest.trim() : ''
  }
  /** Does something with what is no part of the sentence around it. */
  const apart = (deed: () => void) => {
    const outside = depth
    depth = 0
    deed()
    depth = outside
  }
  const note = (where: Element, what: string, text: string | null) => {
    const rest = bare(text ?? '')
    if (rest) found.push(`${where.localName}${where.className ? '.' + where.className : ''} ${what}: ${rest}`)
  }
  const walk = (root: Document | ShadowRoot | Element) => {
    for (const node of root.childNodes) {
      if (node instanceof Text) {
        const parent = node.parentElement
        if (parent?.checkVisibility({visibilityProperty: true})) note(parent, 'text', node.data)
      }
      if (!(node instanceof Element)) continue
      if (node.matches(SKIPPED)) continue
      apart(() => {
        for (const name of [...SPOKEN, ...SHOWN]) note(node, name, node.getAttribute(name))
        if (node instanceof HTMLInputElement && ['submit', 'button', 'reset'].includes(node.type)) {
          note(node, 'value', node.value)
        }
        if (node.shadowRoot) walk(node.shadowRoot)
      })
      if (getComputedStyle(node).display === 'inline') walk(node)
      else apart(() => walk(node))
    }
  }
  note(document.documentElement, 'title of the page', document.title.replaceAll(location.host, ''))
  for (const meta of document.querySelectorAll('meta[name=description]'))
    note(meta, 'content', meta.getAttribute('content'))
  walk(document.body)
  for (const element of document.documentElement.children) if (element.shadowRoot) walk(element.shadowRoot)
  return found
}
