# One leg's RTP stream: whose packets count, their order, and what their timestamps do to the clock.
#
# Source: the signalled address is trusted; another address (symmetric NAT) must show two packets in a row while the
# signalled one has not sent, within the learning window after the negotiation, and loses its place to the signalled one
# whenever that sends. Without a signalled address the first source is trusted. From then on only this address and port
# count, until an update names another address. With SRTP every packet must be authentic besides.
#
# Sequence (RFC 3550, appendix A.1): a new SSRC, or a sequence number out of all proportion, must show two packets in a
# row before the stream is anchored anew; the first of the two is kept meanwhile.

cdef enum:
    SLOTS = 128             # packets that wait for their turn at most; also how far back duplicates are known
    WORDS = 2               # of 64 bits, one bit for each of the slots
    MAX_DROPOUT = 3000      # packets lost in a row that are still the same stream
    MAX_MISORDER = 1000     # packets that one may come late by
    LARGEST = 480           # samples in a packet of 60 ms
    JITTER_ALLOWANCE = 800  # samples by which arrivals may be apart without a pause between them
    JITTER_CEILING = 8000   # samples; a greater change of transit time is not jitter
    DRIFT_PACKETS = 400     # and this many samples from the first to the latest, until drift is told
    DRIFT_SAMPLES = 80000
    CONTROL_EVERY = 20000000  # nanoseconds between RTCP packets that are handed over

cdef enum:
    MAX_JUMP = 600 * 8000   # a timestamp further ahead than this is another clock

cdef struct Counters:
    int64_t packets
    int64_t last_arrival
    double jitter
    int64_t reordered
    int64_t lost
    int64_t late
    int64_t duplicates
    int64_t foreign
    int64_t unauthentic
    int64_t malformed
    int64_t wrong_payload_type

cdef struct Drift:
    # least squares of arrival over timestamp since the clock was last tied, both in samples (Welford's updates)
    uint32_t ts             # the first packet's
    int64_t arrival
    int64_t unwrapped       # of the latest packet, relative to the first
    uint32_t latest
    double count
    double mean_x
    double mean_y
    double xx
    double xy

cdef struct CStream:
    # what every packet touches comes first: the fewer lines of memory it is in, the cheaper a packet of many legs is
    # sequence
    bint anchored
    uint32_t ssrc
    uint32_t highest        # sequence number, extended by its cycles (RFC 3550, appendix A.1)
    int missing             # packets lost right before the next one played
    int held                # packets in the slots
    uint16_t next_seq
    uint64_t came[WORDS]  # of the latest packets whose turn has passed, by sequence number: those that came
    uint64_t lost[WORDS]    # and those that did not
    # source
    bint locked
    bint has_remote
    bint mux                # RTCP comes on the RTP port too (RFC 5761)
    Source source
    Source remote
    void *inbound           # libsrtp's session; NULL for plain RTP
    Packet *probe           # the first of two packets that would anchor the stream anew
    # timestamps
    uint32_t next_ts        # what the clock's next sample has
    int quiet               # what a pause is at the moment: PAUSE, or COMFORT_NOISE after an RFC 3389 packet
    int frame               # samples in the last packet
    bint timed
    int64_t played          # arrival of the last packet played; 0 for none
    double transit
    Drift drift
    Counters counters
    Clock clock             # its own beginning is what every packet touches, its end is not
    uint8_t meanings[128]   # by payload type
    # and what few packets touch
    Event event
    Packet *slots[SLOTS]
    Source probe_source
    int64_t reorder
    int64_t learn
    int64_t learn_until     # monotonic nanoseconds
    # RTCP
    bint has_control_source
    Source control_source
    int64_t controlled      # arrival of the last RTCP packet handed over
    Keys keys               # SRTP


cdef void stream_probe_clear(CStream *s) noexcept nogil:
    if s.probe != NULL:
        s.counters.foreign += 1
        free(s.probe)
        s.probe = NULL


cdef bint stream_init(CStream *s, Queue *out, int64_t leg, const Limits *limits) noexcept nogil:
    """Prepares a zeroed stream; false without memory."""
    s.reorder, s.learn = limits.reorder, limits.learn
    s.quiet = PAUSE
    return clock_init(&s.clock, out, leg, limits)


cdef void stream_free(CStream *s) noexcept nogil:
    cdef int i
    for i in range(SLOTS):
        free(s.slots[i])
    free(s.probe)
    clock_free(&s.clock)
    if s.inbound != NULL:
        srtp_dealloc(s.inbound)
        s.inbound = NULL


# Timestamps.

cdef void stream_advance(CStream *s, int64_t gap) noexcept nogil:
    """Fills the samples between the clock and a packet's timestamp with what they were.

    First the event that was on the wire. Then loss, when packets are missing: as much as they can have held. The rest is
    a pause of the sender: only a gap in the sequence numbers is loss.
    """
    cdef int64_t event = 0, lost = 0
    if s.event.known:
        event = <int32_t>(s.event.ts + s.event.duration - s.next_ts)
        event = max(0, min(event, gap))
        clock_rest(&s.clock, DTMF, event)
    gap -= event
    if s.missing:
        lost = gap if gap <= <int64_t>s.missing * LARGEST else min(gap, <int64_t>s.missing * s.frame)
    if s.quiet == PAUSE:  # the words went on when the packets were lost; after comfort noise they had begun again
        clock_conceal(&s.clock, lost)
    clock_rest(&s.clock, s.quiet, gap - lost)
    if s.quiet != PAUSE:
        clock_conceal(&s.clock, lost)


cdef void stream_reclock(CStream *s, const Packet *packet, int length) noexcept nogil:
    """Ties the clock to a new timestamp. It goes on by the time between the arrivals, where that is more than jitter."""
    cdef int64_t gap = 0
    event_tell(&s.event, &s.clock)
    s.event.known = False
    if s.played:
        gap = (packet.arrival - s.played) // 125000 - length
    if gap >= JITTER_ALLOWANCE:
        clock_rest(&s.clock, PAUSE, gap)
    s.next_ts = packet.ts
    s.quiet = PAUSE
    s.timed = False


cdef bint stream_move(CStream *s, const Packet *packet, int length) noexcept nogil:
    """Lets the clock reach the packet's timestamp. False when the packet lies before it, in part or in whole."""
    cdef int32_t delta = <int32_t>(packet.ts - s.next_ts)
    if delta > MAX_JUMP or (delta < 0 and delta + length <= 0 and packet.meaning != EVENT) or delta < -MAX_JUMP:
        stream_reclock(s, packet, length)
    elif delta > 0:
        stream_advance(s, delta)
    elif delta < 0:
        s.missing = 0
        return False
    s.missing = 0
    s.next_ts = packet.ts
    return True


cdef void stream_play(CStream *s, const Packet *packet) noexcept nogil:
    """Takes the packet whose turn it is."""
    cdef int skip, codec
    if packet.meaning == EMPTY:
        return
    if packet.meaning == NOISE:
        stream_move(s, packet, LARGEST)
        s.quiet = COMFORT_NOISE
    elif packet.meaning == EVENT:
        if not s.event.known or packet.ts != s.event.ts:
            stream_move(s, packet, 0)
        event_take(&s.event, &s.clock, packet, s.clock.now + <int32_t>(packet.ts - s.next_ts))
        s.missing = 0
    else:
        codec = packet.meaning - AUDIO_ALAW
        skip = 0 if stream_move(s, packet, packet.length) else <int32_t>(s.next_ts - packet.ts)
        if s.event.known:
            event_passed(&s.event, &s.clock, packet.ts)
        clock_receive(&s.clock, codec, packet.payload + skip, packet.length - skip, packet.arrival)
        s.next_ts = packet.ts + packet.length
        s.frame = packet.length
        s.quiet = PAUSE
    s.played = packet.arrival


# Sequence numbers.

cdef inline bint bit_of(const uint64_t *bits, uint16_t seq) noexcept nogil:
    return bits[seq % SLOTS // 64] >> (seq % 64) & 1


cdef inline void bit_set(uint64_t *bits, uint16_t seq, bint on) noexcept nogil:
    cdef uint64_t bit = <uint64_t>1 << (seq % 64)
    cdef uint64_t *word = &bits[seq % SLOTS // 64]
    word[0] = word[0] | bit if on else word[0] & ~bit


cdef inline void stream_turn(CStream *s, bint came) noexcept nogil:
    bit_set(s.came, s.next_seq, came)
    bit_set(s.lost, s.next_seq, not came)
    s.next_seq += 1


cdef void stream_skip(CStream *s, int count) noexcept nogil:
    """Gives up packets that did not come."""
    s.counters.lost += count
    s.missing += count
    for _ in range(count):
        stream_turn(s, False)


cdef void stream_release(CStream *s, int64_t now, bint all_of_it) noexcept nogil:
    """Plays what waits and whose turn has come, by order or because the window is over."""
    cdef Packet *packet
    cdef int64_t oldest
    cdef int ahead, i
    while s.held:
        packet = s.slots[s.next_seq % SLOTS]
        if packet != NULL:
            s.slots[s.next_seq % SLOTS] = NULL
            s.held -= 1
            stream_turn(s, True)
            stream_play(s, packet)
            free(packet)
            continue
        ahead, oldest = 0, now
        for i in range(SLOTS - 1, 0, -1):
            packet = s.slots[<uint16_t>(s.next_seq + i) % SLOTS]
            if packet != NULL:
                ahead, oldest = i, min(oldest, packet.arrival)
        if not all_of_it and now - oldest < s.reorder:
            return
        stream_skip(s, ahead)


cdef void stream_jitter(CStream *s, const Packet *packet) noexcept nogil:
    """RFC 3550, appendix A.8."""
    cdef double transit = <double>packet.arrival / 125000.0 - <double>packet.ts
    cdef double change
    if s.timed:
        change = fabs(transit - s.transit)
        if change < JITTER_CEILING:  # else the sender's clock stepped, or its timestamp wrapped around
            s.counters.jitter += (change - s.counters.jitter) / 16.0
            stream_drift(s, packet)
    else:
        memset(&s.drift, 0, sizeof(Drift))
        s.drift.ts = s.drift.latest = packet.ts
        s.drift.arrival = packet.arrival
    s.transit, s.timed = transit, True


cdef void stream_drift(CStream *s, const Packet *packet) noexcept nogil:
    """Sets the sender's clock against ours. Jitter only ever delays, and evens out over thousands of packets."""
    cdef Drift *d = &s.drift
    cdef double x, y, dx
    d.unwrapped += <int32_t>(packet.ts - d.latest)
    d.latest = packet.ts
    x, y = <double>d.unwrapped, <double>(packet.arrival - d.arrival) / 125000.0
    d.count += 1
    dx = x - d.mean_x
    d.mean_x += dx / d.count
    d.mean_y += (y - d.mean_y) / d.count
    d.xx += dx * (x - d.mean_x)
    d.xy += dx * (y - d.mean_y)


cdef void stream_sequence(CStream *s, const Packet *packet) noexcept nogil:
    """Takes a packet of the stream itself, less than SLOTS ahead of its turn or late."""
    cdef uint16_t ahead = packet.seq - s.next_seq
    cdef int at = packet.seq % SLOTS
    cdef int16_t beyond = <int16_t>(packet.seq - <uint16_t>s.highest)
    s.counters.packets += 1
    s.counters.last_arrival = packet.arrival
    if beyond > 0:
        s.highest += beyond
    if packet.meaning == AUDIO_ALAW or packet.meaning == AUDIO_MULAW:
        stream_jitter(s, packet)
    if ahead >= SLOTS:
        if <uint16_t>-ahead <= SLOTS and bit_of(s.came, packet.seq):
            s.counters.duplicates += 1
            return
        s.counters.late += 1
        if <uint16_t>-ahead <= SLOTS and bit_of(s.lost, packet.seq):
            s.counters.lost -= 1
            bit_set(s.lost, packet.seq, False)
            bit_set(s.came, packet.seq, True)
    elif ahead == 0 and s.held == 0:
        stream_turn(s, True)
        stream_play(s, packet)
    elif s.slots[at] != NULL:
        s.counters.duplicates += 1
    else:
        s.counters.reordered += beyond < 0
        s.slots[at] = packet_copy(packet)
        s.held += s.slots[at] != NULL
        stream_release(s, packet.arrival, False)


cdef bint stream_behind(const CStream *s, const Packet *packet) noexcept nogil:
    """Whether a packet of the stream itself is late.

    Long after its turn its timestamp must be of that time too: a sender that starts its sequence anew would be taken for
    late all along.
    """
    cdef uint16_t behind = s.next_seq - packet.seq
    cdef int32_t samples = <int32_t>(s.next_ts - packet.ts)
    return behind <= SLOTS or (behind <= MAX_MISORDER and 0 <= samples <= MAX_MISORDER * LARGEST)


cdef void stream_anchor(CStream *s, const Packet *packet) noexcept nogil:
    """Begins a new stream on the same clock."""
    stream_release(s, packet.arrival, True)
    s.missing = 0
    if packet.meaning == AUDIO_ALAW or packet.meaning == AUDIO_MULAW:
        stream_reclock(s, packet, packet.length)
    else:
        stream_reclock(s, packet, 0)
    memset(s.came, 0, sizeof(s.came))
    memset(s.lost, 0, sizeof(s.lost))
    s.anchored, s.ssrc, s.next_seq = True, packet.ssrc, packet.seq
    s.highest = packet.seq


# Source and SSRC.

cdef void stream_adopt(CStream *s, const Packet *packet, const Source *source) noexcept nogil:
    """Takes a packet that has proved itself, or needs not to, as the stream's own."""
    cdef uint16_t ahead = packet.seq - s.next_seq
    s.source, s.locked = source[0], True
    if not s.anchored or packet.ssrc != s.ssrc or (ahead >= MAX_DROPOUT and not stream_behind(s, packet)):
        stream_anchor(s, packet)
    elif SLOTS <= ahead < MAX_DROPOUT:
        stream_release(s, packet.arrival, True)
        stream_skip(s, <uint16_t>(packet.seq - s.next_seq))
    stream_sequence(s, packet)


cdef void stream_probe(CStream *s, const Packet *packet, const Source *source) noexcept nogil:
    """Keeps a packet till the next in a row proves it; takes both when this is that one."""
    cdef Packet *first = s.probe
    if (first != NULL and first.ssrc == packet.ssrc and <uint16_t>(first.seq + 1) == packet.seq
            and same_source(&s.probe_source, source)):
        s.probe = NULL
        stream_adopt(s, first, source)
        stream_adopt(s, packet, source)
        free(first)
        return
    stream_probe_clear(s)
    s.probe, s.probe_source = packet_copy(packet), source[0]


cdef inline bint is_control(int payload_type) noexcept nogil:
    """Whether the byte where RTP has its payload type says RTCP (RFC 5761, section 4)."""
    return 64 <= payload_type < 96


cdef bint stream_meaning(CStream *s, Packet *packet, bint own) noexcept nogil:
    """Finds out what the packet means to the leg; false when it means nothing."""
    packet.meaning = s.meanings[packet.type]
    if packet.meaning == UNKNOWN:
        s.counters.wrong_payload_type += 1
        # of the stream itself it took up a sequence number, unless it is RTCP
        packet.meaning = EMPTY
        return own and not is_control(packet.type)
    if packet.meaning == EVENT and packet.length < 4:
        s.counters.malformed += 1
        packet.meaning = EMPTY
    if packet.length == 0:
        packet.meaning = EMPTY
    return own or packet.meaning != EMPTY


cdef bint stream_decrypt(CStream *s, uint8_t *data, Py_ssize_t *size, bint control) noexcept nogil:
    """Decrypts a packet in its place; false when it is not authentic, or came before."""
    cdef int length = <int>size[0], status
    if s.inbound == NULL:
        return True
    status = (srtp_unprotect_rtcp if control else srtp_unprotect)(s.inbound, data, &length)
    size[0] = length
    if status == SRTP_REPLAY_FAIL:
        s.counters.duplicates += 1
    elif status == SRTP_REPLAY_OLD:
        s.counters.late += 1
    elif status != SRTP_OK:
        s.counters.unauthentic += 1
    return status == SRTP_OK


cdef void stream_control(CStream *s, uint8_t *data, Py_ssize_t size, const Source *source,
                         int64_t arrival) noexcept nogil:
    """Takes an RTCP datagram and hands it over, of the peer's address alone and not too often."""
    cdef Item *item
    if size < 8 or data[0] >> 6 != 2:
        s.counters.malformed += 1
        return
    if not ((s.has_remote and same_address(&s.remote, source)) or (s.locked and same_address(&s.source, source))):
        s.counters.foreign += 1
        return
    if not stream_decrypt(s, data, &size, True):
        return
    s.control_source, s.has_control_source = source[0], True
    if arrival - s.controlled < CONTROL_EVERY:
        return
    item = <Item *>malloc(sizeof(Item) + size)
    if item == NULL:
        return
    s.controlled = arrival
    memset(item, 0, sizeof(Item))
    item.leg, item.control, item.payload, item.arrived_first = s.clock.leg, True, <int>size, arrival
    item.first, item.samples = s.clock.now, s.next_ts if s.anchored else -1
    memcpy(item + 1, data, size)
    if not queue_put(s.clock.out, item, False):
        free(item)


cdef void stream_receive(CStream *s, uint8_t *data, Py_ssize_t size, const Source *source,
                         int64_t arrival) noexcept nogil:
    """Takes one datagram of the RTP port; with SRTP it is decrypted in its place."""
    cdef Packet packet
    cdef uint16_t ahead
    cdef bint usual, trusted, own
    if s.mux and size >= 8 and is_control(data[1] & 0x7F):
        stream_control(s, data, size, source, arrival)
        return
    if not packet_parse(&packet, data, size, s.inbound != NULL):
        s.counters.malformed += 1
        return
    packet.arrival = arrival
    usual = s.locked and same_source(&s.source, source)
    trusted = not s.has_remote or same_address(&s.remote, source)
    if s.locked and not usual and not (s.has_remote and trusted and not same_address(&s.source, &s.remote)):
        s.counters.foreign += 1
        return
    # without a window nothing is learnt, not even from what came before the answer was agreed upon
    if not usual and not trusted and (s.learn == 0 or arrival > s.learn_until):
        s.counters.foreign += 1
        return
    if s.inbound != NULL:
        if not stream_decrypt(s, data, &size, False):
            return
        if not packet_parse(&packet, data, size, False):
            s.counters.malformed += 1
            return
        packet.arrival = arrival
    ahead = packet.seq - s.next_seq
    own = usual and s.anchored and packet.ssrc == s.ssrc
    if not stream_meaning(s, &packet, own):
        return
    if own and (ahead < SLOTS or stream_behind(s, &packet)):
        stream_probe_clear(s)
        stream_sequence(s, &packet)
    elif trusted and not usual:
        stream_adopt(s, &packet, source)
    else:
        stream_probe(s, &packet, source)


cdef void stream_finish(CStream *s) noexcept nogil:
    """Hands over all that is left; the last chunk says so."""
    cdef int32_t event = 0
    stream_release(s, 0, True)
    stream_probe_clear(s)
    if s.event.known:
        event = <int32_t>(s.event.ts + s.event.duration - s.next_ts)
    event_tell(&s.event, &s.clock)
    if event > 0:
        clock_rest(&s.clock, DTMF, event)
    clock_cut(&s.clock, True)
