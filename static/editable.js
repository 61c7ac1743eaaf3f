// @ts-check
// What an editable element holds, as text that can be kept. It is built again node by node, as no
// markup: so it needs no leave of a page that requires trusted types, and brings no script.

/** Elements that run, load or style something by themselves. */
const REFUSED = new Set(
  'script style link meta base iframe frame object embed form template noscript svg math'.split(' '),
)

/** Attributes that name something to fetch or to open, which may be a script. */
const ADDRESSES = new Set(['href', 'src', 'action', 'formaction', 'xlink:href', 'srcdoc', 'srcset'])

/** So deep may elements lie in each other. */
const MAX_DEPTH = 100

/** @typedef {string | [name: string, attributes: [string, string][], ...children: any[]]} Tree */

/** @param {Element} element @returns {string} what it holds */
export const read = element => JSON.stringify(childrenOf(element, 0))

/** @param {Element} element @param {number} depth @returns {Tree[]} */
function childrenOf(element, depth) {
  /** @type {Tree[]} */
  const children = []
  for (const node of depth < MAX_DEPTH ? element.childNodes : []) {
    if (node.nodeType === Node.TEXT_NODE) children.push(node.nodeValue ?? '')
    else if (node.nodeType === Node.ELEMENT_NODE) {
      const child = /** @type {Element} */ (node)
      if (REFUSED.has(child.localName)) continue
      /** @type {[string, string][]} */
      const attributes = Array.from(child.attributes, ({name, value}) => [name, value])
      children.push([child.localName, attributes, ...childrenOf(child, depth + 1)])
    }
  }
  return children
}

/** Has the element hold what read() has told. @param {Element} element @param {string} content */
export function write(element, content) {
  element.replaceChildren(...JSON.parse(content).map((/** @type {Tree} */ tree) => build(element.ownerDocument, tree)))
}

/** @param {Document} document @param {Tree} tree @returns {Node} */
function build(document, tree) {
  if (typeof tree === 'string') return document.createTextNode(tree)
  const [name, attributes, ...children] = tree
  if (REFUSED.has(name)) return document.createTextNode('')
  const element = document.createElement(name)
  for (const [attribute, value] of attributes) {
    const isScript = /^on/i.test(attribute) || (ADDRESSES.has(attribute) && !isHarmless(value))
    if (!isScript && attribute !== 'style') element.setAttribute(attribute, value)
  }
  const {style} = Object.fromEntries(attributes)
  if (style) element.style.cssText = style // by script: a page's policy may forbid the attribute
  element.append(...children.map(child => build(document, child)))
  return element
}

/** @param {string} address */
const isHarmless = address => /^(https?:|mailto:|tel:|blob:|data:image\/|[^:]*$|[/#?.])/i.test(address.trim())
