"""Where a stretch of speech begins and ends, decided frame by frame from speech probabilities.

A segment is what the recogniser decodes as a whole: it never sees more, and the text of a closed one never changes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

FRAME_MS = 32
START_PROBABILITY = 0.5
SILENCE_PROBABILITY = 0.35


def _frames(milliseconds: int) -> int:
    return -(-milliseconds // FRAME_MS)


PRE_ROLL = _frames(150)
END_SILENCE = _frames(500)
MAX_FRAMES = _frames(14_000)
CUT_WINDOW = _frames(4_000)
"""A segment that grows too long is cut at the quietest frame of this last part, so that few words are cut in two."""


@dataclass(frozen=True, slots=True)
class _Frame:
    audio: bytes
    probability: float


class Segmenter:
    """Cuts one stream of frames into segments of speech. Frames are ``FRAME_MS`` long."""

    def __init__(self) -> None:
        self._pre_roll: deque[_Frame] = deque(maxlen=PRE_ROLL)
        self._open: list[_Frame] = []
        self._silence = 0

    @property
    def open_frames(self) -> int:
        """Length of the open segment in frames; 0 while nobody speaks."""
        return len(self._open)

    def open_audio(self) -> bytes:
        """Returns the audio of the open segment so far."""
        return _audio(self._open)

    def push(self, audio: bytes, probability: float) -> bytes | None:
        """Takes the next frame.

        Args:
            audio: The frame.
            probability: Probability that it is speech, 0 to 1.

        Returns:
            The audio of the segment that ended with this frame, if one did.
        """
        frame = _Frame(audio, probability)
        if not self._open:
            if probability < START_PROBABILITY:
                self._pre_roll.append(frame)
                return None
            self._open = [*self._pre_roll, frame]
            self._pre_roll.clear()
            self._silence = 0
            return None
        self._open.append(frame)
        self._silence = self._silence + 1 if probability < SILENCE_PROBABILITY else 0
        if self._silence >= END_SILENCE:
            return self.flush()
        if len(self._open) >= MAX_FRAMES:
            return self._cut()
        return None

    def flush(self) -> bytes | None:
        """Ends the open segment.

        Returns:
            Its audio; None where none was open.
        """
        if not self._open:
            return None
        audio = _audio(self._open)
        # The silence that ended this segment may hold the soft onset of the next one.
        self._pre_roll.extend(self._open[len(self._open) - min(self._silence, PRE_ROLL) :])
        self._open = []
        self._silence = 0
        return audio

    def _cut(self) -> bytes:
        first = len(self._open) - CUT_WINDOW
        quietest = min(range(first, len(self._open)), key=lambda index: (self._open[index].probability, -index))
        closed, self._open = self._open[: quietest + 1], self._open[quietest + 1 :]
        self._silence = min(self._silence, len(self._open))
        return _audio(closed)


def _audio(frames: list[_Frame]) -> bytes:
    return b"".join(frame.audio for frame in frames)
