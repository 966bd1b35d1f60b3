# Telephone events (RFC 4733, section 2.5): one digit for each event, however many packets carried it.

cdef enum:
    EVENT_SEGMENT = 0xFFFF  # an event that lasts longer goes on under a new timestamp (section 2.5.1.3)
    EVENT_MEMORY = 8000     # samples of audio after an event until its timestamp is forgotten
    EVENT_GRACE = 800       # samples of audio after an event whose end packets were lost until it counts as over

cdef struct Event:
    bint known          # an event was seen since the stream was anchored
    bint open           # its digit was not told yet
    int code
    int64_t first       # where it began on the leg's clock
    int64_t earlier     # samples of its segments before this one
    uint32_t ts
    uint32_t duration


cdef void event_tell(Event *event, Clock *clock) noexcept nogil:
    """Tells the digit of an open event. Codes above 15 are no keys: they take their time and are not told."""
    cdef Item *item
    if not event.open:
        return
    event.open = False
    if event.code > 15:
        return
    item = <Item *>malloc(sizeof(Item))
    if item == NULL:
        return
    memset(item, 0, sizeof(Item))
    item.leg, item.key, item.first = clock.leg, KEYS[event.code], event.first
    item.samples = event.earlier + event.duration
    clock_queue(clock, item)


cdef bint event_continues(const Event *event, int code, uint32_t ts) noexcept nogil:
    """Whether this is the next segment of a long event."""
    return event.open and event.code == code and event.duration == EVENT_SEGMENT and ts == event.ts + EVENT_SEGMENT


cdef void event_take(Event *event, Clock *clock, const Packet *packet, int64_t first) noexcept nogil:
    """Takes one event packet; ``first`` is where its timestamp lies on the clock."""
    cdef int code = packet.payload[0]
    cdef uint32_t duration = (<uint32_t>packet.payload[2] << 8) | packet.payload[3]
    if not event.known or packet.ts != event.ts:
        if event_continues(event, code, packet.ts):
            event.earlier += EVENT_SEGMENT
        else:
            event_tell(event, clock)
            event.first, event.earlier, event.code = max(first, 0), 0, code
            event.open = True
        event.known, event.ts, event.duration = True, packet.ts, 0
    if duration > event.duration:
        event.duration = duration
    if packet.payload[1] & 0x80:
        event_tell(event, clock)


cdef void event_passed(Event *event, Clock *clock, uint32_t ts) noexcept nogil:
    """Takes note of audio at a timestamp: an event whose end packets were lost is over some time before it."""
    cdef int32_t since = <int32_t>(ts - event.ts - event.duration)
    if since >= EVENT_GRACE:
        event_tell(event, clock)
    if since >= EVENT_MEMORY:
        event.known = False
