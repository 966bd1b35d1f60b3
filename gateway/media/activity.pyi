"""Speech activity of one leg from its frame levels: where somebody spoke, cheap enough for every leg of a machine.

A frame is 20 ms. It is speech when it stands out from the noise floor; the floor falls at once and rises slowly. A
segment opens when enough frames in a row are speech and closes after a hangover without any.
"""

FRAME: int
"""Samples in a frame: 20 ms."""
ONSET_FRAMES: int
"""Frames in a row that open a segment."""
HANGOVER_FRAMES: int
"""Frames in a row without speech that close it."""

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
    def __init__(self, start: int, end: int, open: bool) -> None: ...  # noqa: A002

class SpeechActivity:
    """Finds the segments of one leg; a pure state machine over the levels."""

    @property
    def speaking(self) -> bool:
        """Whether a segment is open."""

    @property
    def threshold(self) -> int:
        """The level below which nothing counts as the beginning of speech, in -dBov."""

    def feed(self, levels: bytes, first: int) -> list[Segment]:
        """Takes the levels of the next frames.

        Args:
            levels: Mean power of each frame in dBov, negated.
            first: First sample of the first frame.

        Returns:
            Segments that opened; each is updated in place until it closes.
        """

    def pause(self) -> None:
        """Closes the open segment: a long pause of the sender, or the end of the leg."""
