#!/bin/sh
# release.sh VERSION FOLDER builds a release into a folder: for each architecture the program as a static
# binary, in an archive and as a Debian package, and the list of what it is made of (SBOM); what others need
# to test with Playwright, as a package of npm; and the checksums of all. ARCHITECTURES are amd64 and arm64
# where nothing else is set. MAINTAINER is whom the package names, as "Ann Other <ann@example.org>": whoever
# gives a release to others. The same commit, version, maintainer and toolchain make the same bytes, wherever
# the sources lie.
set -eu

NFPM=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0
SBOM=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

case "${1:-}" in
[0-9]*) ;;
*)
	echo 'release.sh: needs a VERSION as 1.2.3 (make release VERSION=1.2.3)' >&2
	exit 2
	;;
esac
command -v npm >/dev/null || {
	echo 'release.sh: needs npm, for the package of npm' >&2
	exit 2
}
VERSION="$1"
MAINTAINER=${MAINTAINER:-The Curfew project <curfew@localhost>}
case "$MAINTAINER" in
*[\"\|\&\\]*)
	echo 'release.sh: MAINTAINER must be as "Ann Other <ann@example.org>", without quotes in it' >&2
	exit 2
	;;
*\ \<*@*\>) ;;
*)
	echo 'release.sh: MAINTAINER must be as "Ann Other <ann@example.org>"' >&2
	exit 2
	;;
esac
mkdir -p "$2"
out=$(cd "$2" && pwd)
cd "$(dirname "$0")/.."

export LC_ALL=C TZ=UTC
umask 022
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

build=$(mktemp -d)
trap 'chmod -R u+w "$build"; rm -rf "$build"' EXIT

# The tools are built for this machine, before the variables below say otherwise.
for tool in "$NFPM" "$SBOM"; do
	GOBIN="$build/bin" go install "$tool"
done

compile() { # ARCHITECTURE
	CGO_ENABLED=0 GOOS=linux GOARCH="$1" go build -trimpath -buildvcs=false \
		-ldflags "-s -w -X main.release=$VERSION" -o "$build/$1/curfew" ./cmd/server
}

# What is the same for all architectures comes out of the program itself.
CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-X main.release=$VERSION" -o "$build/curfew" ./cmd/server
SHARED="$build/shared"
mkdir -p "$SHARED/completion"
"$build/curfew" man "$SHARED/man"
gzip -n9 "$SHARED"/man/*
"$build/curfew" completion bash >"$SHARED/completion/curfew.bash"
"$build/curfew" completion zsh >"$SHARED/completion/_curfew"
"$build/curfew" completion fish >"$SHARED/completion/curfew.fish"
"$build/curfew" schema >"$SHARED/curfew.schema.json"
gzip -n9 <CHANGELOG.md >"$SHARED/changelog.gz"
deploy/licenses.sh >"$SHARED/THIRD-PARTY.txt"
gzip -n9 <"$SHARED/THIRD-PARTY.txt" >"$SHARED/THIRD-PARTY.txt.gz"

for arch in ${ARCHITECTURES:-amd64 arm64}; do
	compile "$arch"
	sed -e "s|@ARCH@|$arch|; s|@VERSION@|$VERSION|; s|@MAINTAINER@|$MAINTAINER|; s|@BUILD@|$build/$arch|; s|@SHARED@|$SHARED|" \
		deploy/package/nfpm.yaml >"$build/nfpm.yaml"
	"$build/bin/nfpm" package --config "$build/nfpm.yaml" --packager deb --target "$out/curfew_${VERSION}_$arch.deb"

	tree="$build/tree/curfew_${VERSION}_linux_$arch"
	mkdir -p "$tree"
	cp "$build/$arch/curfew" LICENSE README.md CHANGELOG.md deploy/package/curfew.yaml deploy/package/curfew.service \
		deploy/package/curfew.sysusers "$SHARED/curfew.schema.json" "$SHARED/THIRD-PARTY.txt" "$tree"
	cp -r "$SHARED/man" "$SHARED/completion" "$tree"
	tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu \
		-C "$build/tree" -c "curfew_${VERSION}_linux_$arch" | gzip -n9 >"$out/curfew_${VERSION}_linux_$arch.tar.gz"

	"$build/bin/cyclonedx-gomod" bin -json -std -noserial -notimestamp -version "$VERSION" \
		-output "$out/curfew_${VERSION}_linux_$arch.cdx.json" "$build/$arch/curfew"
done

# It has a version of its own, and nothing in it but what e2e/kit has, compiled by what package-lock.json
# names: the node_modules of the sources may be older than that.
mkdir -p "$build/npm/e2e"
cp package.json package-lock.json LICENSE "$build/npm"
cp -r e2e/kit "$build/npm/e2e"
(cd "$build/npm" &&
	PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --prefer-offline --no-audit --no-fund --loglevel=error >/dev/null)
npm pack "$build/npm/e2e/kit" --pack-destination "$out" --loglevel=error >"$build/packed"
kit=$(tail -n 1 "$build/packed")

cd "$out"
sha256sum curfew_"${VERSION}"_* "$kit" >SHA256SUMS
