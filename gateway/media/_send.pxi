# What goes out: RTCP that Python writes, and silence for peers that hang up when no RTP comes back.

cdef enum:
    KEEPALIVE = 20000000  # nanoseconds between packets of silence
    BEHIND = 200000000    # nanoseconds after which missed packets are not made up for


cdef int keepalive_check(int payload_type, object codecs) except -1:
    """Takes the payload type of silence, -1 for none.

    Raises:
        ValueError: It is not among the codecs.
    """
    if payload_type != -1 and payload_type not in codecs:
        raise ValueError(f"keepalive is {payload_type}, which is none of the codecs' payload types: {list(codecs)}")
    return 0


cdef bint socket_v4(int fd) noexcept nogil:
    cdef sockaddr_storage address
    cdef unsigned int length = sizeof(address)
    return getsockname(fd, <sockaddr *>&address, &length) < 0 or address.ss_family == AF_INET


cdef bint send_to(int fd, bint v4, const Source *target, const uint8_t *data, int length) noexcept nogil:
    """Sends a datagram; false where it cannot be sent. What the socket has no room for is lost, as on the wire."""
    cdef sockaddr_storage address
    cdef unsigned int size = source_address(target, v4, &address)
    return size > 0 and sendto(fd, data, length, MSG_DONTWAIT, <sockaddr *>&address, size) == length


cdef bint media_target(const CStream *s, Source *target) noexcept nogil:
    """Where RTP goes: where the peer's comes from (symmetric RTP, RFC 4961), else where its SDP says."""
    target[0] = s.source if s.locked else s.remote
    return s.locked or s.has_remote


cdef bint leg_send_control(Leg *leg, uint8_t *data, int length) noexcept nogil:
    """Sends RTCP, protected where the leg is; false where there is nowhere to send it to."""
    cdef Source target
    if leg.removed or not media_target(&leg.stream, &target):
        return False
    if leg.outbound != NULL and srtp_protect_rtcp(leg.outbound, data, &length) != SRTP_OK:
        return False
    if leg.stream.mux:
        return send_to(leg.fd, leg.v4, &target, data, length)
    if leg.stream.has_control_source:
        target = leg.stream.control_source
    elif leg.stream.has_remote:
        target = leg.stream.remote
        target.port = leg.control_port if leg.control_port else target.port + 1
    else:
        target.port += 1
    return leg.control_fd >= 0 and send_to(leg.control_fd, leg.v4, &target, data, length)


cdef void leg_keep_alive(Loop *loop, Leg *leg, int payload_type) noexcept nogil:
    """Begins or ends sending silence; under the loop's lock."""
    leg.keepalive = payload_type
    if payload_type < 0 and leg.sending:
        list_remove(&loop.sending, leg)
        leg.sending = False
    elif payload_type >= 0 and not leg.sending and not leg.removed:
        leg.send_at = clock_of(CLOCK_MONOTONIC)
        leg.sending = list_add(&loop.sending, leg)


cdef void leg_send_silence(Leg *leg) noexcept nogil:
    cdef uint8_t data[12 + FRAME + SRTP_ROOM]
    cdef Source target
    cdef int length = 12 + FRAME, i
    if not media_target(&leg.stream, &target):
        return
    data[0], data[1] = 0x80, leg.keepalive
    data[2], data[3] = leg.send_seq >> 8, leg.send_seq & 0xFF
    for i in range(4):
        data[4 + i] = <uint8_t>(leg.send_ts >> (24 - 8 * i))
        data[8 + i] = <uint8_t>(leg.ssrc >> (24 - 8 * i))
    memset(data + 12, SILENCE[MULAW if leg.stream.meanings[leg.keepalive] == AUDIO_MULAW else ALAW], FRAME)
    if leg.outbound != NULL and srtp_protect(leg.outbound, data, &length) != SRTP_OK:
        return
    send_to(leg.fd, leg.v4, &target, data, length)


cdef void loop_send(Loop *loop) noexcept nogil:
    """Sends the silence that is due."""
    cdef int64_t now = clock_of(CLOCK_MONOTONIC), i
    cdef Leg *leg
    pthread_mutex_lock(&loop.lock)
    for i in range(loop.sending.count):
        leg = loop.sending.legs[i]
        if now - leg.send_at > BEHIND:
            leg.send_at = now
        while leg.send_at <= now:
            leg_send_silence(leg)
            leg.send_at += KEEPALIVE
            leg.send_seq += 1
            leg.send_ts += FRAME
    pthread_mutex_unlock(&loop.lock)
