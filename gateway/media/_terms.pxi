# What signalling says of a stream, checked.

cdef struct Terms:
    uint8_t meanings[128]
    int codec           # the first one negotiated: what silence is in before audio came
    bint has_remote
    bint unspecified    # an address of zeros or port 0: the peer holds, and its source stays
    Source remote
    bint mux
    Keys keys
    void *inbound       # a session for the keys; taken by the stream, or freed by ``terms_free``


cdef int terms_parse(Terms *terms, object codecs, object remote, int telephone_event, int comfort_noise,
                     bint mux, object srtp) except -1:
    """Reads what was negotiated.

    Raises:
        ValueError: A codec is not G.711, there is none, a payload type is out of range, the address is not numeric, or
            the SRTP suite or a key is wrong.
        RuntimeError: SRTP is asked for, and there is no libsrtp.
    """
    memset(terms, 0, sizeof(Terms))
    terms.mux = mux
    if not codecs:
        raise ValueError("a leg needs a codec: no payload type was given")
    for number, name in codecs.items():
        if name not in CODECS:
            raise ValueError(f"payload type {number} is {name!r}; the receiver knows {' and '.join(CODECS)}")
    meanings = {number: AUDIO_ALAW + CODECS.index(name) for number, name in codecs.items()}
    terms.codec = CODECS.index(next(iter(codecs.values())))
    if telephone_event != -1:
        meanings[telephone_event] = EVENT
    if comfort_noise != -1:
        meanings[comfort_noise] = NOISE
    for number, meaning in meanings.items():
        if not 0 <= number <= 127:
            raise ValueError(f"{number} is not a payload type")
        terms.meanings[number] = meaning
    if remote is not None:
        source_parse(&terms.remote, remote)
        terms.has_remote = True
        terms.unspecified = terms.remote.port == 0 or ip_address(remote[0].partition("%")[0]).is_unspecified
    keys_parse(&terms.keys, srtp)
    terms.inbound = srtp_session(&terms.keys, True)
    return 0


cdef void terms_free(Terms *terms) noexcept nogil:
    if terms.inbound != NULL:
        srtp_dealloc(terms.inbound)
        terms.inbound = NULL


cdef void stream_agree(CStream *s, Terms *terms, int64_t now) noexcept nogil:
    """Takes what was negotiated, the first time or after a re-INVITE."""
    cdef void *before = s.inbound
    memcpy(s.meanings, terms.meanings, 128)
    s.mux = terms.mux
    if memcmp(&s.keys, &terms.keys, sizeof(Keys)) != 0:  # the same keys go on with their packet counters
        s.keys, s.inbound, terms.inbound = terms.keys, terms.inbound, before
    if not s.locked:
        s.learn_until = now + s.learn
    if not s.anchored:
        s.clock.codec = terms.codec
    if terms.has_remote and not terms.unspecified and not (s.has_remote and same_source(&s.remote, &terms.remote)):
        s.remote, s.has_remote, s.locked = terms.remote, True, False
        s.learn_until, s.has_control_source = now + s.learn, False
