# The receiver's thread: one loop without the GIL over the sockets of all legs.
#
# Once a tick, or when there is none as soon as something arrives, it takes one packet from each socket that has some, and again until none has any; then it lets waiting
# packets go whose window is over, ends the legs that were removed, and tells Python once. Everything of a leg is touched
# under one lock, which is held for one packet at a time; only the thread frees what epoll may still point at.

cdef enum:
    EVENTS = 512          # sockets that one epoll_wait reports
    PASSES = 64           # packets of one leg in one tick; a flood beyond that waits in its socket, and overflows there
    FINAL = 4096          # packets that are read from the socket of a removed leg
    DATAGRAM = 2048       # bytes; RTP over an Ethernet fits, a longer datagram is malformed
    CONTROL_TAG = 1       # in a leg's address as epoll has it: this is its RTCP socket
    AWAKE = 5             # milliseconds of sleep at most while something is due, when there is no tick

cdef int64_t TRUST = 10000000000  # nanoseconds; a kernel timestamp further off means that the wall clock was set

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

cdef struct LegList:
    Leg **legs
    int64_t count
    int64_t room

cdef struct Loop:
    pthread_t thread
    pthread_mutex_t lock
    Queue queue
    bint running
    int epoll
    int wake          # eventfd: Python tells the thread
    int ready         # eventfd: the thread tells Python
    int64_t tick      # nanoseconds; 0 for awake at every packet
    LegList legs      # all that were added and have not ended; changed under the lock
    Sums ended        # what those counted that have ended
    Leg *removals
    LegList waiting   # those with packets that wait for their turn
    LegList sending   # those that get keep-alive RTP; changed under the lock
    int64_t wall      # wall clock minus monotonic clock
    int64_t now       # monotonic, when reading began


cdef void loop_wake(Loop *loop) noexcept nogil:
    """Ends the thread's sleep when there are no legs."""
    cdef uint64_t one = 1
    write(loop.wake, &one, sizeof(one))


cdef int64_t arrival_of(Loop *loop, msghdr *message) noexcept nogil:
    """Returns when the kernel got the datagram, on the monotonic clock."""
    cdef int64_t arrival
    cdef cmsghdr *control = CMSG_FIRSTHDR(message)
    cdef timespec *at
    if control == NULL or control.cmsg_level != SOL_SOCKET or control.cmsg_type != SCM_TIMESTAMPNS:
        return clock_of(CLOCK_MONOTONIC)
    at = <timespec *>CMSG_DATA(control)
    arrival = <int64_t>at.tv_sec * 1000000000 + at.tv_nsec - loop.wall
    if loop.now - TRUST < arrival < loop.now + TRUST:
        return arrival
    return clock_of(CLOCK_MONOTONIC)


cdef bint leg_read(Loop *loop, Leg *leg, bint control) noexcept nogil:
    """Takes one datagram from a leg's RTP or RTCP socket; false when there is none."""
    cdef uint8_t data[DATAGRAM]
    cdef uint8_t ancillary[128]
    cdef sockaddr_storage address
    cdef msghdr message
    cdef iovec part
    cdef Source source
    cdef ssize_t size
    part.iov_base, part.iov_len = data, DATAGRAM
    memset(&message, 0, sizeof(message))
    message.msg_name, message.msg_namelen = &address, sizeof(address)
    message.msg_iov, message.msg_iovlen = &part, 1
    message.msg_control, message.msg_controllen = ancillary, sizeof(ancillary)
    size = recvmsg(leg.control_fd if control else leg.fd, &message, MSG_DONTWAIT)
    if size < 0:
        return False
    source_of(&source, &address)
    pthread_mutex_lock(&loop.lock)
    if message.msg_flags & MSG_TRUNC:
        leg.stream.counters.malformed += 1
    elif control:
        stream_control(&leg.stream, data, size, &source, arrival_of(loop, &message))
    else:
        stream_receive(&leg.stream, data, size, &source, arrival_of(loop, &message))
    pthread_mutex_unlock(&loop.lock)
    return True


cdef void leg_prefetch(const Leg *leg) noexcept nogil:
    """Has the next leg's memory fetched while the kernel copies a packet: with many legs it lies in no near cache."""
    cdef const CStream *s = &leg.stream
    prefetch(leg)
    prefetch(&s.clock)
    prefetch(&s.clock.length)
    prefetch(&s.clock.spans)
    prefetch(&s.clock.frame)
    prefetch(&s.clock.frame[64])
    prefetch(&s.clock.frame[128])
    prefetch(&s.event)
    prefetch(&s.counters)
    prefetch(&s.counters.malformed)
    prefetch(&s.drift)
    prefetch(&s.drift.mean_y)
    prefetch(&s.meanings)
    prefetch(&s.remote)
    prefetch(&s.next_seq)
    prefetch(&s.history)
    prefetch(&s.history[64])
    prefetch(&s.next_ts)
    prefetch(&s.inbound)


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


cdef void loop_wait_for(Loop *loop, Leg *leg) noexcept nogil:
    """Puts a leg on the list of those with packets that wait for their turn."""
    if not leg.waiting and leg.stream.held:
        leg.waiting = list_add(&loop.waiting, leg)


cdef void loop_release(Loop *loop) noexcept nogil:
    """Lets packets go whose reordering window is over."""
    cdef int64_t now = clock_of(CLOCK_MONOTONIC), i, kept = 0
    cdef Leg *leg
    for i in range(loop.waiting.count):
        leg = loop.waiting.legs[i]
        pthread_mutex_lock(&loop.lock)
        stream_release(&leg.stream, now, False)
        pthread_mutex_unlock(&loop.lock)
        leg.waiting = leg.stream.held > 0
        if leg.waiting:
            loop.waiting.legs[kept] = leg
            kept += 1
    loop.waiting.count = kept


cdef void loop_end(Loop *loop) noexcept nogil:
    """Ends the legs that were removed, reading first what their sockets still hold. Python frees them afterwards."""
    cdef Leg *leg
    cdef Leg *after
    cdef int i
    cdef bint more
    pthread_mutex_lock(&loop.lock)
    leg = loop.removals
    loop.removals = NULL
    pthread_mutex_unlock(&loop.lock)
    while leg != NULL:
        after = leg.next_removed
        for i in range(FINAL):
            if not leg_read(loop, leg, False):
                break
        list_remove(&loop.waiting, leg)
        epoll_ctl(loop.epoll, EPOLL_CTL_DEL, leg.fd, NULL)
        if leg.control_fd >= 0:
            epoll_ctl(loop.epoll, EPOLL_CTL_DEL, leg.control_fd, NULL)
        pthread_mutex_lock(&loop.lock)
        list_remove(&loop.sending, leg)
        list_remove(&loop.legs, leg)
        leg.sending = False
        stream_finish(&leg.stream)
        sums_add(&loop.ended, &leg.stream)
        pthread_mutex_unlock(&loop.lock)
        leg = after


cdef void loop_read(Loop *loop) noexcept nogil:
    """Takes what has arrived."""
    cdef epoll_event events[EVENTS]
    cdef uint64_t count
    cdef Leg *leg
    cdef size_t tagged
    cdef int i, n, turn
    loop.now = clock_of(CLOCK_MONOTONIC)
    for turn in range(PASSES):
        n = epoll_wait(loop.epoll, events, EVENTS, 0)
        if n <= 0:
            return
        for i in range(n):
            tagged = <size_t>events[i].data.ptr
            leg = <Leg *>(tagged & ~<size_t>CONTROL_TAG)
            if leg == NULL:
                read(loop.wake, &count, sizeof(count))
                continue
            if i + 1 < n and events[i + 1].data.ptr != NULL:
                leg_prefetch(<const Leg *>(<size_t>events[i + 1].data.ptr & ~<size_t>CONTROL_TAG))
            leg_read(loop, leg, tagged & CONTROL_TAG)
            loop_wait_for(loop, leg)


cdef void loop_sleep(Loop *loop, int64_t *next) noexcept nogil:
    """Sleeps to the next tick; without legs, until Python calls."""
    cdef epoll_event event
    cdef timespec at
    cdef int64_t now
    cdef bint idle, sending
    pthread_mutex_lock(&loop.lock)
    idle, sending = loop.legs.count == 0, loop.sending.count > 0
    pthread_mutex_unlock(&loop.lock)
    if idle or loop.tick == 0:
        epoll_wait(loop.epoll, &event, 1, AWAKE if not idle and (loop.waiting.count or sending) else -1)
    if loop.tick == 0:
        return
    now = clock_of(CLOCK_MONOTONIC)
    next[0] += loop.tick
    if next[0] <= now:
        next[0] = now if now - next[0] < loop.tick else now + loop.tick
    at.tv_sec, at.tv_nsec = next[0] // 1000000000, next[0] % 1000000000
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL)


cdef void *loop_run(void *argument) noexcept nogil:
    """The thread."""
    cdef Loop *loop = <Loop *>argument
    cdef uint64_t one = 1
    cdef int64_t next = clock_of(CLOCK_MONOTONIC)
    cdef bint running = True, news
    while running:
        loop_sleep(loop, &next)
        loop.wall = clock_of(CLOCK_REALTIME) - clock_of(CLOCK_MONOTONIC)
        loop_read(loop)
        loop_release(loop)
        loop_send(loop)
        loop_end(loop)
        pthread_mutex_lock(&loop.queue.lock)
        news = loop.queue.news
        loop.queue.news = False
        pthread_mutex_unlock(&loop.queue.lock)
        if news:
            write(loop.ready, &one, sizeof(one))
        pthread_mutex_lock(&loop.lock)
        running = loop.running
        pthread_mutex_unlock(&loop.lock)
    return NULL
