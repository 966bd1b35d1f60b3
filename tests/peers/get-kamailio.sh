#!/bin/bash
# get-kamailio.sh: prints the folder of an unpacked Kamailio, fetched from the machine's own Debian where it is not there
# yet. It is not installed: the package would start a SIP server on port 5060. Its binary needs nothing but libc.
#
# The tree is kept in ${XDG_CACHE_HOME:-~/.cache}/asr-gateway/kamailio. Needs no root.
set -euo pipefail

fail() {
  echo "get-kamailio.sh: $*" >&2
  exit 1
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/asr-gateway/kamailio
tree=$(find "$cache" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*' 2>/dev/null | sort -V | tail -1) || true
if [ -n "$tree" ]; then
  echo "$tree"
  exit 0
fi
command -v apt-get >/dev/null || fail "this is no Debian; put a Kamailio tree into $cache/VERSION yourself"
mkdir -p "$cache"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo "Fetching Kamailio, about 6 MB" >&2
apt-get -o APT::Sandbox::User= -qq download kamailio >&2 || fail "apt has no kamailio: run apt-get update"
deb=$(echo kamailio_*.deb)
version=$(dpkg-deb -f "$deb" Version)
dpkg-deb -x "$deb" tree
# moved into place whole: another run at the same time finds all of it or nothing
mv tree "$cache/.$version.$$"
mv -T "$cache/.$version.$$" "$cache/$version" 2>/dev/null || rm -rf "$cache/.$version.$$"
echo "$cache/$version"
