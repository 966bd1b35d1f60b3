#!/bin/bash
# build-pjsua2.sh PYTHON: builds pjsua2 for work and installs it for PYTHON, the interpreter of a virtual environment.
#
# The wheel is kept, by version, in ${XDG_CACHE_HOME:-~/.cache}/asr-gateway/pjsip and built only once. Its version ends
# in +gatewayREVISION.callsNUMBER: that is how the gateway knows what it runs on (gateway/sip/build.py). Change REVISION
# with every change to what is built. About 4 minutes on 2 cores. PJPROJECT_TARBALL: see get-pjproject.sh.
set -euo pipefail

REVISION=6
CALLS=2048

fail() {
  echo "build-pjsua2.sh: $*" >&2
  exit 1
}

[ $# -eq 1 ] || fail "usage: build-pjsua2.sh PYTHON"
python=$(realpath --no-symlinks "$1")
here=$(dirname "$(realpath "$0")")
"$python" -c 'import sys; sys.exit(sys.prefix == sys.base_prefix)' || fail "$python does not belong to a virtual environment"
tag=$("$python" -c 'import sys; print(f"cp{sys.version_info[0]}{sys.version_info[1]}")')-$(uname -m)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/asr-gateway/pjsip/gateway$REVISION.calls$CALLS-$tag${PJPROJECT_SHA256:+-${PJPROJECT_SHA256:0:12}}

check_tools() {
  local missing=()
  command -v swig >/dev/null || missing+=(swig)
  command -v make >/dev/null || missing+=(make)
  command -v xz >/dev/null || missing+=(xz-utils)
  command -v g++ >/dev/null || missing+=(g++)
  command -v patch >/dev/null || missing+=(patch)
  [ -e /usr/include/srtp2/srtp.h ] || missing+=(libsrtp2-dev)
  [ -e /usr/include/openssl/ssl.h ] || missing+=(libssl-dev)
  [ -e /usr/include/uuid/uuid.h ] || missing+=(uuid-dev)
  [ ${#missing[@]} -eq 0 ] || fail "missing: ${missing[*]}. As root: apt-get install ${missing[*]}"
  "$python" -c 'import os, sysconfig; raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
    fail "Python's headers are missing. As root: apt-get install python3-dev"
  "$python" -c 'import setuptools, wheel' 2>/dev/null || fail "setuptools and wheel are missing: $python -m pip install setuptools wheel"
}

configure() {
  cat >pjlib/include/pj/config_site.h <<C
#define PJSUA_MAX_CALLS                 $CALLS
#define PJSUA_MAX_CALL_MEDIA            16
#define PJSUA_MAX_ACC                   64
#define PJSUA_MAX_CONF_PORTS            8192
#define PJ_IOQUEUE_MAX_HANDLES          16384
#define PJSIP_MAX_TSX_COUNT             65535
#define PJSIP_MAX_DIALOG_COUNT          16383
/* a longer message over TCP is dropped; SIPREC bodies of 30 KB do come */
#define PJSIP_MAX_PKT_LEN               32768
/* the log is where the export to Homer finds whole messages */
#define PJ_LOG_MAX_SIZE                 (PJSIP_MAX_PKT_LEN+500)
#define PJSIP_UDP_SO_RCVBUF_SIZE        (4*1024*1024)
#define PJSIP_UDP_SO_SNDBUF_SIZE        (4*1024*1024)
#define PJSIP_MAX_NET_EVENTS            32
#define PJSIP_MAX_TIMED_OUT_ENTRIES     128
#define PJ_HAS_IPV6                     1
#define PJMEDIA_HAS_VIDEO               0
#define PJMEDIA_RESAMPLE_IMP            PJMEDIA_RESAMPLE_NONE
#define PJSUA_HAS_SIPREC                1
/* metadata may come without SDP; what else does is refused in gateway/sip */
#define PJSIP_INV_ACCEPT_UNKNOWN_BODY   PJ_TRUE
C
  # Debian's tree lacks this sound driver
  [ -e pjmedia/src/pjmedia-audiodev/bdimad_dev.c ] || sed -i 's/ bdimad_dev.o//' pjmedia/build/Makefile
  # --with-ssl is left out on purpose: it takes "yes" for a prefix
  local without=(sound video resample speex-aec speex-codec gsm-codec ilbc-codec g722-codec g7221-codec l16-codec libyuv
    libwebrtc sdl ffmpeg v4l2 openh264 vpx opus silk bcg729 opencore-amr upnp)
  CFLAGS="-O3 -DNDEBUG -fPIC" CXXFLAGS="-O2 -DNDEBUG -fPIC" \
    ./configure --enable-epoll --with-external-srtp "${without[@]/#/--disable-}"
}

mend() {
  # A re-INVITE without labels after a SIPREC INVITE with them ends the process: label_attr is null there.
  local media=pjsip/src/pjsua-lib/pjsua_media.c
  sed -i 's/^\( *\)\(m->attr\[m->attr_count++\] = pjmedia_sdp_attr_create_label(pool,\)/\1if (label_attr) \2/' "$media"
  grep -q 'if (label_attr)' "$media" || fail "pjproject changed where labels are written; look at $media and mend() here"
  # With SIPREC optional, pjsua answers 400 to recording clients whose streams bear no label or that send no metadata.
  # Real ones do; the gateway reads offers and metadata by itself.
  local siprec=pjsip/src/pjsip-ua/sip_siprec.c
  sed -i 's/if (!(\*options & PJSIP_INV_SUPPORT_SIPREC))/if (!(*options \& PJSIP_INV_REQUIRE_SIPREC))/' "$siprec"
  grep -q 'if (!(\*options & PJSIP_INV_REQUIRE_SIPREC))' "$siprec" ||
    fail "pjproject changed where it checks SIPREC; look at $siprec and mend() here"
  # An UPDATE may bring metadata alone.
  local invite=pjsip/src/pjsip-ua/sip_inv.c
  sed -i '/^static void inv_respond_incoming_update/,/^}/s/if (rdata->msg_info.msg->body == NULL)/if (!rdata->msg_info.msg->body || !pjsip_rdata_get_sdp_info(rdata)->body.ptr)/' "$invite"
  grep -q 'if (!rdata->msg_info.msg->body || !pjsip_rdata' "$invite" ||
    fail "pjproject changed where UPDATE is answered; look at $invite and mend() here"
  # pjsua takes keys in INFO apart by itself, reading beyond a body that does not end in zero, knows one of the two types,
  # and leaves the rest to a 500. The gateway reads them; here every INFO is answered (RFC 6086, section 4.2.2).
  local call=pjsip/src/pjsua-lib/pjsua_call.c
  sed -i '0,/Check DTMF content in the INFO message/s|^ */\* Check DTMF content in the INFO message|\
        else if (PJ_TRUE) {\
            pj_bool_t known = !body \|\| !body->len \|\|\
                pj_stricmp2(\&body->content_type.subtype, "dtmf-relay") == 0 \|\|\
                pj_stricmp2(\&body->content_type.subtype, "dtmf") == 0;\
            pjsip_tx_data *tdata;\
            if (pjsip_endpt_create_response(tsx->endpt, rdata, known ? 200 : 415, NULL, \&tdata) == PJ_SUCCESS)\
                pjsip_tsx_send_msg(tsx, tdata);\
        }\
&|' "$call"
  grep -q 'known ? 200 : 415' "$call" || fail "pjproject changed where INFO is answered; look at $call and mend() here"
}

# Puts gate/ into pjsip, where it is asked before a message is parsed and before a connection is taken.
guard() {
  cp "$here"/gate/*.c pjsip/src/pjsip/
  cp "$here"/gate/*.h pjsip/include/
  patch -p1 --fuzz=2 <"$here/gate/hooks.patch" || fail "pjproject changed where gate/hooks.patch goes; make that patch anew"
}

build() {
  local log status
  work=$(mktemp -d) # not local: the trap needs it
  trap 'rm -rf "$work"' EXIT
  "$here/get-pjproject.sh" "$work/pjproject"
  log=$cache.log
  mkdir -p "$cache"
  set +e # on the left of || the subshell would not stop at its first fault
  (
    set -e
    cd "$work/pjproject"
    configure
    mend
    guard
    make -j"$(nproc)" lib
    cd pjsip-apps/src/swig/python
    sed -i "s/version=pj_version/version=pj_version + \"+gateway$REVISION.calls$CALLS\"/" setup.py
    grep -q "gateway$REVISION" setup.py
    LDFLAGS="-Wl,--strip-debug" make PYTHON_EXE="$python" wheel
    cp dist/pjsua2-*.whl "$cache/"
  ) >"$log" 2>&1
  status=$?
  set -e
  if [ $status -ne 0 ]; then
    tail -n 20 "$log" >&2
    fail "the build failed; its whole output is in $log"
  fi
}

mkdir -p "$(dirname "$cache")"
exec 9>"$cache.lock"
flock 9 # work trees that start side by side build it once
if ! compgen -G "$cache/pjsua2-*.whl" >/dev/null; then
  check_tools
  echo "building pjsua2 for $CALLS calls; this takes some minutes (output in $cache.log)"
  build
fi
wheel=$(compgen -G "$cache/pjsua2-*.whl" | head -1)
version() {
  "$python" -c "from importlib.metadata import version; print(version('$1'))" 2>/dev/null || true
}

name=$(basename "$wheel")
if [ -n "$(version pjsua2-python)" ] || [[ $name != "pjsua2-$(version pjsua2)-"* ]]; then
  # both distributions install the module pjsua2: never two at once
  "$python" -m pip uninstall --quiet --yes pjsua2-python pjsua2 2>/dev/null || true
  "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps "$wheel"
  echo "pjsua2 $(version pjsua2) is installed"
fi
"$python" -c 'import pjsua2' || fail "$name does not import; remove ${cache} and build it anew"
