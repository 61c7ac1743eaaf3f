#!/bin/sh
# licenses.sh prints the licenses of all that the program is linked with, which who passes it on must
# pass on, too: of Go, and of each module with its notices.
set -eu
export LC_ALL=C CGO_ENABLED=0 GOOS=linux

cd "$(dirname "$0")/.."

# texts prints what a folder has of licenses.
texts() { # NAME FOLDER
	printf '======== %s\n' "$1"
	found=
	for file in "$2"/LICENSE* "$2"/LICENCE* "$2"/COPYING* "$2"/NOTICE*; do
		if [ -f "$file" ]; then
			found=yes
			printf '\n'
			cat "$file"
			printf '\n'
		fi
	done
	if [ -z "$found" ]; then
		echo "licenses.sh: $1 has no license in $2" >&2
		exit 1
	fi
}

echo 'Curfew is linked with these, each under its own license.'
echo
texts 'Go, with its standard library' "$(go env GOROOT)"
modules=$(go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/server)
printf '%s\n' "$modules" | sort -u | while read -r path version folder; do
	texts "$path $version" "$folder"
done
