#!/bin/sh
# Builds what a release consists of into ./dist: a static binary for each
# machine, a deb and an rpm of it, and the checksums of all.
#
#   VERSION             what it is called (default: the tag of this commit without its v,
#                       else the version in cmd/parlor/main.go with the commit's name)
#   SOURCE_DATE_EPOCH   the time that files in packages have (default: that of the commit)
#
# The same sources, version, time and Go release give the same bytes, wherever
# they are built: paths, host names and clocks stay out.
set -eu
cd "$(dirname "$0")/../../.."

# From 2.46 on it needs a module that the Go module proxy does not have.
NFPM=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2

if [ -z "${VERSION:-}" ]; then
	VERSION=$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null | sed 's/^v//')
	if [ -z "$VERSION" ]; then
		VERSION=$(sed -n 's/^var version = "\(.*\)"$/\1/p' cmd/parlor/main.go)+g$(git rev-parse --short=10 HEAD)
	fi
	[ -z "$(git status --porcelain --untracked-files=no)" ] || VERSION=$VERSION.changed
fi
case $VERSION in
[0-9]*.[0-9]*.[0-9]*) ;;
*) echo "VERSION must be like 1.2.3, not $VERSION" >&2; exit 2 ;;
esac
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export VERSION SOURCE_DATE_EPOCH
umask 022

rm -rf dist
mkdir dist
for ARCH in amd64 arm64; do
	export ARCH
	binary=dist/parlor-$VERSION-linux-$ARCH
	echo "$binary"
	CGO_ENABLED=0 GOOS=linux GOARCH=$ARCH GOAMD64=v1 GOARM64=v8.0 GOFLAGS=-mod=readonly \
		go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$VERSION" -o "$binary" ./cmd/parlor
	for packager in deb rpm; do
		CGO_ENABLED=0 go run "$NFPM" package --config cmd/parlor/packaging/nfpm.yaml --packager $packager --target dist/
	done
done
cd dist
sums=$(sha256sum -- *)
printf "%s\n" "$sums" >SHA256SUMS
cat SHA256SUMS
