"""What each latency means: the event that starts it, the event that ends it, in the words of the metric's help text.

All are taken on the monotonic clock; the gateway's wall-clock times are that clock plus one offset for the whole
process, so that a difference of two of them is monotonic, too. What cannot be measured is counted as unmeasurable with
its reason, never recorded as 0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from random import Random
from typing import Any


@dataclass(frozen=True)
class Latency:
    """One latency.

    Attributes:
        name: The histogram's name without its unit.
        meaning: Where it starts and where it ends.
        buckets: Upper bounds in seconds.
    """

    name: str
    meaning: str
    buckets: tuple[float, ...]

    @cached_property
    def short(self) -> str:
        """Its name without the gateway's."""
        return self.name.removeprefix("asr_gateway_")


class Unmeasurable(StrEnum):
    """Why a latency was not measured."""

    NO_ANCHOR = "no_anchor"
    """No RTP packet of the leg has come: its clock has no place in time."""
    NO_SPEECH_FOUND = "no_speech_found"
    """The gateway's speech activity found no speech where the words are, and the engine does not say where it was."""
    NO_CURSOR = "no_cursor"
    """The engine does not say how far its text reaches."""
    EARLIER_RUN = "earlier_run"
    """The event is of an earlier run of the gateway, whose clock is gone."""


_SPEECH = (0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)

PACKET_TO_WRITE = Latency(
    "asr_gateway_packet_to_asr_write",
    "From the arrival of the last RTP packet of a message to the write of that message to the recogniser; live audio "
    "only, replayed audio is not counted",
    (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
)
WRITE_TO_HEARD = Latency(
    "asr_gateway_asr_write_to_heard",
    "From the write of audio to the recogniser to its word that it has worked through it, by engine; only of engines "
    "that say how far they are",
    (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 10.0),
)
SPEECH_TO_PARTIAL = Latency(
    "asr_gateway_speech_start_to_partial",
    "From the first sample of an utterance's speech (as the engine says, else as found by the gateway's own speech "
    "activity on the RTP clock) to the first partial of that utterance",
    _SPEECH,
)
PARTIAL_LAG = Latency(
    "asr_gateway_partial_lag",
    "Audio cursor minus transcript cursor at each partial: how much audio the leg had received beyond the end of the "
    "text that the engine has just told; only engines that say how far their text reaches",
    _SPEECH,
)
SPEECH_TO_FINAL = Latency(
    "asr_gateway_speech_end_to_final",
    "From the last sample of an utterance's speech (as the engine says, else as found by the gateway's own speech "
    "activity on the RTP clock) to the final of that utterance",
    (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0),
)
FINAL_TO_WEBHOOK = Latency(
    "asr_gateway_final_to_webhook",
    "From the making of a final to the 2xx answer of an endpoint to it, retries included",
    (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1.0, 5.0, 60.0, 3600.0),
)
SPEECH_TO_WEBHOOK = Latency(
    "asr_gateway_speech_end_to_webhook",
    "From the last sample of an utterance's speech to the 2xx answer of an endpoint to its final, retries included: "
    "the one that users feel",
    (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 60.0, 3600.0),
)
ALL = (
    PACKET_TO_WRITE,
    WRITE_TO_HEARD,
    SPEECH_TO_PARTIAL,
    PARTIAL_LAG,
    SPEECH_TO_FINAL,
    FINAL_TO_WEBHOOK,
    SPEECH_TO_WEBHOOK,
)

MINUTES = 60
# Values kept of one latency in one minute; of more, a fair sample.
SAMPLE = 300


class LastHour:
    """The latencies of the last hour, minute by minute; pure, time (seconds on any steady clock) comes in.

    Args:
        seed: Of the sampling.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)  # noqa: S311 (a sample, no secret)
        self._minutes: deque[tuple[int, dict[str, tuple[int, list[float]]]]] = deque(maxlen=MINUTES)

    def add(self, name: str, measured: Sequence[float], now: float) -> None:
        """Takes values (seconds), if there are any."""
        if not measured:
            return
        minute = int(now // 60)
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append((minute, {}))
        known = self._minutes[-1][1]
        count, values = known.get(name, (0, []))
        uniform = self._random.random
        for seconds in measured:
            count += 1
            if len(values) < SAMPLE:
                values.append(seconds)
            elif (place := int(uniform() * count)) < SAMPLE:
                values[place] = seconds
        known[name] = (count, values)

    def shown(self, now: float) -> list[dict[str, Any]]:
        """Returns, for each minute in which anything was measured, its age and of each latency count, p50 and p95."""
        newest = int(now // 60)
        return [
            {
                "minutes_ago": newest - minute,
                "latency": {
                    name: {"count": count, "p50": quantile(values, 0.5), "p95": quantile(values, 0.95)}
                    for name, (count, values) in known.items()
                },
            }
            for minute, known in self._minutes
            if newest - minute < MINUTES
        ]


def quantile(values: list[float], share: float) -> float:
    """Returns the value below which a share of the values lies; the values must not be empty."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
