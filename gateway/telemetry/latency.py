"""What each latency means: the event that starts it, the event that ends it, in the words of the metric's help text.

All are taken on the monotonic clock. What cannot be measured is counted as unmeasurable, never recorded as 0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
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
SPEECH_TO_FINAL = Latency(
    "asr_gateway_speech_end_to_final",
    "From the last sample of an utterance's speech, as found by the gateway's own speech activity on the RTP clock, to "
    "the final of that utterance",
    (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0),
)
FINAL_TO_WEBHOOK = Latency(
    "asr_gateway_final_to_webhook",
    "From the making of a durable event to the 2xx answer of an endpoint to it, retries included",
    (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0, 3600.0),
)
SPEECH_TO_WEBHOOK = Latency(
    "asr_gateway_speech_end_to_webhook",
    "From the last sample of an utterance's speech to the 2xx answer of an endpoint to its final, retries included",
    (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 60.0, 3600.0),
)
