"""The audio of one leg that a recogniser may still need: not sent yet, or sent but not settled.

A pure buffer. When a session is lost, ``rewind`` makes everything unsettled unsent again, so that the next session gets
it; what had to be given up because the buffer was full is counted and named, never silently lost.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

Stretch = tuple[int, int]
"""First sample on the leg's clock, and one past the last."""


class Piece(NamedTuple):
    """Consecutive audio of a leg.

    Attributes:
        first: First sample on the leg's clock.
        payload: G.711, one byte a sample, never empty.
        arrived: Monotonic nanoseconds of the last packet in it, 0 for fill alone.
        speech: Whether somebody speaks in it, or spoke shortly before.
    """

    first: int
    payload: bytes
    arrived: int
    speech: bool = True

    @property
    def end(self) -> int:
        """One past its last sample."""
        return self.first + len(self.payload)

    def before(self, sample: int) -> Piece:
        """Returns the part up to a sample, which lies inside."""
        return Piece(self.first, self.payload[: sample - self.first], self.arrived, self.speech)

    def after(self, sample: int) -> Piece:
        """Returns the part from a sample on, which lies inside."""
        return Piece(sample, self.payload[sample - self.first :], self.arrived, self.speech)


class ReplayBuffer:
    """Keeps at most ``capacity`` samples.

    Attributes:
        held: Samples in the buffer.
        backlog: Samples in it that the present session does not have yet.
        given_up: Samples whose words are missing: they were dropped before a session settled them.
        sent: Samples that a session got at least once.
        skipped: Samples that no session got, because nobody spoke in them.
        missed: Samples that no session got, because they were given up before.
        high: One past the last sample that any session got.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pieces: deque[Piece] = deque()
        self._unsent = 0  # index of the first piece that the present session does not have
        self._settled = 0
        self._gone: list[Stretch] = []  # dropped after the present session got it, before it was settled
        self._lost: list[Stretch] = []
        self.held = 0
        self.backlog = 0
        self.given_up = 0
        self.sent = 0
        self.skipped = 0
        self.missed = 0
        self.high = 0

    @property
    def waiting(self) -> bool:
        """Whether something is unsent."""
        return self.backlog > 0

    @property
    def end(self) -> int:
        """One past the last sample that came."""
        return self._pieces[-1].end if self._pieces else self.high

    def append(self, piece: Piece) -> None:
        """Adds audio; where that exceeds the capacity, the oldest goes."""
        self._pieces.append(piece)
        self.held += len(piece.payload)
        self.backlog += len(piece.payload)
        while self.held > self._capacity:
            self._drop()

    def take(self, samples: int = 0) -> Piece | None:
        """Returns what is unsent, which counts as sent from now on; None when nothing is.

        Args:
            samples: Join pieces that follow each other, up to so many; 0 for one piece.
        """
        if not self.backlog:
            return None
        piece = self._next()
        if len(piece.payload) < samples and self.backlog:
            parts, length, last, speech = [piece.payload], len(piece.payload), piece, piece.speech
            while self.backlog:
                following = self._pieces[self._unsent]
                if following.first != last.end or length + len(following.payload) > samples:
                    break
                last = self._next()
                parts.append(last.payload)
                length += len(last.payload)
                speech = speech or last.speech
            piece = Piece(piece.first, b"".join(parts), last.arrived or piece.arrived, speech)
        self._forget()
        return piece

    def settle(self, sample: int) -> None:
        """Says that the words of everything before a sample are final: no session needs it again."""
        if sample > self._settled:
            self._settled = sample
            if self._gone:
                self._gone = [(max(first, sample), end) for first, end in self._gone if end > sample]
            self._forget()

    def rewind(self, sample: int = 0) -> int:
        """Makes what is held unsent again, for a new session.

        Args:
            sample: Not what lies before it; what is settled never.

        Returns:
            The first sample that the new session will get.
        """
        start = max(sample, self._settled)
        for stretch in self._gone:
            self._lose(*stretch)
        self._gone.clear()
        index = 0
        while index < len(self._pieces) and self._pieces[index].end <= start:
            index += 1
        if index < len(self._pieces) and self._pieces[index].first < start:
            whole = self._pieces[index]
            self._pieces[index] = whole.after(start)
            self._pieces.insert(index, whole.before(start))
            index += 1
        self._unsent = index
        self.backlog = sum(len(self._pieces[at].payload) for at in range(index, len(self._pieces)))
        self._forget()
        return self._pieces[self._unsent].first if self.backlog else max(start, self.high)

    def give_up(self, keep: int) -> None:
        """Drops the oldest unsent audio until no more than ``keep`` samples of it wait; its words are missing."""
        while self.backlog > keep:
            piece = self._remove_unsent()
            self.missed += self._news(piece)
            self._lose(max(piece.first, self._settled), piece.end)

    def skim(self, keep: int) -> None:
        """Drops the oldest unsent audio likewise, because nobody speaks in it: no word is missing."""
        while self.backlog > keep:
            piece = self._remove_unsent()
            if (rest := keep - self.backlog) > 0:  # of a long piece the end stays
                self._insert(piece.after(piece.end - rest))
                piece = piece.before(piece.end - rest)
            self.skipped += self._news(piece)

    def lost(self) -> list[Stretch]:
        """Returns what was given up since this was last asked, neighbours joined."""
        lost, self._lost = self._lost, []
        return lost

    # inside

    def _news(self, piece: Piece) -> int:
        """Returns how much of a piece no session ever got."""
        return max(0, piece.end - max(piece.first, self.high))

    def _next(self) -> Piece:
        piece = self._pieces[self._unsent]
        self._unsent += 1
        self.backlog -= len(piece.payload)
        if piece.end > self.high:
            self.sent += piece.end - max(piece.first, self.high)
            self.high = piece.end
        return piece

    def _remove_unsent(self) -> Piece:
        piece = self._pieces[self._unsent]
        del self._pieces[self._unsent]
        self.held -= len(piece.payload)
        self.backlog -= len(piece.payload)
        return piece

    def _insert(self, piece: Piece) -> None:
        self._pieces.insert(self._unsent, piece)
        self.held += len(piece.payload)
        self.backlog += len(piece.payload)

    def _forget(self) -> None:
        while self._unsent and self._pieces[0].end <= self._settled:
            piece = self._pieces.popleft()
            self.held -= len(piece.payload)
            self._unsent -= 1

    def _drop(self) -> None:
        piece = self._pieces.popleft()
        self.held -= len(piece.payload)
        first = max(piece.first, self._settled)
        if self._unsent:
            self._unsent -= 1
            if first < piece.end:
                self._gone = _joined(self._gone, first, piece.end)
        else:
            self.backlog -= len(piece.payload)
            self.missed += self._news(piece)
            self._lose(first, piece.end)

    def _lose(self, first: int, end: int) -> None:
        if first < end:
            self.given_up += end - first
            self._lost = _joined(self._lost, first, end)


def _joined(stretches: list[Stretch], first: int, end: int) -> list[Stretch]:
    if stretches and stretches[-1][1] == first:
        return [*stretches[:-1], (stretches[-1][0], end)]
    return [*stretches, (first, end)]
