// @ts-check
/** @import {HTTP} from './http.js' */

// Drafts are sealed by a key that only a live session of their user gets from the server. Scripts of
// the page, and whoever reads the browser's files, see neither the key nor anything of a draft.

/** The version of what is sealed. A draft of another version is left alone until its time is over. */
export const FORMAT = 1

/** A draft's length tells no more of its text than how many of these bytes it fills. */
const PADDED_BYTES = 256

const encoder = new TextEncoder()

/**
 * The key of a user's drafts, as long as this page has it. It seals by AES-GCM (NIST SP 800-38D)
 * and names places by HMAC, each under a key of its own that HKDF (RFC 5869) has derived; none can
 * be exported.
 */
export class Seal {
  /** Names the key, and tells nothing of it. */
  id
  #who
  #sealing
  #naming

  /** @param {string} id @param {string} who @param {CryptoKey} sealing @param {CryptoKey} naming */
  constructor(id, who, sealing, naming) {
    this.id = id
    this.#who = who
    this.#sealing = sealing
    this.#naming = naming
  }

  /**
   * Asks the server for the key of this page's user.
   * @param {HTTP} http
   * @returns {Promise<Seal | undefined>} undefined where the server gives none, or cannot be reached
   */
  static async ask(http) {
    const {who = ''} = http.own ?? {}
    const answer = await http.look('session/draft-key?who=' + encodeURIComponent(who))
    if (answer?.status !== 200) return
    const {id, key} = answer.body
    const bytes = Uint8Array.from(atob(key.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0))
    const raw = await crypto.subtle.importKey('raw', bytes, 'HKDF', false, ['deriveKey'])
    bytes.fill(0)
    /** @param {string} purpose @param {AesKeyGenParams | HmacKeyGenParams} use @param {KeyUsage[]} usages */
    const derive = (purpose, use, usages) => {
      const info = encoder.encode('curfew drafts ' + purpose)
      return crypto.subtle.deriveKey(
        {name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info},
        raw,
        use,
        false,
        usages,
      )
    }
    const sealing = await derive('seal', {name: 'AES-GCM', length: 256}, ['encrypt', 'decrypt'])
    const naming = await derive('place', {name: 'HMAC', hash: 'SHA-256', length: 256}, ['sign'])
    return new Seal(id, who, sealing, naming)
  }

  /**
   * The name of a place in storage, which tells nothing of it.
   * @param {string} place
   */
  async nameOf(place) {
    const name = new Uint8Array(await crypto.subtle.sign('HMAC', this.#naming, encoder.encode(place)))
    return btoa(String.fromCharCode(...name))
  }

  /** @param {string} place */
  #cipher(place, iv = crypto.getRandomValues(new Uint8Array(12))) {
    return {name: 'AES-GCM', iv, additionalData: encoder.encode(JSON.stringify([FORMAT, this.#who, this.id, place]))}
  }

  /**
   * Seals what was typed at a place.
   * @param {unknown} content
   * @param {string} place
   */
  async close(content, place) {
    const text = encoder.encode(JSON.stringify(content))
    const padded = new Uint8Array(Math.ceil((text.length + 1) / PADDED_BYTES) * PADDED_BYTES).fill(0x20)
    padded.set(text)
    const cipher = this.#cipher(place)
    return {iv: cipher.iv, sealed: await crypto.subtle.encrypt(cipher, this.#sealing, padded)}
  }

  /**
   * @param {{iv: Uint8Array<ArrayBuffer>, sealed: ArrayBuffer}} record
   * @param {string} place
   * @returns {Promise<any>} undefined where it was sealed for another user or place, or was changed
   */
  async open({iv, sealed}, place) {
    try {
      const text = await crypto.subtle.decrypt(this.#cipher(place, iv), this.#sealing, sealed)
      return JSON.parse(new TextDecoder().decode(text))
    } catch {}
  }
}
