# A leg as the thread has it: its sockets, what is read from them, and the lists that it is in.

cdef enum:
    DATAGRAM = 2048  # bytes; RTP over an Ethernet fits, a longer datagram is malformed
    LINE = 64        # bytes of a line of the processor's caches
    BATCH = 16       # datagrams that are read before the legs get them

cdef struct Leg:
    int fd           # RTP
    int control_fd   # RTCP; -1 for none
    int control_port # where the peer takes RTCP; 0 for the port above its RTP port
    bint v4
    uint32_t ssrc    # our own
    int keepalive    # payload type of the silence that is sent; -1 for none
    uint16_t send_seq
    uint32_t send_ts
    int64_t send_at  # monotonic nanoseconds
    bint sending     # in the loop's list of legs that are sent to
    void *outbound   # libsrtp's session; NULL for plain RTP
    bint waiting     # in the loop's list of legs with packets that wait for their turn
    bint removed
    Leg *next_removed
    CStream stream

cdef struct Datagram:
    Leg *leg
    bint control      # it came on the RTCP socket
    bint longer       # than there is room for
    int size
    int64_t stamp     # when the kernel got it, on the wall clock; 0 where it does not say
    Source source
    uint8_t data[DATAGRAM]

cdef struct LegList:
    Leg **legs
    int64_t count
    int64_t room


cdef Leg *leg_new() noexcept nogil:
    """Returns a zeroed leg that begins with a line of the cache; NULL without memory."""
    cdef void *leg = NULL
    if posix_memalign(&leg, LINE, sizeof(Leg)) != 0:
        return NULL
    memset(leg, 0, sizeof(Leg))
    return <Leg *>leg


cdef bint datagram_read(Datagram *one, Leg *leg, bint control) noexcept nogil:
    """Reads one datagram from a leg's RTP or RTCP socket; false when there is none."""
    cdef uint8_t ancillary[64]
    cdef sockaddr_storage address
    cdef msghdr message
    cdef cmsghdr *header
    cdef iovec part
    cdef timespec *at
    part.iov_base, part.iov_len = one.data, DATAGRAM
    message.msg_name, message.msg_namelen = &address, sizeof(address)
    message.msg_iov, message.msg_iovlen = &part, 1
    message.msg_control, message.msg_controllen = ancillary, sizeof(ancillary)
    message.msg_flags = 0
    one.size = <int>recvmsg(leg.control_fd if control else leg.fd, &message, MSG_DONTWAIT)
    if one.size < 0:
        return False
    one.leg, one.control, one.longer, one.stamp = leg, control, message.msg_flags & MSG_TRUNC, 0
    source_of(&one.source, &address)
    header = CMSG_FIRSTHDR(&message)
    if header != NULL and header.cmsg_level == SOL_SOCKET and header.cmsg_type == SCM_TIMESTAMPNS:
        at = <timespec *>CMSG_DATA(header)
        one.stamp = <int64_t>at.tv_sec * 1000000000 + at.tv_nsec
    return True


cdef void leg_prefetch(const Leg *leg) noexcept nogil:
    """Has a leg's memory fetched while the kernel copies packets: with many legs it lies in no near cache."""
    cdef const uint8_t *at = <const uint8_t *>leg
    cdef size_t hot = <size_t>&leg.stream.clock.spans[1] - <size_t>leg, line
    for line in range(hot // LINE + 1):
        prefetch(at + line * LINE)
    prefetch(&leg.stream.meanings)
    prefetch(&leg.stream.event)


cdef void leg_prefetch_buffer(const Leg *leg) noexcept nogil:
    """Has the place fetched where the next payload goes; asks for what the above has fetched."""
    cdef const uint8_t *at = leg.stream.clock.buffer + leg.stream.clock.length
    cdef int line
    for line in range(FRAME // LINE + 2):
        prefetch_to_write(at + line * LINE)


cdef bint list_add(LegList *list, Leg *leg) noexcept nogil:
    """Adds a leg; false without memory."""
    cdef Leg **room
    if list.count == list.room:
        room = <Leg **>realloc(list.legs, (2 * list.room + 64) * sizeof(Leg *))
        if room == NULL:
            return False
        list.legs, list.room = room, 2 * list.room + 64
    list.legs[list.count] = leg
    list.count += 1
    return True


cdef void list_remove(LegList *list, Leg *leg) noexcept nogil:
    cdef int64_t i
    for i in range(list.count):
        if list.legs[i] == leg:
            list.count -= 1
            list.legs[i] = list.legs[list.count]
            return
