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
PORT=$(node -e "
  const server = require('node:net').createServer()
  const listen = () => server.listen(22_000 + Math.floor(Math.random() * 10_700))
  server.on('error', listen).on('listening', () => console.log(server.address().port) ?? server.close())
  listen()")
export PORT
exec npx playwright test "$@"
