"""How good a leg sounded: loss, jitter, order, clock drift, and the E-model's estimate (ITU-T G.107)."""

from __future__ import annotations

from typing import NamedTuple

from gateway.media.chunks import SAMPLE_RATE
from gateway.media.stats import StreamStats

# G.107's default R of a connection without impairments, delay left out: one way alone does not tell it
_BEST_R = 93.2
# ITU-T G.113, appendix I: how robust G.711 is against random loss, with and without concealment
_ROBUST_CONCEALED = 25.1
_ROBUST_SILENCE = 4.3


class Quality(NamedTuple):
    """The quality of one leg.

    Attributes:
        loss: Share of the packets that were lost or came too late to be used, 0 to 1.
        jitter_ms: Interarrival jitter at the end (RFC 3550, appendix A.8).
        reordered: Packets that came out of order and could still be used.
        drift_ppm: How much faster the sender's clock ran than ours; None for a leg too short to tell.
        mos: Listening quality by the E-model, 1 to 4.41.
    """

    loss: float
    jitter_ms: float
    reordered: int
    drift_ppm: float | None
    mos: float


def mos(loss: float, *, concealed: bool) -> float:
    """Estimates the mean opinion score of G.711 with random loss.

    Args:
        loss: Share of the packets that were not heard, 0 to 1.
        concealed: Whether loss was concealed, or silent.
    """
    percent = 100 * loss
    robust = _ROBUST_CONCEALED if concealed else _ROBUST_SILENCE
    r = _BEST_R - 95 * percent / (percent + robust)
    if r <= 0:
        return 1.0
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def quality(stats: StreamStats, *, concealed: bool) -> Quality:
    """Sums up a leg.

    Args:
        stats: Its counters.
        concealed: Whether loss is concealed.
    """
    unheard = stats.lost + stats.late
    expected = stats.packets + stats.lost - stats.duplicates
    loss = min(1.0, unheard / expected) if expected > 0 else 0.0
    drift = None if stats.drift_ppm is None else round(stats.drift_ppm, 1)
    return Quality(
        round(loss, 5),
        round(stats.jitter * 1000 / SAMPLE_RATE, 2),
        stats.reordered,
        drift,
        round(mos(loss, concealed=concealed), 2),
    )
