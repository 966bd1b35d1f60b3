# One leg's clock: what each sample of it was, cut into chunks as it goes on.

cdef struct Clock:
    # what every packet touches comes first: the fewer lines of memory it is in, the cheaper a packet of many legs is
    int64_t now          # samples so far: the clock
    uint8_t *buffer      # the chunk being built; the FRAME bytes before it are the end of the one before
    int chunk            # samples; chunks end at multiples of it
    int calm             # nobody speaks: chunks may be so long, until somebody does; 0 for not
    uint8_t calm_level   # -dBov; a frame that is louder ends that
    uint8_t calm_peak[2] # by codec: the largest sample that no louder frame can do without, as ``peak`` has it
    int length           # bytes in the buffer
    int span_count
    int codec            # of the bytes in the buffer
    int64_t arrived_first
    int64_t arrived_last
    int64_t counts[3]    # samples received, concealed, paused
    int64_t quiet_run    # silence bytes since audio was last received
    int frame_length     # samples at the end of the last payload that concealment repeats
    bint frame_kept      # they are in ``frame``; else they are the last ones before the buffer's end
    CSpan spans[MAX_SPANS]
    uint8_t frame[FRAME]
    Queue *out
    int64_t leg
    int room             # bytes of the buffer
    int conceal          # samples of loss that repeat-and-fade covers
    int quiet_limit      # samples of silence in one run that are streamed as bytes
    # what did not fit into the queue
    int64_t hole_first
    int64_t hole_samples


cdef bint clock_init(Clock *clock, Queue *out, int64_t leg, const Limits *limits) noexcept nogil:
    """Prepares a zeroed clock; false without memory."""
    clock.out, clock.leg = out, leg
    clock.chunk, clock.conceal, clock.quiet_limit = limits.chunk, limits.conceal, limits.pause_fill
    clock.room = clock.chunk
    clock.buffer = <uint8_t *>calloc(FRAME + clock.room, 1)
    if clock.buffer == NULL:
        return False
    clock.buffer += FRAME
    return True


cdef bint clock_calm(Clock *clock, int samples, uint8_t level) noexcept nogil:
    """Lets chunks be longer until a frame is louder than a level; false without memory."""
    cdef uint8_t *buffer
    if samples > clock.room:
        buffer = <uint8_t *>realloc(clock.buffer - FRAME, FRAME + samples)
        if buffer == NULL:
            return False
        clock.buffer, clock.room = buffer + FRAME, samples
    clock.calm, clock.calm_level = samples if samples > clock.chunk else 0, level
    clock.calm_peak[ALAW], clock.calm_peak[MULAW] = peak_at(ALAW, level), peak_at(MULAW, level)
    return True


cdef void clock_free(Clock *clock) noexcept nogil:
    if clock.buffer != NULL:
        free(clock.buffer - FRAME)
        clock.buffer = NULL


cdef void clock_queue(Clock *clock, Item *item) noexcept nogil:
    """Hands an item over, or turns it into a hole when there is no room (or was no memory) for it."""
    cdef CSpan span
    cdef Item *hole
    if item == NULL:
        return
    if clock.hole_samples and not item.key and (item.last or queue_room(clock.out)):
        span.kind, span.first, span.samples = CONCEALED, clock.hole_first, clock.hole_samples
        hole = chunk_item(clock.leg, clock.codec, span.first, span.samples, &span, 1, clock.buffer, 0)
        if hole != NULL:
            queue_put(clock.out, hole, True)
        clock.hole_samples = 0
        queue_put(clock.out, item, True)
        return
    if not queue_put(clock.out, item, item.last):
        if not item.key:
            if clock.hole_samples == 0:
                clock.hole_first = item.first
            clock.hole_samples += item.samples
        free(item)


cdef void clock_cut(Clock *clock, bint last) noexcept nogil:
    """Ends the chunk being built."""
    cdef Item *item
    if clock.length == 0 and not last:
        return
    item = chunk_item(clock.leg, clock.codec, clock.now - clock.length, clock.length, clock.spans, clock.span_count,
                      clock.buffer, clock.length)
    if item != NULL:
        item.arrived_first, item.arrived_last, item.last = clock.arrived_first, clock.arrived_last, last
    clock_queue(clock, item)
    memmove(clock.buffer - FRAME, clock.buffer + clock.length - FRAME, FRAME)
    clock.length = clock.span_count = 0
    clock.arrived_first = clock.arrived_last = 0


cdef void clock_count(Clock *clock, int kind, int64_t samples) noexcept nogil:
    clock.counts[kind if kind < PAUSE else PAUSE] += samples
    clock.now += samples


cdef CSpan *clock_span(Clock *clock, int kind) noexcept nogil:
    """Returns the span that the next sample of this kind belongs to."""
    cdef CSpan *span
    if clock.span_count and clock.spans[clock.span_count - 1].kind == kind:
        return &clock.spans[clock.span_count - 1]
    if clock.span_count == MAX_SPANS:
        clock_cut(clock, False)
    span = &clock.spans[clock.span_count]
    span.kind, span.first, span.samples = kind, clock.now, 0
    clock.span_count += 1
    return span


cdef void clock_keep(Clock *clock) noexcept nogil:
    """Keeps the end of the last payload for concealment, before something else follows it in the buffer."""
    if not clock.frame_kept:
        memcpy(clock.frame, clock.buffer + clock.length - clock.frame_length, clock.frame_length)
        clock.frame_kept = True


cdef void clock_append(Clock *clock, int kind, const uint8_t *data, int64_t samples, int64_t arrival) noexcept nogil:
    """Puts bytes on the clock: ``data`` that arrived at a time (0 when it was made here), silence when it is NULL."""
    cdef int take
    cdef CSpan *span
    if kind != RECEIVED:
        clock_keep(clock)
    while samples > 0:
        span = clock_span(clock, kind)
        take = <int>min(samples, clock.chunk - clock.now % clock.chunk)
        if data != NULL:
            memcpy(clock.buffer + clock.length, data, take)
            data += take
        else:
            memset(clock.buffer + clock.length, SILENCE[clock.codec], take)
        if arrival:
            clock.arrived_last = max(clock.arrived_last, arrival)
            clock.arrived_first = min(clock.arrived_first, arrival) if clock.arrived_first else arrival
        span.samples += take
        clock.length += take
        samples -= take
        clock_count(clock, kind, take)
        if clock.now % clock.chunk == 0 and clock.length + clock.chunk > clock.calm:
            clock_cut(clock, False)


cdef bint clock_disturbed(const Clock *clock, int codec, const uint8_t *data, int samples) noexcept nogil:
    """Whether a payload has a frame that ends the calm."""
    cdef uint8_t frame[FRAME]
    cdef int at = 0
    if peak(codec, data, samples) <= clock.calm_peak[codec]:
        return False  # nearly always: no sample is as large as the frame's mean would have to be
    if samples < FRAME:
        memset(frame, SILENCE[codec], FRAME)
        memcpy(frame, data, samples)
        return level_of(codec, frame) < clock.calm_level
    while at < samples:
        if level_of(codec, data + min(at, samples - FRAME)) < clock.calm_level:
            return True
        at += FRAME
    return False


cdef void clock_receive(Clock *clock, int codec, const uint8_t *data, int samples, int64_t arrival) noexcept nogil:
    """Puts a payload on the clock. A chunk is of one codec: another one ends it."""
    cdef bint disturbed = clock.calm and clock_disturbed(clock, codec, data, samples)
    if codec != clock.codec:
        clock_cut(clock, False)
        clock.codec = codec
    clock.quiet_run = 0
    clock_append(clock, RECEIVED, data, samples, arrival)
    clock.frame_length, clock.frame_kept = min(samples, FRAME), False
    if disturbed:
        clock.calm = 0
        if clock.length > clock.chunk:  # the silence goes ahead, so that nobody waits for it with the first word
            clock_cut(clock, False)


cdef void clock_rest(Clock *clock, int kind, int64_t samples) noexcept nogil:
    """Lets the clock go on over silence: as bytes up to the limit of one run, then as one chunk without payload."""
    cdef int64_t streamed = max(0, min(samples, clock.quiet_limit - clock.quiet_run))
    cdef CSpan span
    clock.quiet_run += streamed
    clock_append(clock, kind, NULL, streamed, 0)
    samples -= streamed
    if samples > 0:
        clock_cut(clock, False)
        span.kind, span.first, span.samples = kind, clock.now, samples
        clock_queue(clock, chunk_item(clock.leg, clock.codec, clock.now, samples, &span, 1, clock.buffer, 0))
        clock_count(clock, kind, samples)


cdef void clock_conceal(Clock *clock, int64_t samples) noexcept nogil:
    """Fills lost audio: the last frame repeated and faded out, then silence (ITU-T G.711 Appendix I, much reduced)."""
    cdef uint8_t piece[FRAME]
    cdef int64_t done = 0
    cdef int take
    clock_keep(clock)
    while clock.frame_length and done < min(samples, clock.conceal):
        take = <int>min(<int64_t>FRAME, min(samples, clock.conceal) - done)
        fade(clock.codec, clock.frame, clock.frame_length, done, clock.conceal, piece, take)
        clock_append(clock, CONCEALED, piece, take, 0)
        done += take
    clock_rest(clock, CONCEALED, samples - done)
