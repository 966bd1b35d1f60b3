# What streams say of themselves: the counters of one, and the sums over all.

cdef object stream_stats(const CStream *s):
    return StreamStats(
        s.counters.packets, s.counters.lost, s.counters.late, s.counters.duplicates, s.counters.foreign,
        s.counters.malformed, s.counters.wrong_payload_type, s.clock.counts[RECEIVED], s.clock.counts[CONCEALED],
        s.clock.counts[PAUSE], s.counters.jitter, s.counters.last_arrival, s.counters.reordered,
        s.counters.unauthentic, drift_ppm(&s.drift), s.ssrc, s.highest if s.anchored else -1,
    )


cdef object drift_ppm(const Drift *d):
    """Returns how much faster the sender's clock runs than ours; None until that can be told."""
    if d.count < DRIFT_PACKETS or d.mean_x * 2 < DRIFT_SAMPLES or d.xy <= 0:
        return None
    return (d.xx / d.xy - 1.0) * 1e6


cdef struct Sums:
    Counters counters
    int64_t samples[3]
    double worst_jitter


cdef void sums_add(Sums *sums, const CStream *s) noexcept nogil:
    """Adds a stream's counters; of ``jitter`` the sum, too."""
    cdef Counters *sum = &sums.counters
    cdef const Counters *one = &s.counters
    cdef int i
    sum.packets += one.packets
    sum.lost += one.lost
    sum.late += one.late
    sum.duplicates += one.duplicates
    sum.foreign += one.foreign
    sum.unauthentic += one.unauthentic
    sum.reordered += one.reordered
    sum.malformed += one.malformed
    sum.wrong_payload_type += one.wrong_payload_type
    sum.jitter += one.jitter
    sums.worst_jitter = max(sums.worst_jitter, one.jitter)
    for i in range(3):
        sums.samples[i] += s.clock.counts[i]


cdef object sums_totals(const Sums *sums, int64_t legs, double jitter, double worst, int64_t waiting, int64_t backlog,
                        int64_t dropped):
    cdef const Counters *sum = &sums.counters
    return Totals(
        legs, sum.packets, sum.lost, sum.late, sum.duplicates, sum.reordered, sum.foreign, sum.malformed,
        sum.wrong_payload_type, sum.unauthentic, sums.samples[RECEIVED], sums.samples[CONCEALED], sums.samples[PAUSE],
        jitter / legs if legs else 0.0, worst, waiting, backlog, dropped,
    )
