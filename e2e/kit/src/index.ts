export type {SignedIn, Who} from './browsers.js'
export type {RealBrowser} from './chromium.js'
export {
  Curfew,
  type ClientOptions,
  type Fault,
  type LoggedOut,
  type Logout,
  type Minted,
  type Moment,
} from './client.js'
export {expect, type Patience, type Reason} from './matchers.js'
export {Server} from './server.js'
export {
  type CurfewFixtures,
  type CurfewOptions,
  type CurfewServerOptions,
  type CurfewWorkerFixtures,
  test,
} from './test.js'

export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
