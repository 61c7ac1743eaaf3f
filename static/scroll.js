// @ts-check

const {scrollTo} = Element.prototype

/** Firefox forgets how far that is scrolled which is not rendered. Others keep it. */
const FORGETS = /Gecko\/\d/.test(navigator.userAgent)

/**
 * Remembers how far everything in the page is scrolled, in open shadow trees too, where the browser
 * would forget it. Whatever hides the page calls it before.
 * @returns {() => void} scrolls it there again, once it is rendered
 */
export function rememberScroll() {
  /** @type {[Element, left: number, top: number][]} */
  const scrolled = []
  /** @param {ParentNode} root */
  const look = root => {
    for (const element of root.querySelectorAll('*')) {
      const {scrollLeft, scrollTop, shadowRoot} = element
      // A form may have fields of these names.
      if (Number(scrollLeft) || Number(scrollTop)) scrolled.push([element, scrollLeft, scrollTop])
      if (shadowRoot instanceof ShadowRoot) look(shadowRoot)
    }
  }
  if (FORGETS) look(document) // elsewhere it would take 100 ms for 50,000 elements
  return () => {
    // the outer ones first
    for (const [element, left, top] of scrolled) Reflect.apply(scrollTo, element, [{left, top, behavior: 'instant'}])
  }
}
