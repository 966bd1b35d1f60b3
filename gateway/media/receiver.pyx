# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=False
"""The native RTP receiver: one thread without the GIL takes the packets of all legs and hands over finished chunks.

The files beside this one are parts of it, each with one concept; ``receiver.pyi`` documents the interface.
"""

cimport cython
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from posix.stdlib cimport posix_memalign
from libc.string cimport memcmp, memcpy, memmove, memset

from collections import OrderedDict
from ipaddress import ip_address

from gateway.media.chunks import Chunk, Control, Digit, Kind, Span
from gateway.media.stats import StreamStats, Totals

cdef enum:
    # gateway.media.chunks.Kind
    RECEIVED = 0
    CONCEALED = 1
    PAUSE = 2
    COMFORT_NOISE = 3
    DTMF = 4

cdef tuple KINDS = tuple(Kind)
cdef tuple CODECS = ("alaw", "mulaw")
cdef const char *KEYS = "0123456789*#ABCD"

include "_system.pxi"
include "_g711.pxi"
include "_queue.pxi"
include "_packet.pxi"
include "_srtp.pxi"
include "_limits.pxi"
include "_clock.pxi"
include "_events.pxi"
include "_stream.pxi"
include "_terms.pxi"
include "_figures.pxi"
include "_leg.pxi"
include "_loop.pxi"
include "_send.pxi"

cdef enum:
    ENDED = 4096      # ended legs whose counters are kept
    LEARN_MS = 10000  # how long a source that was not signalled may be learnt


cdef class Stream:
    """One leg's stream without socket and thread."""

    cdef CStream stream
    cdef Queue queue

    def __cinit__(self, *, leg=0, codecs, remote=None, telephone_event=-1, comfort_noise=-1, mux=False, srtp=None,
                  now=0, chunk_ms=100, reorder_ms=40, conceal_ms=60, pause_fill_ms=2000, learn_ms=LEARN_MS,
                  backlog=65536):
        cdef Limits limits
        cdef Terms terms
        queue_init(&self.queue, backlog)
        limits_parse(&limits, chunk_ms, reorder_ms, conceal_ms, pause_fill_ms, learn_ms)
        terms_parse(&terms, codecs, remote, telephone_event, comfort_noise, mux, srtp)
        if not stream_init(&self.stream, &self.queue, leg, &limits):
            terms_free(&terms)
            raise MemoryError
        stream_agree(&self.stream, &terms, now)
        terms_free(&terms)

    def __dealloc__(self):
        stream_free(&self.stream)
        queue_destroy(&self.queue)

    def push(self, const uint8_t[::1] packet, arrival, source=("127.0.0.1", 4000)):
        self._push(packet, arrival, source, False)
        return queue_objects(&self.queue)

    def push_control(self, const uint8_t[::1] packet, arrival, source=("127.0.0.1", 4001)):
        self._push(packet, arrival, source, True)
        return queue_objects(&self.queue)

    cdef _push(self, const uint8_t[::1] packet, int64_t arrival, object source, bint control):
        cdef uint8_t data[DATAGRAM]
        cdef Source origin
        source_parse(&origin, source)
        if packet.shape[0] > DATAGRAM:
            self.stream.counters.malformed += 1
            return
        if packet.shape[0]:
            memcpy(data, &packet[0], packet.shape[0])
        (stream_control if control else stream_receive)(&self.stream, data, packet.shape[0], &origin, arrival)

    def tick(self, now):
        stream_release(&self.stream, now, False)
        return queue_objects(&self.queue)

    def update(self, *, codecs, remote, telephone_event=-1, comfort_noise=-1, mux=False, srtp=None, now=0):
        cdef Terms terms
        terms_parse(&terms, codecs, remote, telephone_event, comfort_noise, mux, srtp)
        stream_agree(&self.stream, &terms, now)
        terms_free(&terms)

    def finish(self):
        stream_finish(&self.stream)
        return queue_objects(&self.queue)

    def calm(self, int samples, int level):
        if not clock_calm(&self.stream.clock, calm_check(samples), level_check(level)):
            raise MemoryError

    def stats(self):
        return stream_stats(&self.stream)

    def dropped(self):
        return queue_dropped(&self.queue)


cdef class _Handle:
    """Holds a leg's memory for as long as Python knows the leg."""

    cdef Leg *leg

    def __dealloc__(self):
        if self.leg != NULL:
            stream_free(&self.leg.stream)
            if self.leg.outbound != NULL:
                srtp_dealloc(self.leg.outbound)
            free(self.leg)


@cython.no_gc_clear  # the thread is stopped before the legs' memory goes, in a reference cycle too
cdef class Receiver:
    """Receives the RTP of all legs."""

    cdef Loop *loop
    cdef Limits limits
    cdef dict legs
    cdef object ended

    def __cinit__(self, *, tick_ms=5, chunk_ms=100, reorder_ms=40, conceal_ms=60, pause_fill_ms=2000,
                  learn_ms=LEARN_MS, backlog=65536):
        cdef epoll_event event
        cdef sigset_t everything, before
        cdef int failed
        if not 0 <= tick_ms <= 100:
            raise ValueError(f"tick_ms is {tick_ms}; 0 to 100 can be")
        if backlog < 1:
            raise ValueError(f"backlog is {backlog}; it must hold something")
        limits_parse(&self.limits, chunk_ms, reorder_ms, conceal_ms, pause_fill_ms, learn_ms)
        self.legs, self.ended = {}, OrderedDict()
        self.loop = <Loop *>calloc(1, sizeof(Loop))
        if self.loop == NULL:
            raise MemoryError
        queue_init(&self.loop.queue, backlog)
        pthread_mutex_init(&self.loop.lock, NULL)
        self.loop.tick = tick_ms * 1000000
        self.loop.epoll = epoll_create1(EPOLL_CLOEXEC)
        self.loop.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        self.loop.ready = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        event.events, event.data.ptr = EPOLLIN, NULL
        if (self.loop.epoll < 0 or self.loop.wake < 0 or self.loop.ready < 0
                or epoll_ctl(self.loop.epoll, EPOLL_CTL_ADD, self.loop.wake, &event) < 0):
            code = errno
            self._free()
            raise OSError(code, "the receiver got no descriptors")
        # signals are for Python's main thread; a new thread inherits the mask
        sigfillset(&everything)
        pthread_sigmask(SIG_SETMASK, &everything, &before)
        self.loop.running = True
        failed = pthread_create(&self.loop.thread, NULL, loop_run, self.loop)
        pthread_sigmask(SIG_SETMASK, &before, NULL)
        if failed:
            self._free()
            raise OSError(failed, "the receiver got no thread")
        pthread_setname_np(self.loop.thread, "rtp-receiver")

    def __dealloc__(self):
        self._stop()

    cdef _free(self):
        for fd in (self.loop.epoll, self.loop.wake, self.loop.ready):
            if fd >= 0:
                close(fd)
        queue_destroy(&self.loop.queue)
        pthread_mutex_destroy(&self.loop.lock)
        free(self.loop.legs.legs)
        free(self.loop.waiting.legs)
        free(self.loop.sending.legs)
        free(self.loop)
        self.loop = NULL

    cdef _stop(self):
        if self.loop == NULL:
            return
        with nogil:
            pthread_mutex_lock(&self.loop.lock)
            self.loop.running = False
            pthread_mutex_unlock(&self.loop.lock)
            loop_wake(self.loop)
            pthread_join(self.loop.thread, NULL)
        self._free()

    cdef _check(self):
        if self.loop == NULL:
            raise ValueError("the receiver is closed")

    cdef Leg *_leg(self, leg) except NULL:
        self._check()
        handle = <_Handle>self.legs.get(leg)
        if handle is None or (<_Handle>handle).leg.removed:
            raise KeyError(leg)
        return (<_Handle>handle).leg

    def fileno(self):
        self._check()
        return self.loop.ready

    def add(self, leg, fd, *, codecs, remote, telephone_event=-1, comfort_noise=-1, rtcp_fd=-1, int rtcp_port=0, mux=False,
            srtp=None, ssrc=0, int keepalive=-1):
        cdef Terms terms
        cdef epoll_event event
        cdef int on = 1, done
        cdef _Handle handle = _Handle()
        cdef Leg *new
        self._check()
        if leg in self.legs:
            raise ValueError(f"leg {leg} is already there")
        keepalive_check(keepalive, codecs)
        terms_parse(&terms, codecs, remote, telephone_event, comfort_noise, mux, srtp)
        new = handle.leg = leg_new()
        if new == NULL or not stream_init(&new.stream, &self.loop.queue, leg, &self.limits):
            terms_free(&terms)
            raise MemoryError
        new.fd, new.control_fd, new.control_port, new.ssrc = fd, rtcp_fd, rtcp_port, ssrc
        new.v4, new.keepalive = socket_v4(fd), -1
        stream_agree(&new.stream, &terms, clock_of(CLOCK_MONOTONIC))
        terms_free(&terms)
        new.outbound = srtp_session(&new.stream.keys, False)
        # without kernel timestamps an arrival is when the tick saw it
        setsockopt(new.fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on))
        event.events, event.data.ptr = EPOLLIN, new
        with nogil:
            pthread_mutex_lock(&self.loop.lock)
            done = 0 if list_add(&self.loop.legs, new) else -1
            if done == 0:
                done = epoll_ctl(self.loop.epoll, EPOLL_CTL_ADD, new.fd, &event)
            if done == 0 and new.control_fd >= 0:
                event.data.ptr = <void *>(<size_t>new | CONTROL_TAG)
                done = epoll_ctl(self.loop.epoll, EPOLL_CTL_ADD, new.control_fd, &event)
                if done < 0:
                    epoll_ctl(self.loop.epoll, EPOLL_CTL_DEL, new.fd, NULL)
            if done == 0:
                leg_keep_alive(self.loop, new, keepalive)
            else:
                list_remove(&self.loop.legs, new)
            pthread_mutex_unlock(&self.loop.lock)
        if done < 0:
            raise OSError(errno, f"leg {leg}: its socket cannot be watched")
        self.legs[leg] = handle
        self.ended.pop(leg, None)
        loop_wake(self.loop)

    def update(self, leg, *, codecs, remote, telephone_event=-1, comfort_noise=-1, int rtcp_port=0, mux=False, srtp=None,
               int keepalive=-1):
        cdef Leg *known = self._leg(leg)
        cdef Terms terms
        cdef void *outbound
        cdef bint changed
        keepalive_check(keepalive, codecs)
        terms_parse(&terms, codecs, remote, telephone_event, comfort_noise, mux, srtp)
        changed = memcmp(&known.stream.keys, &terms.keys, sizeof(Keys)) != 0
        try:
            outbound = srtp_session(&terms.keys, False) if changed else NULL
        except MemoryError:
            terms_free(&terms)
            raise
        with nogil:
            pthread_mutex_lock(&self.loop.lock)
            stream_agree(&known.stream, &terms, clock_of(CLOCK_MONOTONIC))
            if changed:
                known.outbound, outbound = outbound, known.outbound
            known.control_port = rtcp_port
            leg_keep_alive(self.loop, known, keepalive)
            pthread_mutex_unlock(&self.loop.lock)
        terms_free(&terms)
        if outbound != NULL:
            srtp_dealloc(outbound)
        loop_wake(self.loop)

    def send_control(self, leg, const uint8_t[::1] packet):
        cdef Leg *known = self._leg(leg)
        cdef uint8_t data[DATAGRAM]
        cdef bint sent
        if not 8 <= packet.shape[0] <= DATAGRAM - SRTP_ROOM:
            raise ValueError(f"{packet.shape[0]} bytes are no RTCP packet")
        memcpy(data, &packet[0], packet.shape[0])
        with nogil:
            pthread_mutex_lock(&self.loop.lock)
            sent = leg_send_control(known, data, <int>packet.shape[0])
            pthread_mutex_unlock(&self.loop.lock)
        return bool(sent)

    def remove(self, leg):
        cdef Leg *known = self._leg(leg)
        with nogil:
            pthread_mutex_lock(&self.loop.lock)
            known.removed = True
            known.next_removed = self.loop.removals
            self.loop.removals = known
            pthread_mutex_unlock(&self.loop.lock)
            loop_wake(self.loop)

    def calm(self, leg, int samples, int level):
        cdef _Handle handle = self.legs.get(leg)
        cdef bint done
        self._check()
        calm_check(samples)
        level_check(level)
        if handle is None:
            return
        with nogil:
            pthread_mutex_lock(&self.loop.lock)
            done = clock_calm(&handle.leg.stream.clock, samples, level)
            pthread_mutex_unlock(&self.loop.lock)
        if not done:
            raise MemoryError

    def drain(self):
        cdef uint64_t count
        self._check()
        read(self.loop.ready, &count, sizeof(count))
        found = queue_objects(&self.loop.queue)
        for item in found:
            if type(item) is Chunk and item.last:
                with nogil:  # the thread that queued it may still be adding up what the leg counted
                    pthread_mutex_lock(&self.loop.lock)
                    pthread_mutex_unlock(&self.loop.lock)
                self.ended[item.leg] = stream_stats(&(<_Handle>self.legs.pop(item.leg)).leg.stream)
                if len(self.ended) > ENDED:
                    self.ended.popitem(last=False)
        return found

    def stats(self, leg):
        cdef CStream copy
        cdef Leg *known
        self._check()
        if (figures := self.ended.get(leg)) is not None:
            return figures
        known = (<_Handle>self.legs[leg]).leg
        with nogil:
            pthread_mutex_lock(&self.loop.lock)
            memcpy(&copy, &known.stream, sizeof(CStream))
            pthread_mutex_unlock(&self.loop.lock)
        return stream_stats(&copy)

    def still(self, double seconds):
        cdef int64_t since = clock_of(CLOCK_MONOTONIC) - <int64_t>(seconds * 1e9), i
        cdef Leg *leg
        found = []
        self._check()
        pthread_mutex_lock(&self.loop.lock)  # with the GIL: a hundred microseconds at a thousand legs
        for i in range(self.loop.legs.count):
            leg = self.loop.legs.legs[i]
            if leg.stream.counters.last_arrival < since:
                found.append(leg.stream.clock.leg)
        pthread_mutex_unlock(&self.loop.lock)
        return found

    def totals(self):
        cdef Sums sums
        cdef double jitter
        cdef int64_t i, legs, waiting, dropped
        self._check()
        pthread_mutex_lock(&self.loop.lock)  # with the GIL, so that the receiver cannot be closed meanwhile
        memcpy(&sums, &self.loop.ended, sizeof(Sums))
        jitter, sums.worst_jitter = sums.counters.jitter, 0.0
        legs = self.loop.legs.count
        for i in range(legs):
            sums_add(&sums, &self.loop.legs.legs[i].stream)
        pthread_mutex_unlock(&self.loop.lock)
        queue_figures(&self.loop.queue, &waiting, &dropped)
        return sums_totals(&sums, legs, sums.counters.jitter - jitter, sums.worst_jitter, waiting,
                           self.loop.queue.bound, dropped)

    def dropped(self):
        self._check()
        return queue_dropped(&self.loop.queue)

    def close(self):
        self._stop()
        self.legs.clear()
