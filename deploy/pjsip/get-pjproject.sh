#!/bin/bash
# get-pjproject.sh DIR: puts a pjproject source tree of 2.17 or later into DIR, which must not exist yet.
#
# PJPROJECT_TARBALL and PJPROJECT_SHA256 name a release tarball (a file) and its checksum. Without them the source comes
# from Debian: pjproject is a component of sid's source package asterisk, taken with an apt set-up of its own, so that
# nothing of the machine's changes. Needs no root.
set -euo pipefail

fail() {
  echo "get-pjproject.sh: $*" >&2
  exit 1
}

[ $# -eq 1 ] || fail "usage: get-pjproject.sh DIR"
dir=$(realpath -m "$1")
[ ! -e "$dir" ] || fail "$dir exists already; remove it first"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -n "${PJPROJECT_TARBALL:-}" ]; then
  [ -n "${PJPROJECT_SHA256:-}" ] || fail "PJPROJECT_TARBALL is set; set PJPROJECT_SHA256 to its checksum too"
  tarball=$(realpath "$PJPROJECT_TARBALL")
  echo "$PJPROJECT_SHA256  $tarball" | sha256sum --check --status || fail "$tarball does not have the checksum $PJPROJECT_SHA256"
else
  command -v apt-get >/dev/null || fail "this is no Debian; give a pjproject release in PJPROJECT_TARBALL and PJPROJECT_SHA256"
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -e "$keyring" ] || fail "$keyring is missing: apt-get install debian-archive-keyring"
  # the mirror that this machine's apt is set up with
  mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' 'Origin: Debian' | awk '$2 !~ /-/ {print $1; exit}')
  [ -n "$mirror" ] || fail "apt knows no Debian mirror here; run apt-get update, or give PJPROJECT_TARBALL and PJPROJECT_SHA256"
  mkdir -p "$work"/{lists,cache/archives}/partial "$work/etc"
  : >"$work/status"
  echo "deb-src [signed-by=$keyring] $mirror sid main" >"$work/etc/sources.list"
  options=(
    -o Dir::Etc="$work/etc" -o Dir::Etc::sourcelist="$work/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::parts=/dev/null -o Dir::Etc::trusted=/dev/null -o Dir::State="$work" -o Dir::State::lists="$work/lists"
    -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User= -o Debug::NoLocking=1
    -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none
  )
  apt-get "${options[@]}" -qq update || fail "the package lists of Debian sid cannot be fetched"
  (cd "$work" && apt-get "${options[@]}" -qq source --download-only asterisk) || fail "Debian's source package asterisk cannot be fetched"
  tarball=$(find "$work" -maxdepth 1 -name 'asterisk_*.orig-Xpjproject.tar.*')
  [ -n "$tarball" ] || fail "Debian's asterisk no longer carries pjproject; give a release in PJPROJECT_TARBALL and PJPROJECT_SHA256"
fi

mkdir -p "$dir"
tar -xf "$tarball" -C "$dir" --strip-components=1
[ -e "$dir/version.mak" ] || fail "$(basename "$tarball") holds no pjproject tree"
version=$(awk '/^export PJ_VERSION_(MAJOR|MINOR)/ {printf "%s%s", sep, $NF; sep="."}' "$dir/version.mak")
echo "pjproject $version from $(basename "$tarball"), sha256 $(sha256sum "$tarball" | cut -d' ' -f1)"
dpkg --compare-versions "$version" ge 2.17 2>/dev/null || [ "$(printf '%s\n' 2.17 "$version" | sort -V | head -1)" = 2.17 ] ||
  fail "pjproject $version is too old: SIPREC came with 2.17"
