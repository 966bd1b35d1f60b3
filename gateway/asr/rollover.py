"""When a session must be replaced before its engine's limit ends it: pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.asr.engine import Limits
from gateway.asr.settings import Asr
from gateway.media.chunks import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Due:
    """How much audio a session may have got (samples) when something is due.

    Attributes:
        ahead: The next session is opened; from here on the first pause of speech hands over to it.
        cut: The hand-over waits no longer for a pause.
    """

    ahead: int
    cut: int


def due(limits: Limits, settings: Asr) -> Due | None:
    """Returns when a session of an engine is replaced; None for never."""
    bounds = []
    if limits.seconds is not None:
        bounds.append(limits.seconds * SAMPLE_RATE)
    if limits.bytes is not None:
        bounds.append(limits.bytes / limits.bytes_per_sample)
    if not bounds:
        return None
    limit = min(bounds)
    # a very short limit leaves a tenth of it as margin, and a third as window
    cut = limit - min(settings.rollover_margin_seconds * SAMPLE_RATE, limit / 10)
    ahead = cut - min(settings.rollover_window_seconds * SAMPLE_RATE, limit / 3)
    return Due(int(ahead), int(cut))
