// @ts-check
import {say} from './words.js'

/**
 * What an administrator has written, apart from what Curfew says: plain text with its line breaks,
 * in whatever language and direction it is.
 */
export class Quote {
  element = document.createElement('figure')
  #from = document.createElement('figcaption')
  #text = document.createElement('blockquote')

  /** @param {string} id of the element */
  constructor(id = '') {
    this.#text.dir = 'auto'
    if (id) this.element.id = id
    this.element.append(this.#from, this.#text)
    this.say('')
  }

  /** @param {string} text empty for none: then there is no quotation */
  say(text) {
    this.#from.textContent = text && say('page.fromAdmin') // what is hidden may still describe a dialog
    this.#text.textContent = text
    this.element.hidden = !text
  }
}
