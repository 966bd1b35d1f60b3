# The receiver's settings, checked and in samples.

cdef struct Limits:
    int chunk
    int conceal
    int pause_fill
    int64_t reorder  # nanoseconds
    int64_t learn    # nanoseconds


cdef int limits_parse(Limits *limits, int chunk_ms, int reorder_ms, int conceal_ms, int pause_fill_ms,
                      int learn_ms) except -1:
    """Takes the settings.

    Raises:
        ValueError: One is out of range.
    """
    if not 10 <= chunk_ms <= 1000:
        raise ValueError(f"chunk_ms is {chunk_ms}; 10 to 1000 can be")
    if not 0 <= reorder_ms <= 500:
        raise ValueError(f"reorder_ms is {reorder_ms}; 0 to 500 can be")
    if not 0 <= conceal_ms <= 1000:
        raise ValueError(f"conceal_ms is {conceal_ms}; 0 to 1000 can be")
    if not 0 <= pause_fill_ms <= 60000:
        raise ValueError(f"pause_fill_ms is {pause_fill_ms}; 0 to 60000 can be")
    if not 0 <= learn_ms <= 3600000:
        raise ValueError(f"learn_ms is {learn_ms}; 0 to 3600000 can be")
    limits.chunk, limits.conceal, limits.pause_fill = 8 * chunk_ms, 8 * conceal_ms, 8 * pause_fill_ms
    limits.reorder, limits.learn = <int64_t>reorder_ms * 1000000, <int64_t>learn_ms * 1000000
    return 0


cdef int calm_check(int samples) except -1:
    """Checks how long chunks may be while nobody speaks.

    Raises:
        ValueError: It is out of range.
    """
    if not 0 <= samples <= 16000:
        raise ValueError(f"samples is {samples}; 0 to 16000 can be")
    return samples


cdef int level_check(int level) except -1:
    """Checks a level.

    Raises:
        ValueError: It is out of range.
    """
    if not 0 <= level <= 127:
        raise ValueError(f"level is {level}; 0 to 127 can be")
    return level
