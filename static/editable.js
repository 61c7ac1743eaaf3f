// @ts-check
// What an editable element holds, as text that can be kept. It is built again node by node, as no
// markup: so it needs no leave of a page that requires trusted types, and brings no script.

/** Elements that run, load or style something by themselves. */
const REFUSED = new Set(
  'script style link meta base iframe frame object embed form template noscript svg math'.split(' '),
)

/** Attributes that name something to fetch or to open, which may be a script. */
const ADDRESSES = new Set(['href', 'src', 'action', 'formaction', 'xlink:href', 'srcdoc', 'srcset'])

/** What a person marks that is not to be kept. */
export const SKIPPED = '[data-curfew-skip]'

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
      if (child.matches(SKIPPED)) {
        children.push([child.localName, [['data-curfew-skip', '']]]) // its place, and nothing of it
        continue
      }
      /** @type {[string, string][]} */
      const attributes = Array.from(child.attributes, ({name, value}) => [name, value])
      children.push([child.localName, attributes, ...childrenOf(child, depth + 1)])
    }
  }
  return children
}

/**
 * Has the element hold what read() has told. What is marked as not to be kept stays as it is.
 * @param {Element} element @param {string} content
 */
export function write(element, content) {
  const skipped = Array.from(element.querySelectorAll(SKIPPED))
  const trees = /** @type {Tree[]} */ (JSON.parse(content))
  element.replaceChildren(...trees.map(tree => build(element.ownerDocument, tree, skipped)))
}

/** @param {Document} document @param {Tree} tree @param {Element[]} skipped @returns {Node} */
function build(document, tree, skipped) {
  if (typeof tree === 'string') return document.createTextNode(tree)
  const [name, attributes, ...children] = tree
  if (REFUSED.has(name)) return document.createTextNode('')
  const element = create(document, name)
  for (const [attribute, value] of attributes) {
    if (attribute === 'data-curfew-skip' && skipped.length > 0) return /** @type {Element} */ (skipped.shift())
    const isScript = /^on/i.test(attribute) || (ADDRESSES.has(attribute) && !isHarmless(value))
    if (isScript || attribute === 'style') continue
    try {
      element.setAttribute(attribute, value)
    } catch {} // a parser takes names that scripts may not give: "@click"
  }
  const {style} = Object.fromEntries(attributes)
  if (style) element.style.cssText = style // by script: a page's policy may forbid the attribute
  element.append(...children.map(child => build(document, child, skipped)))
  return element
}

/** @param {Document} document @param {string} name */
function create(document, name) {
  try {
    return document.createElement(name)
  } catch {
    return document.createElement('span') // a parser takes such names, too
  }
}

/** @param {string} address */
const isHarmless = address => /^(https?:|mailto:|tel:|blob:|data:image\/|[^:]*$|[/#?.])/i.test(address.trim())
