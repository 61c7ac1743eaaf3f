import {defineConfig} from '@playwright/test'

// Debian's browsers; nothing is downloaded. The host rules keep Chromium from looking for anything outside this machine.
const hostRules = '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1'
const chromiumAt = (executablePath: string) => ({
  browserName: 'chromium' as const,
  launchOptions: {
    executablePath,
    args: [hostRules],
    ignoreDefaultArgs: ['--disable-back-forward-cache'], // as people have it
  },
})
const chromium = chromiumAt('/usr/bin/chromium')

/** With executablePath this drives the installed Firefox over WebDriver BiDi. */
export const FIREFOX_CHANNEL = 'moz-firefox'
export const firefoxOptions = {
  executablePath: '/usr/bin/firefox-esr',
  firefoxUserPrefs: {'browser.sessionhistory.max_total_viewers': 0, 'network.dns.disabled': true},
}

// What looks at pages in one more language, colour or width: make looks has all of it.
const looks = process.env.CURFEW_LOOKS ? undefined : /@looks/

// What films pages, ends them again and again, and fills the console: make endurance.
const endurance = process.env.CURFEW_ROUNDS ? [] : [/e2e\/endurance/]

// Nothing but the suite is asked for.
const {CURFEW_LOOKS, CURFEW_ROUNDS, CURFEW_PICTURES} = process.env
const usual = !CURFEW_LOOKS && !CURFEW_ROUNDS && !CURFEW_PICTURES

// What differs least between engines: make engines has Firefox do all of it.
const alike = process.env.CURFEW_ENGINES
  ? []
  : [
      /(console|django|foreign|guest|inheritance|injection|intrusive|kit|languages|logouts|modules|ownpages|policies)\.spec/,
    ]

// What takes the pictures of the documentation: make pictures.
const pictures = process.env.CURFEW_PICTURES ? [] : [/e2e\/pictures/]

export default defineConfig({
  testDir: './e2e',
  grepInvert: looks,
  fullyParallel: true,
  workers: 2,
  timeout: 30_000,
  forbidOnly: !!process.env.CI,
  reporter: process.env.CI ? [['list'], ['html', {open: 'never'}]] : [['list']],
  use: {trace: {mode: 'retain-on-failure', screenshots: false, snapshots: false}, screenshot: 'only-on-failure'},
  projects: [
    // Most tests have the same engine without the program around it, which takes a third less time. What
    // is for every engine, or needs that program, has Chromium as people have it.
    {
      name: 'shell',
      testIgnore: [/timing/, /e2e\/webkit/, /e2e\/endurance/, /e2e\/pictures/],
      grepInvert: [/@engines/, /@chromium/, ...(looks ? [looks] : [])],
      use: chromiumAt('/usr/bin/chromium-headless-shell'),
    },
    {
      name: 'chromium',
      testIgnore: [/timing/, /e2e\/webkit/, ...endurance, ...pictures],
      grep: usual ? /@engines|@chromium/ : /./,
      use: chromium,
    },
    {
      name: 'firefox',
      testIgnore: [/timing/, /e2e\/webkit/, ...alike],
      grep: /@engines/,
      use: {browserName: 'firefox', channel: FIREFOX_CHANNEL, launchOptions: firefoxOptions},
    },
    // WebKitGTK by its own driver (e2e/webkit/driver.ts): Playwright cannot drive the installed one.
    {name: 'webkitgtk', testDir: './e2e/webkit'},
    // What judges time runs alone, after all others.
    {
      name: 'timing',
      testMatch: /timing/,
      testIgnore: endurance,
      workers: 1,
      dependencies: ['shell', 'chromium', 'firefox', 'webkitgtk'],
      use: chromium,
    },
  ],
})
