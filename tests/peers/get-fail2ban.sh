#!/bin/bash
# get-fail2ban.sh: prints the folder of an unpacked fail2ban, fetched from Debian where it is not there yet.
#
# It is only unpacked, into ${XDG_CACHE_HOME:-~/.cache}/asr-gateway/fail2ban, and needs no root: installed, it would
# start to guard this machine.
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/asr-gateway
if [ ! -d "$cache/fail2ban" ]; then
  echo "Fetching Debian's fail2ban" >&2
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && apt-get -qq -o APT::Sandbox::User= download fail2ban >&2) || {
    echo "get-fail2ban.sh: Debian's package fail2ban cannot be fetched; as root: apt-get update" >&2
    exit 1
  }
  mkdir -p "$cache"
  dpkg-deb -x "$work"/fail2ban_*.deb "$work/tree"
  # moved into place whole: another run at the same time finds all of it or nothing
  mv -T "$work/tree" "$cache/fail2ban" 2>/dev/null || [ -d "$cache/fail2ban" ]
fi
echo "$cache/fail2ban"
