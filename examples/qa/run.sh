#!/bin/sh
# Runs the suite at a free port with what the repository has: bin/curfew, the kit that `make kit` has packed, and
# Playwright in node_modules. Needs no network.
set -eu
cd "$(dirname "$0")"
rm -rf node_modules # another kit of the same version may be there
npm install --no-save --no-package-lock --offline --no-audit --no-fund --loglevel=error \
  ../../node_modules/@playwright/test
npx tsc -p .
export CURFEW_BIN="${CURFEW_BIN:-$PWD/../../bin/curfew}" CHROMIUM="${CHROMIUM:-/usr/bin/chromium}"
exec node at-free-port.mjs npx playwright test "$@"
