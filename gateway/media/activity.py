"""Speech activity of one leg from its frame levels: where somebody spoke, cheap enough for every leg of a machine.

A frame is 20 ms. It is speech when it stands out from the noise floor; the floor falls at once and rises slowly. A
segment opens when enough frames in a row are speech and closes after a hangover without any.
"""

from __future__ import annotations

from dataclasses import dataclass

FRAME = 160  # samples; 20 ms
ABOVE_FLOOR_DB = 9.0
QUIETEST_SPEECH_DBOV = -52.0  # telephone speech is about -20 dBov; comfort noise lies below -60
LOWEST_FLOOR_DBOV = -70.0  # digital silence must not make breath count as speech
RISE_DB_PER_FRAME = 0.06  # 3 dB a second
ONSET_FRAMES = 4  # 80 ms: a breath or a click is shorter, a word is not
HANGOVER_FRAMES = 12  # 240 ms: longer than the closure of a plosive


@dataclass(slots=True)
class Segment:
    """A stretch of speech.

    Attributes:
        start: First sample on the leg's clock.
        end: One past the last sample of speech so far, the hangover not counted.
        open: Whether it goes on.
    """

    start: int
    end: int
    open: bool


class SpeechActivity:
    """Finds the segments of one leg; a pure state machine over the levels."""

    def __init__(self) -> None:
        self._floor = -45.0
        self._run = 0
        self._quiet = 0
        self._segment: Segment | None = None

    @property
    def speaking(self) -> bool:
        """Whether a segment is open."""
        return self._segment is not None

    def feed(self, levels: bytes, first: int) -> list[Segment]:
        """Takes the levels of the next frames.

        Args:
            levels: Mean power of each frame in dBov, negated.
            first: First sample of the first frame.

        Returns:
            Segments that opened; each is updated in place until it closes.
        """
        opened = []
        for index, level in enumerate(levels):
            position = first + index * FRAME
            power = -float(level)
            loud = power > max(self._floor + ABOVE_FLOOR_DB, QUIETEST_SPEECH_DBOV)
            self._floor = max(min(power, self._floor + RISE_DB_PER_FRAME), LOWEST_FLOOR_DBOV)
            if loud:
                self._run += 1
                self._quiet = 0
                if self._segment is not None:
                    self._segment.end = position + FRAME
                elif self._run >= ONSET_FRAMES:
                    start = position - (ONSET_FRAMES - 1) * FRAME
                    self._segment = Segment(max(start, 0), position + FRAME, open=True)
                    opened.append(self._segment)
            else:
                self._run = 0
                self._quiet += 1
                if self._quiet >= HANGOVER_FRAMES:
                    self.pause()
        return opened

    def pause(self) -> None:
        """Closes the open segment: a long pause of the sender, or the end of the leg."""
        if self._segment is not None:
            self._segment.open = False
            self._segment = None
