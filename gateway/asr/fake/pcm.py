"""G.711 and linear samples as numpy arrays, for the words of the test server."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.media import g711
from gateway.media.chunks import SAMPLE_RATE

__all__ = ["SAMPLE_RATE", "decode", "encode", "sample_bytes"]

_EVERY_BYTE = bytes(range(256))
_TABLES = {
    codec: np.frombuffer(g711.to_linear16(codec, _EVERY_BYTE), dtype="<i2").astype(np.float32)
    for codec in (g711.ALAW, g711.MULAW)
}


def sample_bytes(codec: str) -> int:
    """Returns the bytes of one sample.

    Raises:
        ValueError: There is no such codec.
    """
    if codec in _TABLES:
        return 1
    if codec == "linear16":
        return 2
    raise ValueError(f"{codec!r} is none of {', '.join(_TABLES)}, linear16")


def decode(codec: str, payload: bytes) -> NDArray[np.float32]:
    """Returns the samples of whole ones in a payload."""
    if codec in _TABLES:
        return _TABLES[codec][np.frombuffer(payload, dtype=np.uint8)]
    return np.frombuffer(payload[: len(payload) // 2 * 2], dtype="<i2").astype(np.float32)


def encode(codec: str, samples: NDArray[np.float64]) -> bytes:
    """Returns samples as bytes of a codec."""
    linear = np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()
    return linear if codec == "linear16" else g711.from_linear16(codec, linear)
