import {defineConfig} from '@playwright/test'
import type {CurfewOptions} from 'curfew-playwright'

const site = `http://localhost:${process.env.PORT ?? '8080'}`
const executablePath = process.env.CHROMIUM // the distribution's; without it, the one that Playwright has installed

export default defineConfig<CurfewOptions>({
  testDir: 'tests',
  fullyParallel: true,
  workers: 2,
  reporter: 'list',
  use: {
    baseURL: site,
    curfewURL: site + '/.curfew',
    launchOptions: executablePath ? {executablePath} : {},
  },
  // The whole example, for all workers: one server.
  webServer: {
    command: '../django/run.sh curfew --testing',
    url: site + '/.curfew/healthz',
    stderr: 'ignore', // its audit trail; without this line one sees why it does not start
    gracefulShutdown: {signal: 'SIGTERM', timeout: 10_000},
  },
})
