# The receiver's thread: one loop without the GIL over the sockets of all legs.
#
# Once a tick, or when there is none as soon as something arrives, it takes one packet from each socket that has some, and
# again until none has any; then it lets waiting packets go whose window is over, hands over what waits for packets that
# do not come, ends the legs that were removed, and tells Python once. Everything of a leg is touched under one lock, which is held for one batch of packets at a time and
# never while the kernel is asked for them; only the thread frees what epoll may still point at.

cdef enum:
    EVENTS = 512          # sockets that one epoll_wait reports
    PASSES = 64           # packets of one leg in one tick; a flood beyond that waits in its socket, and overflows there
    FINAL = 4096          # packets that are read from the socket of a removed leg
    CONTROL_TAG = 1       # in a leg's address as epoll has it: this is its RTCP socket
    AWAKE = 5             # milliseconds of sleep at most while something is due, when there is no tick

cdef int64_t STILL = 100000000   # nanoseconds without a packet after which a chunk is handed over as far as it has come
cdef int64_t LOOK = 50000000     # nanoseconds from one look at all legs to the next
cdef int64_t TRUST = 10000000000  # nanoseconds; a kernel timestamp further off means that the wall clock was set

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
    int64_t looked    # monotonic, when all legs were last looked at
    int64_t wall      # wall clock minus monotonic clock
    int64_t now       # monotonic, when reading began
    int count         # datagrams in the batch
    Datagram batch[BATCH]


cdef void loop_wake(Loop *loop) noexcept nogil:
    """Ends the thread's sleep when there are no legs."""
    cdef uint64_t one = 1
    write(loop.wake, &one, sizeof(one))


cdef int64_t loop_arrival(const Loop *loop, int64_t stamp) noexcept nogil:
    """Returns when the kernel got a datagram that it stamped so, on the monotonic clock."""
    cdef int64_t arrival = stamp - loop.wall
    if loop.now - TRUST < arrival < loop.now + TRUST:
        return arrival
    return clock_of(CLOCK_MONOTONIC)


cdef void loop_deliver(Loop *loop) noexcept nogil:
    """Gives the legs what was read for them."""
    cdef Datagram *one
    cdef int i
    pthread_mutex_lock(&loop.lock)
    for i in range(loop.count):
        one = &loop.batch[i]
        if i + 2 < loop.count:
            leg_prefetch_buffer(loop.batch[i + 2].leg)
        if one.longer:
            one.leg.stream.counters.malformed += 1
        elif one.control:
            stream_control(&one.leg.stream, one.data, one.size, &one.source, loop_arrival(loop, one.stamp))
        else:
            stream_receive(&one.leg.stream, one.data, one.size, &one.source, loop_arrival(loop, one.stamp))
        if one.leg.stream.held and not one.leg.waiting:
            one.leg.waiting = list_add(&loop.waiting, one.leg)
    pthread_mutex_unlock(&loop.lock)
    loop.count = 0


cdef bint loop_take(Loop *loop, Leg *leg, bint control) noexcept nogil:
    """Reads one datagram of a leg's RTP or RTCP socket; false when there is none."""
    if not datagram_read(&loop.batch[loop.count], leg, control):
        return False
    loop.count += 1
    if loop.count == BATCH:
        loop_deliver(loop)
    return True


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


cdef void loop_look(Loop *loop) noexcept nogil:
    """Hands over what waits in a chunk for a packet that does not come: who suppresses silence has said a word in it."""
    cdef int64_t now = clock_of(CLOCK_MONOTONIC), i
    cdef CStream *stream
    if now - loop.looked < LOOK:
        return
    loop.looked = now
    pthread_mutex_lock(&loop.lock)
    for i in range(loop.legs.count):
        stream = &loop.legs.legs[i].stream
        if stream.clock.length and now - stream.counters.last_arrival > STILL:
            clock_cut(&stream.clock, False)
    pthread_mutex_unlock(&loop.lock)


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
            if not loop_take(loop, leg, False):
                break
        loop_deliver(loop)
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
            loop_take(loop, leg, tagged & CONTROL_TAG)
        loop_deliver(loop)


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
        epoll_wait(loop.epoll, &event, 1, -1 if idle else AWAKE if loop.waiting.count or sending else LOOK // 1000000)
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
        loop_look(loop)
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
