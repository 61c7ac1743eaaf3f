#!/bin/sh
# test.sh builds two versions of the package and tries what its users do: install, start, sign in, upgrade,
# restart, remove, install again, purge. It does so in the root of this machine with a layer over it that
# takes all changes and is thrown away, so it needs root. It also holds two builds of one version, from
# different folders, against each other, and starts the binary where there is no other file.
set -eu

cd "$(dirname "$0")/../.."
if [ "${1:-}" != inside ]; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
	ARCHITECTURES=$(dpkg --print-architecture)
	export SOURCE_DATE_EPOCH ARCHITECTURES
	mkdir "$work/elsewhere"
	git ls-files -z --cached --others --exclude-standard | tar --null -T - -c | tar -x -C "$work/elsewhere"
	ln -s "$PWD/node_modules" "$work/elsewhere/"
	deploy/release.sh 0.0.1 "$work/one"
	"$work/elsewhere/deploy/release.sh" 0.0.1 "$work/same"
	deploy/release.sh 0.0.2 "$work/two"
	diff "$work/one/SHA256SUMS" "$work/same/SHA256SUMS"
	(cd "$work/one" && sha256sum --quiet -c SHA256SUMS)
	echo 'package-test: two builds from different folders have the same bytes'
	mkdir "$work/layer"
	unshare --mount --pid --fork --kill-child "$0" inside "$work"
	exit
fi

work=$2
mount -t tmpfs layer "$work/layer"
mkdir "$work/layer/upper" "$work/layer/work" "$work/layer/root"
root="$work/layer/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/layer/upper,workdir=$work/layer/work" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs run "$root/run"
mount --bind /dev "$root/dev"

fail() {
	echo "package-test: $*" >&2
	exit 1
}
in_root() { DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }
expect() { # WHAT COMMAND…
	what=$1
	shift
	"$@" || fail "not so: $what"
}
install_version() { # FOLDER
	cp "$work/$1"/curfew_*.deb "$root/curfew.deb"
	in_root dpkg -i /curfew.deb >"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log" >&2; fail "$1 is not installed"; }
}

# wait_until_ready prints the URL of the server that writes a file, or shows its log.
wait_until_ready() { # FILE
	for _ in $(seq 300); do
		if [ -s "$1" ]; then
			cat "$1"
			return
		fi
		sleep 0.1
	done
	cat "$work/server.log" >&2
	fail 'the server is not ready'
}
start() {
	command=$(sed -n 's/^ExecStart=//p' "$root/usr/lib/systemd/system/curfew.service")
	in_root install -d -o curfew -g curfew /run/curfew # as RuntimeDirectory does
	rm -f "$root/run/curfew/ready"
	# shellcheck disable=SC2086 # the command has arguments
	chroot "$root" setpriv --reuid curfew --regid curfew --init-groups --bounding-set=-all --inh-caps=-all --no-new-privs \
		$command >>"$work/server.log" 2>&1 &
	server=$!
	url=$(wait_until_ready "$root/run/curfew/ready")
}
stop() {
	kill "$server"
	wait "$server" || fail "the server ends with status $?"
}
ask() { curl --silent --show-error --fail --noproxy '*' --max-time 60 "$@"; }
signed_in_as() { ask -H "Cookie: $cookie" "$url/session/status" | grep -q "\"user\":\"$1\""; }

# The binary stands alone, as in a container.
mkdir -p "$work/layer/alone/data"
chown 65532:65532 "$work/layer/alone/data"
tar -xzf "$work"/one/curfew_0.0.1_linux_*.tar.gz -C "$work/layer/alone" --strip-components=1 --wildcards '*/curfew'
chroot --userspec=65532:65532 "$work/layer/alone" /curfew --listen 127.0.0.1:0 --data-dir /data --ready-file /data/ready \
	>"$work/server.log" 2>&1 &
server=$!
url=$(wait_until_ready "$work/layer/alone/data/ready")
expect 'it is healthy without any other file' ask -o /dev/null "$url/healthz"
stop

install_version one
expect 'the version is that of the package' [ "$(in_root curfew version)" = 'curfew 0.0.1' ]
expect 'the installed settings are right' in_root curfew check-config --config /etc/curfew/curfew.yaml >/dev/null
expect 'the service reads its settings, and others do not' \
	[ "$(in_root stat -c '%U:%G %a' /etc/curfew/curfew.yaml)" = 'root:curfew 640' ]
expect 'the store is the own of the service' [ "$(in_root stat -c '%U:%G %a' /var/lib/curfew)" = 'curfew:curfew 700' ]
expect 'the licenses of what it is linked with are there' \
	[ "$(zgrep -c '^======== ' "$root/usr/share/doc/curfew/THIRD-PARTY.txt.gz")" -gt 10 ]
in_root systemd-analyze verify curfew.service || fail 'systemd does not take the unit'

sed -i 's/^#listen:.*/listen: 127.0.0.1:0/; s/^#ready-file:/ready-file:/' "$root/etc/curfew/curfew.yaml"
echo secret >"$root/etc/curfew/api-tokens"
start
cookie=$(ask -o /dev/null -D - -H 'Sec-Fetch-Site: same-origin' -d username=ada -d password=ada-demo "$url/login" |
	sed -n 's/^[Ss]et-[Cc]ookie: \(__Host-curfew=[^;]*\).*/\1/p')
expect 'ada is signed in' signed_in_as ada
kill -HUP "$server"
expect 'they are after a reload' signed_in_as ada
stop

install_version two
expect 'the version is the next' [ "$(in_root curfew version)" = 'curfew 0.0.2' ]
expect 'changed settings stay' grep -q '^listen: 127.0.0.1:0' "$root/etc/curfew/curfew.yaml"
start
expect 'the session lives after the upgrade' signed_in_as ada
stop

in_root dpkg -r curfew >/dev/null
expect 'the program is gone' [ ! -e "$root/usr/bin/curfew" ]
expect 'the unit is gone' [ ! -e "$root/usr/lib/systemd/system/curfew.service" ]
expect 'the settings stay' [ -e "$root/etc/curfew/curfew.yaml" ]
expect 'the sessions stay' [ -n "$(ls "$root/var/lib/curfew")" ]

install_version two
start
expect 'the session lives after a removal and another installation' signed_in_as ada
stop

in_root dpkg -P curfew >/dev/null 2>&1
expect 'the settings are purged' [ ! -e "$root/etc/curfew/curfew.yaml" ]
expect 'the sessions are purged' [ ! -e "$root/var/lib/curfew" ]
expect "an administrator's own file stays" [ -e "$root/etc/curfew/api-tokens" ]
expect 'the user stays' in_root getent passwd curfew >/dev/null
left=$(in_root dpkg-query -W curfew 2>/dev/null || true)
expect 'dpkg knows nothing of it any more' [ -z "$left" ]
echo 'package-test: installed, started, upgraded, removed, installed again and purged; the session lived through it'
