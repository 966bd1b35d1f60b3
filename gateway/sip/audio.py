"""Speech for the test caller: WAV files of any rate as 8 kHz mono, in whole RTP packets."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 8000
FRAME = 160
"""Samples in one packet of 20 ms."""


class AudioError(Exception):
    """A file cannot be played; the message says why."""


def load(path: Path) -> NDArray[np.int16]:
    """Reads a WAV file.

    Args:
        path: PCM of 8, 16, 24 or 32 bits, any rate, any number of channels (mixed to one).

    Returns:
        Samples at 8 kHz, silence added up to a whole packet.

    Raises:
        AudioError: The file cannot be read or converted.
    """
    try:
        with wave.open(str(path), "rb") as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            data = file.readframes(file.getnframes())
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror or error}") from error
    except (wave.Error, EOFError) as error:
        raise AudioError(f"{path}: not a PCM WAV file: {error}") from error
    if not data:
        raise AudioError(f"{path}: holds no audio")
    if (rate, channels, width) == (RATE, 1, 2):
        samples = np.frombuffer(data, "<i2").astype(np.int16)
    else:
        samples = _converted(path, data, rate, channels, width)
    return np.concatenate([samples, np.zeros(-len(samples) % FRAME, np.int16)])


def save(path: Path, samples: NDArray[np.int16]) -> None:
    """Writes samples as an 8 kHz mono WAV file of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def _converted(path: Path, data: bytes, rate: int, channels: int, width: int) -> NDArray[np.int16]:
    whole = len(data) // (width * channels) * width * channels
    raw = np.frombuffer(data[:whole], np.uint8)
    match width:
        case 1:
            values = (raw.astype(np.float64) - 128) / 128
        case 2:
            values = raw.view("<i2") / 2.0**15
        case 3:
            wide = np.zeros((len(raw) // 3, 4), np.uint8)
            wide[:, 1:] = raw.reshape(-1, 3)
            values = wide.reshape(-1).view("<i4") / 2.0**31
        case _:
            values = raw.view("<i4") / 2.0**31
    mono = values.reshape(-1, channels).mean(axis=1)
    if rate != RATE:
        try:
            import soxr
        except ImportError:
            raise AudioError(
                f"{path}: {rate} Hz; converting it to {RATE} Hz needs soxr: pip install 'asr-gateway[embedded]'"
            ) from None
        mono = soxr.resample(mono, rate, RATE, quality="VHQ")
    rounded: NDArray[np.int16] = np.clip(np.rint(mono * 2.0**15), -(2**15), 2**15 - 1).astype(np.int16)
    return rounded
