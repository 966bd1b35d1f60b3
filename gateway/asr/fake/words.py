"""Words as pairs of tones: written into audio, and read back out of whatever arrives.

A word is two tones of ``WORD_MS`` together. All frequencies are multiples of 50 Hz, so that each lies in one bin of the
spectrum of any 20 ms frame, however the frames fall. Speech, noise and music are no words. A word that was sent and is
missing in the text, or is there twice, was lost or doubled on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from gateway.asr.fake.pcm import SAMPLE_RATE, encode

FRAME = 160  # samples; 20 ms
WORD_MS = 240
GAP_MS = 60
LOWEST_BIN, BINS = 8, 48  # 400 to 2750 Hz
AMPLITUDE = 6000.0  # of each tone; together about -13 dBov
QUIET = 2e4  # mean square below which a frame is silence (rms 140)
SHARE = 0.8  # of a frame's energy that two tones must have to be a word
SHORTEST = 4  # frames that make a word: 80 ms
HOLE = 2  # frames of something else inside a word that do not break it (lost packets)
SILENT, UNKNOWN = -1, -2

# A prime step walks through all pairs, so that neighbours in number sound quite different. Tones side by side in the
# spectrum are left out.
_all = [pair for pair in combinations(range(BINS), 2) if pair[1] - pair[0] > 1]
PAIRS = [_all[index * 389 % len(_all)] for index in range(len(_all))]
_CODES = np.full((BINS, BINS), UNKNOWN, dtype=np.int32)
for _code, (_low, _high) in enumerate(PAIRS):
    _CODES[_low, _high] = _CODES[_high, _low] = _code


def text_of(code: int) -> str:
    """Returns the word of a number."""
    return f"w{code}"


def code_of(text: str) -> int:
    """Returns the number of a word.

    Raises:
        ValueError: It is none of the words.
    """
    if not text.startswith("w") or not text[1:].isdigit() or int(text[1:]) >= len(PAIRS):
        raise ValueError(f"{text!r} is not a word: w0 to w{len(PAIRS) - 1}")
    return int(text[1:])


def tone(code: int, samples: int) -> NDArray[np.float64]:
    """Returns one word as linear samples."""
    low, high = PAIRS[code]
    time = np.arange(samples) / SAMPLE_RATE
    angle = 2 * np.pi * 50 * time
    return AMPLITUDE * (np.sin(angle * (low + LOWEST_BIN)) + np.sin(angle * (high + LOWEST_BIN)))


def say(
    codes: Iterable[int | None],
    codec: str = "alaw",
    *,
    word_ms: int = WORD_MS,
    gap_ms: int = GAP_MS,
    pause_ms: int = 1200,
) -> bytes:
    """Returns audio in which words are said one after the other.

    Args:
        codes: Their numbers; None for a pause.
        codec: ``alaw``, ``mulaw`` or ``linear16``.
        word_ms: Length of a word, at least 120.
        gap_ms: Silence after each.
        pause_ms: Length of a pause.
    """
    gap, pause = np.zeros(gap_ms * 8), np.zeros(pause_ms * 8)
    parts: list[NDArray[np.float64]] = []
    for code in codes:
        parts += [pause] if code is None else [tone(code, word_ms * 8), gap]
    return encode(codec, np.concatenate(parts) if parts else np.zeros(0))


def read(samples: NDArray[np.float32]) -> list[int]:
    """Returns for each whole frame its word's number, ``SILENT`` or ``UNKNOWN``."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    if not frames.any():
        return [SILENT] * len(frames)
    power = np.abs(np.fft.rfft(frames, axis=1)[:, 1:]) ** 2
    total = power.sum(axis=1)
    band = power[:, LOWEST_BIN - 1 : LOWEST_BIN - 1 + BINS]
    two = np.argpartition(band, BINS - 2, axis=1)[:, BINS - 2 :]
    strong = np.take_along_axis(band, two, axis=1)
    clear = (strong.sum(axis=1) >= SHARE * total) & (strong.min(axis=1) >= 0.1 * strong.max(axis=1))
    codes = np.where(clear, _CODES[two[:, 0], two[:, 1]], UNKNOWN)
    codes[total < QUIET * FRAME * FRAME / 2] = SILENT
    found: list[int] = codes.tolist()
    return found


@dataclass(slots=True)
class Said:
    """A word that was heard.

    Attributes:
        text: The word.
        start: Its first sample since the beginning of the audio.
        end: One past its last sample so far.
    """

    text: str
    start: int
    end: int


class WordReader:
    """Reads words out of frames as they come.

    Attributes:
        position: Samples read.
    """

    def __init__(self) -> None:
        self.position = 0
        self._code = SILENT
        self._start = 0
        self._frames = 0
        self._hole = 0
        self._said: Said | None = None

    def feed(self, codes: Sequence[int]) -> list[Said]:
        """Takes the next frames; returns words that begin to be recognised, each updated in place as it goes on."""
        found = []
        for code in codes:
            start, self.position = self.position, self.position + FRAME
            if code == self._code >= 0:
                self._frames += 1
                self._hole = 0
                if self._said is not None:
                    self._said.end = self.position
                elif self._frames == SHORTEST:
                    self._said = Said(text_of(code), self._start, self.position)
                    found.append(self._said)
            elif code < 0 and self._code >= 0 and self._hole < HOLE:
                self._hole += 1
            else:
                self._code, self._start, self._frames, self._hole, self._said = max(code, SILENT), start, 1, 0, None
        return found

    def ahead(self, codes: Sequence[int]) -> int:
        """Returns how many words would begin with frames that are not taken yet."""
        probe = WordReader()
        probe._code, probe._frames, probe._hole, probe._said = self._code, self._frames, self._hole, self._said
        end = self._said.end if self._said is not None else 0
        count = len(probe.feed(codes))
        if self._said is not None:
            self._said.end = end
        return count

    def skip(self, samples: int) -> None:
        """Takes silence that was announced, not sent."""
        self._code, self._said = SILENT, None
        self.position += samples
