"""Recorded speech as bytes for the wire."""

from __future__ import annotations

import audioop
import wave
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soxr

TWO_CITIES = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it "
    "was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of "
    "Darkness, it was the spring of hope, it was the winter of despair, we had everything before us, we had nothing "
    "before us, we were all going direct to Heaven, we were all going direct the other way. In short, the period was "
    "so far like the present period, that some of its noisiest authorities insisted on its being received, for good "
    "or for evil, in the superlative degree of comparison only."
)
"""What ``two_cities.wav`` says, 44 s: the opening of Dickens's novel."""


def asset(name: str) -> Path:
    """Returns a recording that the recogniser's package ships, such as ``two_cities.wav``."""
    origin = find_spec("moonshine_voice").origin
    return Path(origin).parent / "assets" / name


def pcm(path: Path, rate: int = 8000) -> bytes:
    """Returns a WAV file as linear16 of a rate."""
    with wave.open(str(path), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        resampled = soxr.resample(samples, file.getframerate(), rate)
    return (np.clip(resampled, -1, 0.9999) * 32768).astype("<i2").tobytes()


def encode(linear: bytes, codec: str) -> bytes:
    """Returns linear16 in a codec: ``alaw``, ``mulaw`` or ``linear16``."""
    if codec == "alaw":
        return audioop.lin2alaw(linear, 2)
    if codec == "mulaw":
        return audioop.lin2ulaw(linear, 2)
    return linear
