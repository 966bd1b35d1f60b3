#!/bin/bash
# setup.sh run|test: makes .venv with what `make demo` or `make test` needs; does nothing where that stands already.
# "run" needs no root, and takes the quick pjsua2 from PyPI where none is there. "test" also installs Debian packages,
# and says so first; it takes the pjsua2 for work (deploy/pjsip/), built once on a machine, in about 4 minutes. So does
# "run" where PyPI has no pjsua2.
set -euo pipefail
cd "$(dirname "$0")/.."
what=$1
python=${PYTHON:-python3}

missing() {
    echo "asr-gateway: $1" >&2
    echo "  $2" >&2
    exit 1
}

command -v "$python" >/dev/null || missing "there is no $python" "apt-get install python3 python3-dev python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    missing "$("$python" --version) is too old: 3.11 or later is needed" "make $what PYTHON=python3.12"
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing "$python has no venv module" "apt-get install python3-venv"
header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
[ -e "$header" ] || missing "the headers of $python are missing ($header)" "apt-get install python3-dev"
command -v "${CC:-cc}" >/dev/null || missing "there is no C compiler" "apt-get install gcc libc6-dev"

if [ "$what" = test ]; then
    # sipp, recorded prompts (the English with their texts), a NATS server, systemd-analyze for the unit, sngrep as a
    # collector of HEP3, and what pjsua2 is built with
    packages=(sip-tester baresip-core openssl nats-server chromium fonts-dejavu-core systemd sngrep)
    packages+=(asterisk-core-sounds-en asterisk-core-sounds-en-wav asterisk-core-sounds-ru asterisk-core-sounds-ru-wav)
    packages+=(swig make g++ patch xz-utils libsrtp2-dev libssl-dev uuid-dev)
    # the consumers of the docs run in JavaScript, too
    command -v node >/dev/null || packages+=(nodejs)
    command -v npm >/dev/null || packages+=(npm)
    absent=()
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || absent+=("$package")
    done
    if [ ${#absent[@]} -gt 0 ]; then
        echo "The tests need these Debian packages, which are installed now: ${absent[*]}"
        sudo=
        [ "$(id -u)" = 0 ] || sudo=sudo
        $sudo apt-get update -qq
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${absent[@]}" >/dev/null
    fi
fi

if [ "$what" = test ]; then
    stamp=tests/peers/js/node_modules/.$(sha256sum tests/peers/js/package-lock.json | cut -c 1-16)
    if [ ! -e "$stamp" ]; then
        echo "Setting up tests/peers/js"
        (cd tests/peers/js && npm ci --silent --no-audit --no-fund --ignore-scripts)
        touch "$stamp"
    fi
fi

lock=deploy/locks/$what.txt
stamp=.venv/.$what-$(cat "$lock" pyproject.toml | sha256sum | cut -c 1-16)
if [ ! -e "$stamp" ]; then
    echo "Setting up .venv from $lock"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    # all but pjsua2, which comes in two builds that must never lie over each other
    awk '/^[a-zA-Z]/ {own = /^pjsua2/} !own' "$lock" >.venv/lock.txt
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r .venv/lock.txt
    rm -f .venv/.run-* .venv/.test-*
    touch "$stamp"
fi

native=(pyproject.toml gateway/media/*.pyx gateway/media/*.p[xy][dxi])
compiled=.venv/.compiled-$(cat "${native[@]}" | sha256sum | cut -c 1-16)
if [ ! -e "$compiled" ]; then
    echo "Compiling the receiver"
    rm -rf build .venv/.compiled-*
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . 2>&1
    touch "$compiled"
fi

if [ "$what" = test ]; then
    deploy/pjsip/build-pjsua2.sh .venv/bin/python
elif [ -z "${SKIP_PJSUA2:-}" ] && ! .venv/bin/python -c 'import pjsua2' 2>/dev/null; then
    awk '/^[a-zA-Z]/ {own = /^pjsua2/} own' "$lock" >.venv/quick.txt
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r .venv/quick.txt
    if ! .venv/bin/python -c 'import pjsua2' 2>/dev/null; then
        echo "PyPI has pjsua2 for Python 3.11 and 3.12 on x86_64 only; for $(.venv/bin/python --version) on $(uname -m) the one for work is built"
        deploy/pjsip/build-pjsua2.sh .venv/bin/python
    fi
fi
