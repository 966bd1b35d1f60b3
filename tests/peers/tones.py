"""Which tones a G.711 stream holds: the tests' way to tell one leg's audio from another's."""

from __future__ import annotations

import numpy as np

from gateway.media import g711

RATE = 8000


def share(payload: bytes, codec: str, hertz: float) -> float:
    """Returns how much of the power of G.711 audio lies within 20 Hz of a frequency, 0 to 1; 0 for silence."""
    samples = np.frombuffer(g711.to_linear16(codec, payload), "<i2").astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    total = float(spectrum.sum())
    return float(spectrum[np.abs(frequencies - hertz) <= 20].sum()) / total if total > 1e6 * len(samples) else 0.0
