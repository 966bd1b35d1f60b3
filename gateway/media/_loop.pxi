# The receiver's thread: one loop without the GIL over the sockets of all legs.
#
# Once a tick it takes one packet from each socket that has some, and again until none has any; then it lets waiting
# packets go whose window is over, ends the legs that were removed, and tells Python once. Everything of a leg is touched
# under one lock, which is held for one packet at a time; only the thread frees what epoll may still point at.

cdef enum:
    EVENTS = 512          # sockets that one epoll_wait reports
    PASSES = 64           # packets of one leg in one tick; a flood beyond that waits in its socket, and overflows there
    FINAL = 4096          # packets that are read from the socket of a removed leg
    DATAGRAM = 2048       # bytes; RTP over an Ethernet fits, a longer datagram is malformed
    TIMESTAMP_TRUST = 10  # seconds; a kernel timestamp further off means that the wall clock was set

cdef struct Leg:
    int fd
    bint waiting     # in the loop's list of legs with packets that wait for their turn
    bint removed
    Leg *next_removed
    CStream stream

cdef struct Loop:
    pthread_t thread
    pthread_mutex_t lock
    Queue queue
    bint running
    int epoll
    int wake          # eventfd: Python tells the thread
    int ready         # eventfd: the thread tells Python
    int64_t tick
    int64_t legs
    Leg *removals
    Leg **waiting
    int64_t waiting_count
    int64_t waiting_room
    int64_t wall      # wall clock minus monotonic clock


cdef void loop_wake(Loop *loop) noexcept nogil:
    """Ends the thread's sleep when there are no legs."""
    cdef uint64_t one = 1
    write(loop.wake, &one, sizeof(one))


cdef int64_t arrival_of(Loop *loop, msghdr *message) noexcept nogil:
    """Returns when the kernel got the datagram, on the monotonic clock."""
    cdef int64_t now = clock_of(CLOCK_MONOTONIC), arrival
    cdef cmsghdr *control = CMSG_FIRSTHDR(message)
    cdef timespec *at
    if control == NULL or control.cmsg_level != SOL_SOCKET or control.cmsg_type != SCM_TIMESTAMPNS:
        return now
    at = <timespec *>CMSG_DATA(control)
    arrival = <int64_t>at.tv_sec * 1000000000 + at.tv_nsec - loop.wall
    return arrival if now - TIMESTAMP_TRUST * <int64_t>1000000000 < arrival < now else now


cdef bint leg_read(Loop *loop, Leg *leg) noexcept nogil:
    """Takes one datagram from a leg's socket; false when there is none."""
    cdef uint8_t data[DATAGRAM]
    cdef uint8_t control[128]
    cdef sockaddr_storage address
    cdef msghdr message
    cdef iovec part
    cdef Source source
    cdef ssize_t size
    part.iov_base, part.iov_len = data, DATAGRAM
    memset(&message, 0, sizeof(message))
    message.msg_name, message.msg_namelen = &address, sizeof(address)
    message.msg_iov, message.msg_iovlen = &part, 1
    message.msg_control, message.msg_controllen = control, sizeof(control)
    size = recvmsg(leg.fd, &message, MSG_DONTWAIT)
    if size < 0:
        return False
    source_of(&source, &address)
    pthread_mutex_lock(&loop.lock)
    if message.msg_flags & MSG_TRUNC:
        leg.stream.counters.malformed += 1
    else:
        stream_receive(&leg.stream, data, size, &source, arrival_of(loop, &message))
    pthread_mutex_unlock(&loop.lock)
    return True


cdef void loop_wait_for(Loop *loop, Leg *leg) noexcept nogil:
    """Puts a leg on the list of those with packets that wait for their turn."""
    cdef Leg **room
    if leg.waiting or not leg.stream.held:
        return
    if loop.waiting_count == loop.waiting_room:
        room = <Leg **>realloc(loop.waiting, (2 * loop.waiting_room + 64) * sizeof(Leg *))
        if room == NULL:
            return
        loop.waiting, loop.waiting_room = room, 2 * loop.waiting_room + 64
    loop.waiting[loop.waiting_count] = leg
    loop.waiting_count += 1
    leg.waiting = True


cdef void loop_forget(Loop *loop, Leg *leg) noexcept nogil:
    """Takes a leg off that list: its memory goes soon."""
    cdef int64_t i
    for i in range(loop.waiting_count):
        if loop.waiting[i] == leg:
            loop.waiting_count -= 1
            loop.waiting[i] = loop.waiting[loop.waiting_count]
            return


cdef void loop_release(Loop *loop) noexcept nogil:
    """Lets packets go whose reordering window is over."""
    cdef int64_t now = clock_of(CLOCK_MONOTONIC), i, kept = 0
    cdef Leg *leg
    for i in range(loop.waiting_count):
        leg = loop.waiting[i]
        pthread_mutex_lock(&loop.lock)
        stream_release(&leg.stream, now, False)
        pthread_mutex_unlock(&loop.lock)
        leg.waiting = leg.stream.held > 0
        if leg.waiting:
            loop.waiting[kept] = leg
            kept += 1
    loop.waiting_count = kept


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
            if not leg_read(loop, leg):
                break
        loop_forget(loop, leg)
        epoll_ctl(loop.epoll, EPOLL_CTL_DEL, leg.fd, NULL)
        pthread_mutex_lock(&loop.lock)
        loop.legs -= 1
        stream_finish(&leg.stream)
        pthread_mutex_unlock(&loop.lock)
        leg = after


cdef void loop_read(Loop *loop) noexcept nogil:
    """Takes what has arrived."""
    cdef epoll_event events[EVENTS]
    cdef uint64_t count
    cdef Leg *leg
    cdef int i, n, turn
    for turn in range(PASSES):
        n = epoll_wait(loop.epoll, events, EVENTS, 0)
        if n <= 0:
            return
        for i in range(n):
            leg = <Leg *>events[i].data.ptr
            if leg == NULL:
                read(loop.wake, &count, sizeof(count))
                continue
            leg_read(loop, leg)
            loop_wait_for(loop, leg)


cdef void loop_sleep(Loop *loop, int64_t *next) noexcept nogil:
    """Sleeps to the next tick; without legs, until Python calls."""
    cdef epoll_event event
    cdef timespec at
    cdef int64_t now
    cdef bint idle
    pthread_mutex_lock(&loop.lock)
    idle = loop.legs == 0
    pthread_mutex_unlock(&loop.lock)
    if idle:
        epoll_wait(loop.epoll, &event, 1, -1)
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
