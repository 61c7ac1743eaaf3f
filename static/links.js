// @ts-check
/**
 * Notices navigations in browsers that do not tell of them: links and forms are heard, what scripts
 * do cannot be known.
 * @param {{leaves: () => void, stays: () => void}} departure told when a navigation has begun, and
 *   when the page's own listeners have called it off
 * @param {AbortSignal} signal ends it
 */
export function noticeLinks(departure, signal) {
  const options = {capture: true, signal}
  /** @param {Event} event @param {string} target */
  const begin = (event, target) => {
    if (target && !/^_(self|top|parent)$/i.test(target)) return
    departure.leaves()
    setTimeout(() => {
      if (event.defaultPrevented) departure.stays()
    })
  }
  window.addEventListener(
    'submit',
    event => {
      /** @param {string} name @returns {string} of the button, else of the form */
      const attribute = name =>
        event.submitter?.getAttribute('form' + name) ?? /** @type {Element} */ (event.target).getAttribute(name) ?? ''
      if (!/^dialog$/i.test(attribute('method'))) begin(event, attribute('target'))
    },
    options,
  )
  window.addEventListener(
    'click',
    event => {
      if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return // another tab
      const link = event.composedPath().find(target => target instanceof HTMLAnchorElement && target.href)
      if (!(link instanceof HTMLAnchorElement) || !/^https?:$/.test(link.protocol)) return
      const isElsewhere = link.href.split('#')[0] !== location.href.split('#')[0]
      if (isElsewhere && !link.hasAttribute('download')) begin(event, link.target)
    },
    options,
  )
}
