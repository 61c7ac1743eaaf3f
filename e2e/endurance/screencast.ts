import {inflateSync} from 'node:zlib'
import {type BrowserContext, type CDPSession, expect, type Page} from '@playwright/test'

/** A colour that no other page has. */
const SECRET = '#ff00ff'

/**
 * A script that shows a text, which changes as long as the page lives, so that frames are painted. It
 * has the colour once the page has slept since drowse was called, from the first task or frame on: all
 * that the page paints after its sleep has it, and a frame without is a picture of before, which the
 * browser shows until there is another one. firstBody tells whether the body was visible as the first
 * frame after the sleep began.
 */
export const secret = `
  const text = document.createElement('p')
  document.body.prepend(text)
  text.style.font = 'bold 90px monospace'
  let isAwake = false
  window.drowse = () => {
    text.style.color = 'black'
    isAwake = false
    window.firstBody = undefined
  }
  const woken = () => {
    text.style.color = '${SECRET}'
    isAwake = true
  }
  document.addEventListener('freeze', woken)
  window.addEventListener('pagehide', woken)
  let last = Date.now()
  const look = () => {
    if (Date.now() - last > 800) woken()
    last = Date.now()
  }
  setInterval(() => {
    text.textContent = String(Date.now()).slice(-6)
    look()
  }, 10)
  const paint = () => {
    look()
    if (isAwake) window.firstBody ??= getComputedStyle(document.body).visibility
    requestAnimationFrame(paint)
  }
  paint()`

/** What a person sees of a tab: each frame that the browser paints. */
export class Screencast {
  /** How many frames there were, and how many of them had the secret. */
  frames = 0
  secrets = 0
  private constructor(readonly cdp: CDPSession) {
    cdp.on('Page.screencastFrame', ({data, sessionId}) => {
      this.frames++
      if (hasSecret(Buffer.from(data, 'base64'))) this.secrets++
      cdp.send('Page.screencastFrameAck', {sessionId}).catch(() => {}) // the tab may be gone
    })
  }

  static async start(context: BrowserContext, page: Page): Promise<Screencast> {
    const cast = new Screencast(await context.newCDPSession(page))
    await cast.cdp.send('Page.startScreencast', {format: 'png', everyNthFrame: 1, maxWidth: 400, maxHeight: 400})
    return cast
  }

  /** Has the text without the colour, and waits until that is painted: no frame with it is on its way. */
  async drowse(page: Page): Promise<void> {
    await page.evaluate('drowse()')
    this.clear()
    await expect.poll(() => this.frames - this.secrets).toBeGreaterThan(2)
  }

  /** Counts anew. */
  clear(): void {
    this.frames = this.secrets = 0
  }
}

/** Whether a picture has pixels of the secret. Edges of letters are paler: any clear magenta counts. */
function hasSecret(png: Buffer): boolean {
  const {pixels, step} = decode(png)
  let found = 0
  for (let i = 0; i < pixels.length; i += step)
    if (pixels[i]! > 160 && pixels[i + 1]! < 120 && pixels[i + 2]! > 160) found++
  return found > 5
}

/**
 * Decodes a picture as Chromium writes them: eight bits a channel, not interlaced (PNG,
 * W3C Recommendation, 9.2 has the filters).
 */
function decode(png: Buffer): {pixels: Uint8Array; step: number} {
  const width = png.readUInt32BE(16)
  const height = png.readUInt32BE(20)
  const step = png[25] === 6 ? 4 : 3 // with an alpha channel, or without
  const parts: Buffer[] = []
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at))
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT')
      parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)))
  const raw = inflateSync(Buffer.concat(parts))
  const line = width * step
  const pixels = new Uint8Array(line * height)
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (line + 1)]
    for (let x = 0; x < line; x++) {
      const at = y * line + x
      const left = x < step ? 0 : pixels[at - step]!
      const up = y ? pixels[at - line]! : 0
      const corner = y && x >= step ? pixels[at - line - step]! : 0
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter!]!
      pixels[at] = raw[y * (line + 1) + 1 + x]! + guess
    }
  }
  return {pixels, step}
}

function paeth(left: number, up: number, corner: number): number {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)]
  return a <= b && a <= c ? left : b <= c ? up : corner
}
