# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=False
"""Speech activity of one leg from its frame levels; ``activity.pyi`` documents the interface."""

from libc.math cimport ceil
from libc.stdint cimport int64_t, uint8_t

FRAME = 160
ONSET_FRAMES = 4
HANGOVER_FRAMES = 12

cdef enum:
    SAMPLES = 160   # FRAME
    ONSET = 4       # 80 ms: a breath or a click is shorter, a word is not
    HANGOVER = 12   # 240 ms: longer than the closure of a plosive

cdef double ABOVE_FLOOR_DB = 6.0
cdef double STAY_ABOVE_FLOOR_DB = 3.5  # less to go on than to begin: words trail off
cdef double QUIETEST_SPEECH_DBOV = -52.0  # telephone speech is about -20 dBov; comfort noise lies below -60
cdef double LOWEST_FLOOR_DBOV = -70.0  # digital silence must not make breath count as speech
cdef double RISE_DB_PER_FRAME = 0.06  # 3 dB a second


cdef class Segment:
    cdef public int64_t start
    cdef public int64_t end
    cdef public bint open

    def __init__(self, start, end, open):  # noqa: A002
        self.start, self.end, self.open = start, end, open

    def __eq__(self, other):
        return isinstance(other, Segment) and (self.start, self.end, self.open) == (other.start, other.end, other.open)

    __hash__ = None

    def __repr__(self):
        return f"Segment(start={self.start}, end={self.end}, open={self.open})"


cdef class SpeechActivity:
    cdef double _floor
    cdef int _run
    cdef int _quiet
    cdef Segment _segment

    def __init__(self):
        self._floor = -45.0

    @property
    def speaking(self):
        return self._segment is not None

    @property
    def threshold(self):
        return <int>ceil(-max(self._floor + ABOVE_FLOOR_DB, QUIETEST_SPEECH_DBOV))

    def feed(self, const uint8_t[::1] levels not None, int64_t first):
        cdef list opened = []
        cdef Py_ssize_t i
        cdef int64_t position = first
        cdef double power, above
        cdef bint loud
        for i in range(levels.shape[0]):
            power = -<double>levels[i]
            above = ABOVE_FLOOR_DB if self._segment is None else STAY_ABOVE_FLOOR_DB
            loud = power > max(self._floor + above, QUIETEST_SPEECH_DBOV)
            self._floor = max(min(power, self._floor + RISE_DB_PER_FRAME), LOWEST_FLOOR_DBOV)
            if loud:
                self._run += 1
                self._quiet = 0
                if self._segment is not None:
                    self._segment.end = position + SAMPLES
                elif self._run >= ONSET:
                    self._segment = Segment(max(position - (ONSET - 1) * SAMPLES, 0), position + SAMPLES, True)
                    opened.append(self._segment)
            else:
                self._run = 0
                self._quiet += 1
                if self._quiet >= HANGOVER:
                    self.pause()
            position += SAMPLES
        return opened

    cpdef pause(self):
        if self._segment is not None:
            self._segment.open = False
            self._segment = None
