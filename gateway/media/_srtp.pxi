# SRTP and SRTCP (RFC 3711) by libsrtp 2, the one that the Python package pylibsrtp carries.
#
# It is loaded when the first leg needs it, so that nobody has to install headers or be root. The structures are those of
# libsrtp's public header srtp.h, whose layout is the same in all of its 2.x versions.

cdef extern from "dlfcn.h" nogil:
    int RTLD_LAZY, RTLD_LOCAL
    void *dlopen(const char *, int)
    void *dlsym(void *, const char *)
    const char *dlerror()

cdef enum:
    SRTP_OK = 0
    SRTP_REPLAY_FAIL = 9   # the packet came before
    SRTP_REPLAY_OLD = 10   # it is too old to know
    SRTP_ANY_INBOUND = 2
    SRTP_ANY_OUTBOUND = 3
    SRTP_KEY = 30          # bytes of master key and master salt, AES-128 counter mode
    SRTP_WINDOW = 1024     # packets that replay protection looks back over: more than reordering does
    SRTP_ROOM = 144        # bytes that protection adds at most (SRTP_MAX_TRAILER_LEN)

cdef struct CryptoPolicy:
    uint32_t cipher_type
    int cipher_key_len
    uint32_t auth_type
    int auth_key_len
    int auth_tag_len
    int sec_serv

cdef struct SrtpSource:
    int type
    unsigned int value

cdef struct SrtpPolicy:
    SrtpSource ssrc
    CryptoPolicy rtp
    CryptoPolicy rtcp
    uint8_t *key
    void **keys
    unsigned long num_master_keys
    void *deprecated_ekt
    unsigned long window_size
    int allow_repeat_tx
    int *enc_xtn_hdr
    int enc_xtn_hdr_count
    SrtpPolicy *next

cdef struct Keys:
    bint used
    bint short_tag          # AES_CM_128_HMAC_SHA1_32: 32 bits of tag on RTP; RTCP always has 80 (RFC 4568, section 6.2)
    uint8_t remote[SRTP_KEY]
    uint8_t local[SRTP_KEY]

ctypedef int (*srtp_create_t)(void **, const SrtpPolicy *) noexcept nogil
ctypedef int (*srtp_dealloc_t)(void *) noexcept nogil
ctypedef int (*srtp_work_t)(void *, void *, int *) noexcept nogil
ctypedef void (*srtp_policy_t)(CryptoPolicy *) noexcept nogil

cdef srtp_create_t srtp_create = NULL
cdef srtp_dealloc_t srtp_dealloc = NULL
cdef srtp_work_t srtp_protect = NULL
cdef srtp_work_t srtp_unprotect = NULL
cdef srtp_work_t srtp_protect_rtcp = NULL
cdef srtp_work_t srtp_unprotect_rtcp = NULL
cdef srtp_policy_t srtp_policy_80 = NULL
cdef srtp_policy_t srtp_policy_32 = NULL

cdef tuple SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")


cdef void *srtp_function(void *library, const char *name) except NULL:
    cdef void *found = dlsym(library, name)
    if found == NULL:
        raise RuntimeError(f"the libsrtp of pylibsrtp has no {name.decode()}; install pylibsrtp 1.x")
    return found


cdef int srtp_load() except -1:
    """Loads libsrtp once.

    Raises:
        RuntimeError: pylibsrtp is not installed, or carries no libsrtp 2.
    """
    global srtp_create, srtp_dealloc, srtp_protect, srtp_unprotect, srtp_protect_rtcp, srtp_unprotect_rtcp
    global srtp_policy_80, srtp_policy_32
    cdef void *library
    if srtp_create != NULL:
        return 0
    try:
        from pylibsrtp import _binding  # which initialises the library too
    except ImportError as error:
        raise RuntimeError(f"SRTP needs the Python package pylibsrtp: {error}") from error
    library = dlopen(_binding.__file__.encode(), RTLD_LAZY | RTLD_LOCAL)
    if library == NULL:
        raise RuntimeError(f"the libsrtp of pylibsrtp cannot be loaded: {dlerror().decode(errors='replace')}")
    srtp_dealloc = <srtp_dealloc_t>srtp_function(library, "srtp_dealloc")
    srtp_protect = <srtp_work_t>srtp_function(library, "srtp_protect")
    srtp_unprotect = <srtp_work_t>srtp_function(library, "srtp_unprotect")
    srtp_protect_rtcp = <srtp_work_t>srtp_function(library, "srtp_protect_rtcp")
    srtp_unprotect_rtcp = <srtp_work_t>srtp_function(library, "srtp_unprotect_rtcp")
    srtp_policy_80 = <srtp_policy_t>srtp_function(library, "srtp_crypto_policy_set_rtp_default")
    srtp_policy_32 = <srtp_policy_t>srtp_function(library, "srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32")
    srtp_create = <srtp_create_t>srtp_function(library, "srtp_create")
    return 0


cdef int keys_parse(Keys *keys, object srtp) except -1:
    """Takes ``(suite, remote key and salt, local key and salt)``, or None for plain RTP.

    Raises:
        ValueError: The suite is not known, or a key has not 30 bytes.
        RuntimeError: There is no libsrtp.
    """
    memset(keys, 0, sizeof(Keys))
    if srtp is None:
        return 0
    suite, remote, local = srtp
    if suite not in SUITES:
        raise ValueError(f"{suite!r} is no SRTP suite that is supported: {' or '.join(SUITES)}")
    for what, key in (("remote", remote), ("local", local)):
        if len(key) != SRTP_KEY:
            raise ValueError(f"the {what} key and salt of {suite} have {SRTP_KEY} bytes together, not {len(key)}")
    srtp_load()
    keys.used, keys.short_tag = True, suite == SUITES[1]
    memcpy(keys.remote, <const uint8_t *>(<bytes>remote), SRTP_KEY)
    memcpy(keys.local, <const uint8_t *>(<bytes>local), SRTP_KEY)
    return 0


cdef void *srtp_session(Keys *keys, bint inbound) except? NULL:
    """Returns a libsrtp session; NULL for plain RTP.

    Raises:
        MemoryError: libsrtp refuses.
    """
    cdef SrtpPolicy policy
    cdef void *session = NULL
    if not keys.used:
        return NULL
    memset(&policy, 0, sizeof(policy))
    (srtp_policy_32 if keys.short_tag else srtp_policy_80)(&policy.rtp)
    srtp_policy_80(&policy.rtcp)
    policy.ssrc.type = SRTP_ANY_INBOUND if inbound else SRTP_ANY_OUTBOUND
    policy.key = &keys.remote[0] if inbound else &keys.local[0]
    policy.window_size = SRTP_WINDOW
    if srtp_create(&session, &policy) != SRTP_OK:
        raise MemoryError("libsrtp made no session")
    return session
