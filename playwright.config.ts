import {defineConfig} from '@playwright/test'

// Debian's browsers; nothing is downloaded. The host rules keep Chromium from looking for anything outside this machine.
const hostRules = '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1'
const chromium = {
  browserName: 'chromium' as const,
  launchOptions: {
    executablePath: '/usr/bin/chromium',
    args: [hostRules],
    ignoreDefaultArgs: ['--disable-back-forward-cache'], // as people have it
  },
}

/** With executablePath this drives the installed Firefox over WebDriver BiDi. */
export const FIREFOX_CHANNEL = 'moz-firefox'
export const firefoxOptions = {
  executablePath: '/usr/bin/firefox-esr',
  firefoxUserPrefs: {'browser.sessionhistory.max_total_viewers': 0, 'network.dns.disabled': true},
}

// What looks at pages in one more language, colour or width: make looks has all of it.
const looks = process.env.CURFEW_LOOKS ? undefined : /@looks/

// What films pages, times five tabs again and again, and fills the console: make endurance.
const endurance = process.env.CURFEW_ROUNDS ? [] : [/endurance\/(frames|tabs|console)/]

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
    {name: 'chromium', testIgnore: [/timing/, /e2e\/webkit/, ...endurance, ...pictures], use: chromium},
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
      dependencies: ['chromium', 'firefox', 'webkitgtk'],
      use: chromium,
    },
  ],
})
