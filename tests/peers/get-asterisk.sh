#!/bin/bash
# get-asterisk.sh: prints the folder of an unpacked Asterisk 22, fetched from Debian sid where it is not there yet.
#
# The tree is kept, by version, in ${XDG_CACHE_HOME:-~/.cache}/asr-gateway/asterisk. apt works in a set-up of its own,
# so that nothing of the machine's changes; nothing is installed, and no root is needed. ASTERISK_VERSION picks one of
# the cached versions; without it a cached tree is taken as it is, and `get-asterisk.sh --newest` looks for a newer one.
set -euo pipefail

fail() {
  echo "get-asterisk.sh: $*" >&2
  exit 1
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/asr-gateway/asterisk
if [ "${1:-}" != --newest ]; then
  tree=$(find "$cache" -mindepth 1 -maxdepth 1 -type d -name "${ASTERISK_VERSION:-22.*}" 2>/dev/null | sort -V | tail -1) || true
  if [ -n "$tree" ]; then
    echo "$tree"
    exit 0
  fi
fi

command -v apt-get >/dev/null || fail "this is no Debian; put an Asterisk 22 tree into $cache/22.x yourself"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] || fail "$keyring is missing: apt-get install debian-archive-keyring"
# the mirror that this machine's apt is set up with
mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' 'Origin: Debian' | awk '$2 !~ /-/ {print $1; exit}')
[ -n "$mirror" ] || fail "apt knows no Debian mirror here; run apt-get update"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists,cache/archives}/partial "$work"/{etc,tree} "$cache"
: >"$work/status"
echo "deb [signed-by=$keyring] $mirror sid main" >"$work/etc/sources.list"
options=(
  -o Dir::Etc="$work/etc" -o Dir::Etc::sourcelist="$work/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::Etc::parts=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::trusted=/dev/null -o Dir::State="$work" -o Dir::State::lists="$work/lists"
  -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User= -o Debug::NoLocking=1
  -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o APT::Install-Recommends=false
)
apt-get "${options[@]}" -qq update >&2 || fail "the package lists of Debian sid cannot be fetched"
version=$(apt-cache "${options[@]}" policy asterisk | awk '/Candidate:/ {print $2}')
plain=${version#*:}
case $plain in
  22.*) ;;
  "") fail "Debian sid has no asterisk now; set ASTERISK_VERSION to a tree in $cache, or wait" ;;
  *) fail "Debian sid has asterisk $plain now; the tests are written for 22: keep a tree of it in $cache" ;;
esac
if [ ! -d "$cache/$plain" ]; then
  echo "Fetching Asterisk $plain, about 80 MB" >&2
  apt-get "${options[@]}" -qq -y --download-only install asterisk >&2 || fail "Asterisk's packages cannot be fetched"
  for deb in "$work"/cache/archives/*.deb; do dpkg-deb -x "$deb" "$work/tree"; done
  # moved into place whole: another run at the same time finds all of it or nothing
  mv "$work/tree" "$cache/$plain.$$"
  mv -T "$cache/$plain.$$" "$cache/$plain" 2>/dev/null || rm -rf "$cache/$plain.$$"
fi
echo "$cache/$plain"
