"""What the engines say they processed, beside what they got: pure arithmetic over all sessions of a leg."""

from __future__ import annotations

from gateway.asr.gate import Gate
from gateway.media.chunks import SAMPLE_RATE

# An engine that says it processed so much less than it got has not heard all of it (seconds).
SHORT = 0.1


class Account:
    """Adds up the sessions of one leg."""

    def __init__(self) -> None:
        self._gain = 0.0  # seconds that engines say they processed beyond what they got
        self._silent = False  # an engine gave no account
        self._void = 0  # samples that were sent, and whose words are missing
        self._fell_short = False

    def ended(self, seconds: float | None, got: int) -> None:
        """A session ended in good order.

        Args:
            seconds: Audio that the engine says it processed; None when it does not say.
            got: Samples that it got, announced silence counted.
        """
        if seconds is None:
            self._silent = True
            return
        gain = seconds - got / SAMPLE_RATE
        self._gain += gain
        if gain >= -SHORT:
            self._fell_short = False

    def short(self, seconds: float | None, got: int, gate: Gate) -> bool:
        """Returns whether a session ended before it had heard all that it got.

        An engine may end a session by itself just when it is asked to. One whose account falls short again for the
        audio that the next session got counts in a way of its own, and is not believed any more.

        Args:
            seconds: As for ``ended``.
            got: Likewise.
            gate: The engine's.
        """
        if seconds is None or not gate.counts or got / SAMPLE_RATE - seconds <= SHORT:
            return False
        gate.counts, self._fell_short = not self._fell_short, True
        return gate.counts

    def lost(self, first: int, end: int, high: int) -> None:
        """The words of a stretch are missing.

        Args:
            first: Its first sample.
            end: One past its last.
            high: One past the last sample that any session got.
        """
        self._void += max(0, min(end, high) - first)

    def recognised(self, sent: int) -> float | None:
        """Returns the seconds that the engines account for, of so many samples sent; None where one gave no account."""
        return None if self._silent else (sent - self._void) / SAMPLE_RATE + self._gain
