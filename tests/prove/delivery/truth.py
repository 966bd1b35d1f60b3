"""Where the speech in a recorded prompt is, found without the gateway's own means: with the whole recording at hand.

A frame of 10 ms is loud when its power is within 30 dB of the loudest tenth of the recording's frames. Speech reaches
from a loud frame to a loud frame; runs of loud frames shorter than 40 ms (clicks) do not count.
"""

from __future__ import annotations

import numpy as np

FRAME = 80
BELOW_DB = 30.0
SHORTEST = 4


def speech(pcm: bytes, pause_ms: int) -> list[tuple[float, float]]:
    """Returns start and end of each stretch of speech in milliseconds; pauses shorter than ``pause_ms`` are in it."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    power = 10 * np.log10(np.maximum((frames**2).mean(axis=1), 1.0))
    loud = power > np.percentile(power, 90) - BELOW_DB
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]])))
    runs = [(begin, end) for begin, end in zip(edges[::2], edges[1::2], strict=True) if end - begin >= SHORTEST]
    joined: list[list[int]] = []
    for begin, end in runs:
        if joined and (begin - joined[-1][1]) * 10 < pause_ms:
            joined[-1][1] = int(end)
        else:
            joined.append([int(begin), int(end)])
    return [(begin * 10.0, end * 10.0) for begin, end in joined]
