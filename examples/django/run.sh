#!/bin/sh
# Runs the personnel directory behind Curfew until Ctrl-C. See README.md.
#
#   ./run.sh [curfew [FLAG]…]   Curfew is the reverse proxy
#   ./run.sh nginx [FLAG]…      nginx is the reverse proxy, and asks Curfew
#   ./run.sh app                the application alone, on its socket
#   ./run.sh test               the application's own tests
#
# PORT is where it is reached (8080); behind nginx Curfew listens on GUARD_PORT (8081) and DOORS_PORT (8082).
# PUBLIC_URL is what browsers see, where that is something else than http://localhost:PORT.
# STATE is a folder that is kept; without it, all is gone at the end.
set -eu
kept=${STATE:+$(mkdir -p "$STATE" && cd "$STATE" && pwd)}
cd "$(dirname "$0")"

python=${PYTHON:-/usr/bin/python3} # Debian's, whose packages these are
"$python" -c 'import django, gunicorn' 2>/dev/null || {
  echo 'run.sh: Django or gunicorn is missing: apt-get install python3-django gunicorn' >&2
  exit 1
}

export STATE="${kept:-$(mktemp -d)}" PUBLIC_URL="${PUBLIC_URL:-http://localhost:${PORT:-8080}}"
export DJANGO_SETTINGS_MODULE=personnel.settings PYTHONDONTWRITEBYTECODE=1
umask 077 # the database, the key and the socket are this user's
rm -f "$STATE/app.sock" # of a run that was killed
for secret in secret-key webhook-secret; do
  [ -s "$STATE/$secret" ] || head -c 48 /dev/urandom | base64 -w 0 >"$STATE/$secret"
done

# The socket is the only way to the application. Each open event stream takes a thread.
serve() {
  exec "$python" -m gunicorn --bind "unix:$STATE/app.sock" --worker-class gthread --threads 32 --umask 0077 \
    --graceful-timeout 2 --log-level warning personnel.wsgi
}

build_curfew() {
  curfew=${CURFEW_BIN:-$STATE/curfew}
  [ -n "${CURFEW_BIN:-}" ] || (cd ../.. && go build -o "$curfew" ./cmd/server)
}

started=
start_application() {
  "$python" -m django migrate --verbosity 0
  serve &
  started=$!
  until [ -S "$STATE/app.sock" ]; do
    kill -0 "$started" 2>/dev/null || exit 1
    sleep 0.1
  done
}

clean() {
  for process in $started; do kill "$process" 2>/dev/null || true; done
  for process in $started; do wait "$process" 2>/dev/null || true; done
  [ -n "$kept" ] || rm -rf "$STATE"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mode=${1:-curfew}
[ $# -eq 0 ] || shift # the rest is for Curfew
# Curfew tells the application of ends, on the only way that there is: through the guard. The signature
# proves who sends, so that the path can be public.
set -- --webhook-url "http://127.0.0.1:${PORT:-8080}/curfew/events" --webhook-secret-file "$STATE/webhook-secret" "$@"
case $mode in
app)
  "$python" -m django migrate --verbosity 0
  serve
  ;;
test)
  "$python" -m django test --verbosity 0
  ;;
curfew)
  build_curfew
  start_application
  "$curfew" --listen "127.0.0.1:${PORT:-8080}" --public-url "$PUBLIC_URL" --upstream "unix:$STATE/app.sock" \
    --public-paths /curfew/events --keep-forms form.entry --data-dir "$STATE/curfew-data" "$@" &
  started="$! $started" # the last process is waited for
  wait $!
  ;;
nginx)
  build_curfew
  start_application
  set -- --listen "127.0.0.1:${GUARD_PORT:-8081}" --verify-listen "127.0.0.1:${DOORS_PORT:-8082}" \
    --base-path /.curfew --public-url "$PUBLIC_URL" --trusted-proxies 127.0.0.1/32 \
    --keep-forms form.entry "$@"
  "$curfew" proxy-config nginx --app "unix:$STATE/app.sock" --inject --out "$STATE/nginx" "$@"
  public='location = /curfew/events { auth_request off; proxy_pass http://application; }'
  sed -i "s|# The application\.|$public\n\n        &|" "$STATE/nginx/nginx.conf"
  "$curfew" --data-dir "$STATE/curfew-data" "$@" &
  started="$! $started"
  # Its workers run as this user, who alone may open the application's socket.
  "$(command -v nginx || echo /usr/sbin/nginx)" -p "$STATE/nginx" -c nginx.conf -g "daemon off; user $(id -un);" &
  started="$! $started"
  wait $!
  ;;
*)
  echo "run.sh: what is '$mode'? See the first lines of this file." >&2
  exit 2
  ;;
esac
