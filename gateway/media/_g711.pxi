# G.711 (ITU-T G.711) as the receiver needs it: decoding tables, encoding for faded samples, and levels.

cdef enum:
    ALAW = 0
    MULAW = 1
    FRAME = 160  # samples of 20 ms

cdef uint8_t SILENCE[2]
SILENCE[ALAW] = 0xD5
SILENCE[MULAW] = 0xFF

cdef int16_t LINEAR[2][256]
cdef uint32_t SQUARE[2][256]  # integers: they add up four times as fast as doubles


cdef int alaw_decode(int code) noexcept nogil:
    cdef int segment, value
    code ^= 0x55
    segment = (code & 0x70) >> 4
    value = ((code & 0x0F) << 4) + 8
    if segment:
        value = (value + 0x100) << (segment - 1)
    return value if code & 0x80 else -value


cdef int mulaw_decode(int code) noexcept nogil:
    cdef int value
    code = ~code & 0xFF
    value = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return -value if code & 0x80 else value


cdef uint8_t alaw_encode(int value) noexcept nogil:
    cdef int mask = 0xD5, segment = 0
    value >>= 3
    if value < 0:
        mask = 0x55
        value = -value - 1
    while segment < 7 and value > (0x20 << segment) - 1:
        segment += 1
    return ((segment << 4) | ((value >> (segment if segment > 1 else 1)) & 0x0F)) ^ mask


cdef uint8_t mulaw_encode(int value) noexcept nogil:
    cdef int mask = 0xFF, segment = 0
    value >>= 2
    if value < 0:
        mask = 0x7F
        value = -value
    value = min(value, 8158) + 33
    while segment < 7 and value > (0x40 << segment) - 1:
        segment += 1
    return ((segment << 4) | ((value >> (segment + 1)) & 0x0F)) ^ mask


cdef void fade(int codec, const uint8_t *frame, int length, int64_t start, int64_t whole, uint8_t *out, int n) noexcept nogil:
    """Repeats a frame, its gain falling from 1 at sample 0 to 0 at sample ``whole``; writes n samples from ``start``."""
    cdef int i
    cdef int value
    for i in range(n):
        value = <int>(LINEAR[codec][frame[(start + i) % length]] * (whole - start - i) / whole)
        out[i] = alaw_encode(value) if codec == ALAW else mulaw_encode(value)


cdef uint8_t level_of(int codec, const uint8_t *frame) noexcept nogil:
    """Returns the mean power of 20 ms in -dBov, 0 to 127 (the scale of RFC 6464, section 3)."""
    cdef uint64_t power = 0, odd = 0
    cdef const uint32_t *square = SQUARE[codec]
    cdef int i, level
    for i in range(0, FRAME, 2):  # two sums, so that one addition need not wait for the other
        power += square[frame[i]]
        odd += square[frame[i + 1]]
    power += odd
    if power == 0:
        return 127
    level = <int>(-10.0 * log10(<double>power / FRAME / (32768.0 * 32768.0)) + 0.5)
    return 0 if level < 0 else 127 if level > 127 else level


cdef uint8_t peak(int codec, const uint8_t *data, int samples) noexcept nogil:
    """Returns the largest sample by magnitude, as its code without sign and inversion: it grows with the magnitude."""
    cdef uint8_t inverted = 0x55 if codec == ALAW else 0xFF, largest = 0, one
    cdef int i
    for i in range(samples):
        one = (data[i] ^ inverted) & 0x7F
        largest = one if one > largest else largest
    return largest


cdef uint8_t peak_at(int codec, int level) noexcept nogil:
    """Returns the largest sample, as ``peak`` has it, of which a frame is no louder than a level in -dBov."""
    cdef uint8_t inverted = 0x55 if codec == ALAW else 0xFF
    cdef double most = 10.0 ** ((0.5 - level) / 10.0) * 32768.0 * 32768.0  # levels are rounded
    cdef int code
    for code in range(128):
        if SQUARE[codec][code ^ inverted] > most:
            return code - 1 if code else 0
    return 127


cdef void fill_tables() noexcept:
    cdef int code
    for code in range(256):
        LINEAR[ALAW][code] = alaw_decode(code)
        LINEAR[MULAW][code] = mulaw_decode(code)
        SQUARE[ALAW][code] = <uint32_t>(LINEAR[ALAW][code] * LINEAR[ALAW][code])
        SQUARE[MULAW][code] = <uint32_t>(LINEAR[MULAW][code] * LINEAR[MULAW][code])


fill_tables()
