# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What tests of the receiver need to be fast: a sender of many legs, a bare receiving loop, and a fuzzer."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from "sys/socket.h" nogil:
    int MSG_DONTWAIT
    struct sockaddr:
        pass
    ssize_t recv(int, void *, size_t, int)
    ssize_t sendto(int, const void *, size_t, int, const sockaddr *, unsigned int)

cdef extern from "netinet/in.h" nogil:
    struct in_addr:
        uint32_t s_addr
    struct sockaddr_in:
        unsigned short sin_family
        uint16_t sin_port
        in_addr sin_addr
    uint16_t htons(uint16_t)
    uint32_t htonl(uint32_t)
    int AF_INET

cdef extern from "sys/epoll.h" nogil:
    int EPOLLIN, EPOLL_CTL_ADD
    ctypedef union epoll_data_t:
        int fd
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int)
    int epoll_ctl(int, int, int, epoll_event *)
    int epoll_wait(int, epoll_event *, int, int)

cdef extern from "unistd.h" nogil:
    int close(int)

cdef extern from "time.h" nogil:
    int CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID, TIMER_ABSTIME
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int, timespec *)
    int clock_nanosleep(int, int, const timespec *, timespec *)


cdef inline int64_t clock_of(int which) noexcept nogil:
    cdef timespec at
    clock_gettime(which, &at)
    return <int64_t>at.tv_sec * 1000000000 + at.tv_nsec


cdef inline void sleep_until(int64_t when) noexcept nogil:
    cdef timespec at
    at.tv_sec, at.tv_nsec = when // 1000000000, when % 1000000000
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL)


cdef void loopback(sockaddr_in *address, int port) noexcept nogil:
    memset(address, 0, sizeof(sockaddr_in))
    address.sin_family, address.sin_port = AF_INET, htons(port)
    address.sin_addr.s_addr = htonl(0x7F000001)


def floor(fds, double seconds, int tick_ms=5):
    """Receives on all sockets with a bare loop of ``epoll_wait`` and ``recv``, once a tick, and does nothing else.

    Returns:
        Packets received, and the CPU time that took in seconds.
    """
    cdef epoll_event events[512]
    cdef uint8_t data[2048]
    cdef int64_t packets = 0, next, end, begun
    cdef int epoll = epoll_create1(0), n, i, fd
    cdef epoll_event event
    for fd in fds:
        event.events, event.data.fd = EPOLLIN, fd
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)
    with nogil:
        begun = clock_of(CLOCK_THREAD_CPUTIME_ID)
        next = clock_of(CLOCK_MONOTONIC)
        end = next + <int64_t>(seconds * 1e9)
        while next < end:
            next += tick_ms * 1000000
            sleep_until(next)
            while True:
                n = epoll_wait(epoll, events, 512, 0)
                if n <= 0:
                    break
                for i in range(n):
                    packets += recv(events[i].data.fd, data, 2048, MSG_DONTWAIT) >= 0
        begun = clock_of(CLOCK_THREAD_CPUTIME_ID) - begun
        close(epoll)
    return packets, begun / 1e9


def send(int fd, ports, int packets):
    """Sends each port of this machine so many A-law packets, one every 20 ms, the ports spread evenly over the 20 ms.

    The payload of leg i, packet n is the byte ``(i + n) & 0xFF`` 160 times.
    """
    cdef uint8_t data[172]
    cdef sockaddr_in addresses[4096]
    cdef int count = len(ports), leg, seq, j, sent = 0
    cdef int64_t start
    cdef uint32_t ts
    for leg in range(count):
        loopback(&addresses[leg], ports[leg])
    memset(data, 0, sizeof(data))
    data[0], data[1] = 0x80, 8
    with nogil:
        start = clock_of(CLOCK_MONOTONIC) + 1000000
        for seq in range(packets):
            for leg in range(count):
                if leg % 10 == 0:
                    sleep_until(start + <int64_t>seq * 20000000 + <int64_t>leg * 20000000 // count)
                ts = <uint32_t>(seq * 160)
                data[2], data[3] = (seq >> 8) & 0xFF, seq & 0xFF
                for j in range(4):
                    data[4 + j] = <uint8_t>(ts >> (24 - 8 * j))
                    data[8 + j] = <uint8_t>((leg + 1) >> (24 - 8 * j))
                memset(data + 12, (leg + seq) & 0xFF, 160)
                sent += sendto(fd, data, 172, 0, <sockaddr *>&addresses[leg], sizeof(sockaddr_in)) == 172
    return sent


def speak(int fd, ports, const uint8_t[::1] audio, starts, leads, int packets):
    """Sends each port of this machine so many A-law packets that say something, one every 20 ms, spread evenly.

    Args:
        fd: The socket that sends.
        ports: One of each leg.
        audio: What each leg says, whole packets; silence before and after it.
        starts: Packets after which each leg begins to send.
        leads: Packets of silence before it speaks.
        packets: How many each leg sends.

    Returns:
        Packets that the kernel took.
    """
    cdef uint8_t data[172]
    cdef sockaddr_in addresses[4096]
    cdef int first[4096]
    cdef int lead[4096]
    cdef int count = len(ports), leg, turn, seq, place, j, sent = 0, longest = 0, said = audio.shape[0] // 160
    cdef int64_t start
    cdef uint32_t ts
    for leg in range(count):
        loopback(&addresses[leg], ports[leg])
        first[leg], lead[leg] = starts[leg], leads[leg]
        longest = max(longest, first[leg])
    memset(data, 0, sizeof(data))
    data[0], data[1] = 0x80, 8
    with nogil:
        start = clock_of(CLOCK_MONOTONIC) + 1000000
        for turn in range(packets + longest):
            for leg in range(count):
                if leg % 10 == 0:
                    sleep_until(start + <int64_t>turn * 20000000 + <int64_t>leg * 20000000 // count)
                seq = turn - first[leg]
                if not 0 <= seq < packets:
                    continue
                ts = <uint32_t>(seq * 160)
                data[2], data[3] = (seq >> 8) & 0xFF, seq & 0xFF
                for j in range(4):
                    data[4 + j] = <uint8_t>(ts >> (24 - 8 * j))
                    data[8 + j] = <uint8_t>((leg + 1) >> (24 - 8 * j))
                place = seq - lead[leg]
                if 0 <= place < said:
                    memcpy(data + 12, &audio[place * 160], 160)
                else:
                    memset(data + 12, 0xD5, 160)
                sent += sendto(fd, data, 172, 0, <sockaddr *>&addresses[leg], sizeof(sockaddr_in)) == 172
    return sent


# the second byte of what is sent: payload types that are negotiated, with marker or without, others, and RTCP's
cdef const char *TYPES = b"\x08\x08\x08\x08\x00\x65\x65\x0d\x08\x12\x48\xc8\x08\x00\x88\x60"


cdef inline uint64_t draw(uint64_t *state) noexcept nogil:
    state[0] ^= state[0] << 13
    state[0] ^= state[0] >> 7
    state[0] ^= state[0] << 17
    return state[0]


cdef int forge(uint8_t *data, uint64_t *state, int leg, uint32_t step) noexcept nogil:
    """Writes one hostile datagram; returns its length."""
    cdef uint64_t kind = draw(state) % 16, r
    cdef int length, i, flips
    cdef uint32_t ts
    r = draw(state)
    if kind == 0:  # noise
        length = r % 1600
        for i in range(length):
            data[i] = <uint8_t>draw(state)
        return length
    length = 12 + (0 if r & 7 == 0 else <int>((r >> 8) % 500))
    memset(data, <int>(r & 0xFF), length)
    data[0] = 0x80
    data[1] = <uint8_t>TYPES[r >> 20 & 15]
    i = step + (<int>(r >> 24) % 7 - 3 if kind < 8 else <int>(r >> 24) % 300 - 150 if kind < 12 else <int>(r >> 24))
    data[2], data[3] = (i >> 8) & 0xFF, i & 0xFF
    ts = step * 160 + (0 if kind < 6 else <uint32_t>(draw(state) % 4000) if kind < 12 else <uint32_t>draw(state))
    for i in range(4):
        data[4 + i] = <uint8_t>(ts >> (24 - 8 * i))
        data[8 + i] = <uint8_t>(leg >> (24 - 8 * i))
    if data[1] & 0x7F == 101 and length > 16:
        r = draw(state)
        memcpy(data + 12, &r, 4)
        data[12] = data[12] % 18
        length = 16 if r >> 40 & 3 else length
    if kind == 9:  # CSRCs, extension and padding that may lie
        data[0] = 0x80 | <uint8_t>(draw(state) & 0x3F)
        if length:
            data[length - 1] = <uint8_t>draw(state)
    elif kind == 10:
        flips = 1 + draw(state) % 12
        for i in range(flips):
            r = draw(state)
            data[(r >> 8) % length] = <uint8_t>r
    elif kind == 11:
        length = draw(state) % (length + 1)
    elif kind == 12:  # RTCP
        data[0], data[1] = 0x80 | <uint8_t>(r & 0x1F), 200 + (r >> 8) % 8
    elif kind == 13:  # an SSRC of another
        data[11] ^= <uint8_t>(1 + r % 3)
    return length


def fuzz(fds, ports, uint64_t seed, int first, int count):
    """Sends each port ``count`` hostile datagrams, most of them close to a stream, from sockets that take turns.

    Args:
        fds: Sockets; the first sends most.
        ports: Targets on this machine.
        seed: Of the random numbers, not 0.
        first: How far the streams are, in packets.
        count: Datagrams for each port.
    """
    cdef uint8_t data[2048]
    cdef sockaddr_in addresses[512]
    cdef int sockets[16]
    cdef int legs = len(ports), others = len(fds), leg, n, length, sent = 0, fd
    cdef uint64_t state = seed
    for leg in range(legs):
        loopback(&addresses[leg], ports[leg])
    for n in range(others):
        sockets[n] = fds[n]
    with nogil:
        for n in range(count):
            for leg in range(legs):
                length = forge(data, &state, leg + 1, <uint32_t>(first + n))
                fd = sockets[0] if draw(&state) % 8 else sockets[draw(&state) % others]
                sent += sendto(fd, data, length, 0, <sockaddr *>&addresses[leg], sizeof(sockaddr_in)) == length
    return sent
