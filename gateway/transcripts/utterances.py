"""Utterances out of a text that only accumulates (Palatine's): pure, time and audio position come in as arguments.

The engine says neither where an utterance ends nor when its words were spoken. Both come from the leg's own speech
activity: an utterance is over when, after it, nobody has spoken for ``pause`` samples and no more text can come for it;
it reaches from the start of its first stretch of speech to the end of its last one. That no more text can come shows in
the engine saying the same text again when it has worked through all of it (it lags behind the audio, and says how far
it is, or is known to speak up after each block); only where it falls silent does a timer decide. Whatever the engine
rewrites later in words that were already final goes out as a revision of that utterance, so that the latest revisions
of all utterances, one after the other, are always exactly the engine's text.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from enum import Enum
from itertools import pairwise

from gateway.asr.engine import Final, Partial, Refinement
from gateway.media.activity import Segment

# Text that comes this soon after speech began again still belongs to the utterance before (samples; 300 ms is one
# block of the engine: it cannot have heard a word of the new one).
OLD_WORDS = 2400
# Without any speech activity for a text, it is taken to have been spoken this long before it was shown (samples).
UNHEARD = 4000
# Stretches of speech that brought no words for so long were no speech (samples).
STALE = 40000
# Nobody says a word in less (samples).
SHORTEST = 800
# Stretches of speech that are kept while an engine says nothing of them.
SEGMENTS = 256
# An engine that goes on saying the same text for so long after a pause is not behind by that much (seconds).
LONGEST_WAIT = 5.0


class Change(Enum):
    """What happened to an utterance."""

    PARTIAL = "partial"
    FINAL = "final"
    REFINED = "refined"


@dataclass(slots=True)
class Utterance:
    """One utterance of a leg.

    Attributes:
        number: From 1, in order.
        text: Its words as they stand.
        start: First sample on the leg's clock.
        end: One past the last sample.
        revision: How many texts it has had.
    """

    number: int
    text: str
    start: int
    end: int
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Update:
    """A change to tell, with the utterance as it was then.

    Attributes:
        change: What happened.
        number: The utterance's number.
        text: Its words.
        start: First sample on the leg's clock.
        end: One past the last sample.
        revision: Which text of this utterance it is, from 1.
    """

    change: Change
    number: int
    text: str
    start: int
    end: int
    revision: int


@dataclass(slots=True)
class _Cut:
    """The place after a pause where the utterance will end once its text has settled."""

    end: int
    since: float


@dataclass(slots=True)
class UtteranceBuilder:
    """Makes the utterances of one leg.

    Attributes:
        pause: Samples without speech that end an utterance.
        settle: Seconds of the engine's silence after the pause that make a text final, too.
        longest: Samples after which an utterance is cut at the longest pause of its second half, however short; where
            there is none, as it stands.
    """

    pause: int
    settle: float
    longest: int
    _finals: list[Utterance] = field(default_factory=list)  # of the present engine session
    _full: str = ""  # the engine's text, as it was last told: the words of the finals, then those of the tail
    _head: str | None = ""  # as much of it as the finals take; None where that is not known
    _words: list[str] = field(default_factory=list)  # of the finals, in one row
    _ends: list[int] = field(default_factory=list)  # for each, how many words of the row come before its end
    _tail: list[str] = field(default_factory=list)  # words after the last final
    _growth: list[tuple[int, int]] = field(default_factory=list)  # position, and words in the tail from then on
    _segments: list[Segment] = field(default_factory=list)  # speech after the last final
    _count: int = 0
    _revision: int = 0
    _changed: float = 0.0
    _spoke: float = 0.0
    _interrupted: bool = False
    _heard: int = 0
    _same: int = 0  # up to where it has brought no more words than the tail has
    _appeared: int = 0
    _cut: _Cut | None = None
    _settled: int = 0
    _theirs: bool = False  # the engine of this session finds boundaries itself
    _ended: dict[int, Utterance] = field(default_factory=dict)  # by the engine itself, by its index

    @property
    def settled(self) -> int:
        """The sample before which all words are final."""
        return self._settled

    @property
    def open(self) -> bool:
        """Whether words are shown that are not final."""
        return bool(self._tail)

    def speech(self, segment: Segment) -> None:
        """Takes a stretch of speech that has just begun; its end is read from it as it grows."""
        self._segments.append(segment)
        del self._segments[:-SEGMENTS]

    def interrupt(self) -> None:
        """The engine is lost: what is open is not final because nothing comes, and will be said again."""
        self._interrupted = True

    def restart(self, origin: int = 0) -> list[Update]:
        """Begins with a new engine session, which hears everything from a sample on.

        Args:
            origin: The sample; what was said before is final, or was given up.

        Returns:
            The open utterance emptied, where something of it had been shown.
        """
        shown = bool(self._tail)
        self._segments = [segment for segment in self._segments if segment.open or segment.end - origin > SHORTEST]
        self._finals, self._words, self._ends, self._tail, self._growth = [], [], [], [], []
        self._full = self._head = ""
        self._cut, self._theirs, self._same, self._interrupted = None, False, 0, False
        return [self._partial(self._settled)] if shown else []

    def text(self, full: str, position: int, now: float, heard: int | None = None) -> list[Update]:
        """Takes the engine's whole text of this session.

        Args:
            full: The accumulated text.
            position: Samples of the leg's clock so far.
            now: Seconds on any steady clock.
            heard: How many of them the engine has worked through; all when None.

        Returns:
            What changed.
        """
        changed = full != self._full
        updates: list[Update] = []
        self._spoke = now
        self._heard = heard = position if heard is None else min(heard, position)
        self._find_cut(position, now)
        while self._cut is not None and (resumed := self._resumed()) is not None and heard - resumed > OLD_WORDS:
            if self._tail:
                updates += self._finalise(self._cut.end)
            else:  # what was heard before the pause brought no words: a breath, a click
                self._forget_segments(self._cut.end)
            self._find_cut(position, now)
        tail = self._tail
        if changed:
            news = self._after_finals(full)
            if news is None:
                words = full.split()
                if words[: len(self._words)] != self._words:
                    updates += self._rewrite(words)
                news = words[len(self._words) :]
            self._full, tail = full, news
        if tail == self._tail:
            self._same = heard
            if tail and self._cut is not None and self._confirmed(self._cut):
                updates += self._finalise(self._cut.end)
            elif not tail:
                begun = self._segments[0].start if self._segments else heard
                self._settled = max(self._settled, min(heard, begun) - OLD_WORDS)
            return updates
        if not self._tail:
            self._appeared = heard
            self._drop_stale(heard)
        self._tail, self._changed, self._same = tail, now, 0
        self._growth.append((heard, len(tail)))
        updates.append(self._partial(position))
        return updates

    def engine_text(self, partial: Partial, position: int, now: float) -> list[Update]:
        """Takes the text of the open utterance from an engine that finds boundaries itself.

        Args:
            partial: The text, with times on the leg's clock where the engine gives them.
            position: As for ``text``.
            now: As for ``text``.
        """
        words = partial.text.split()
        self._theirs = True
        if words == self._tail:
            return []
        if not self._tail:
            self._appeared = position if partial.start is None else partial.start + UNHEARD
        self._tail, self._changed = words, now
        return [self._partial(position)]

    def engine_final(self, final: Final) -> list[Update]:
        """Takes an utterance that the engine ended; its times are the engine's, on the leg's clock."""
        self._theirs = True
        shown, self._tail = bool(self._tail), final.text.split()
        self._settled = max(self._settled, final.end)
        self._forget_segments(final.end)
        if not self._tail:
            return [self._partial(final.end)] if shown else []
        self._count += 1
        utterance = Utterance(self._count, " ".join(self._tail), final.start, final.end, self._revision + 1)
        self._ended[final.index] = utterance
        self._tail, self._revision = [], 0
        return [_update(Change.FINAL, utterance)]

    def engine_refined(self, refinement: Refinement) -> list[Update]:
        """Takes a nicer text of an utterance that the engine ended before."""
        utterance = self._ended.get(refinement.index)
        if utterance is None or utterance.text == refinement.text:
            return []
        utterance.text = refinement.text
        utterance.revision += 1
        return [_update(Change.REFINED, utterance)]

    def tick(self, position: int, now: float) -> list[Update]:
        """Lets time pass: finds pauses and finalises what has settled.

        Args:
            position: Samples of the leg's clock so far.
            now: Seconds on the clock that ``text`` is told.
        """
        updates: list[Update] = []
        if self._theirs:  # the engine ends its utterances; one ended here would be said again by its final
            return updates
        self._find_cut(position, now)
        if self._cut is None and self._tail and self._segments and position - self._start(position) >= self.longest:
            updates += self._cut_long(position)
        if self._cut is not None and self._tail and self._is_settled(self._cut, now):
            updates += self._finalise(self._cut.end)
        elif self._cut is not None and not self._tail and self._heard - self._cut.end >= STALE:
            self._forget_segments(self._cut.end)
        return updates

    def finish(self, position: int) -> list[Update]:
        """The engine has said all of the audio before a sample: whatever is open is final now."""
        if not self._tail:
            return []
        # speech after the position is the next session's
        ends = [min(segment.end, position) for segment in self._segments if segment.start < position]
        return self._finalise(max(ends, default=position))

    # inside

    def _find_cut(self, position: int, now: float) -> None:
        """Finds the first pause after the last final."""
        if self._cut is not None:
            return
        while self._segments and not self._segments[0].open:
            first = self._segments[0]
            if first.start >= self._settled or first.end - self._settled > SHORTEST:
                break
            del self._segments[0]  # it was open when its words became final, at the end of a session
        for index, segment in enumerate(self._segments):
            begun = self._segments[index + 1].start if index + 1 < len(self._segments) else position
            if not segment.open and begun - segment.end >= self.pause:
                self._cut = _Cut(segment.end, now)
                return
        if not self._segments and self._tail and position - self._appeared >= self.pause:
            self._cut = _Cut(position, now)

    def _resumed(self) -> int | None:
        """Returns where somebody spoke again after the pause."""
        cut = self._cut
        return next((segment.start for segment in self._segments if cut and segment.start >= cut.end), None)

    def _confirmed(self, cut: _Cut) -> bool:
        """Whether the engine has said the same again when it was past the end."""
        return self._same - cut.end > OLD_WORDS

    def _is_settled(self, cut: _Cut, now: float) -> bool:
        """Whether no more text is awaited for what was said before the pause."""
        if self._interrupted:
            return False
        if self._confirmed(cut):
            return True
        unchanged = now - max(cut.since, self._changed)
        behind = self._heard < cut.end and now - self._spoke < self.settle  # it speaks up, and is not there yet
        return unchanged >= (LONGEST_WAIT if behind else self.settle)

    def _cut_long(self, position: int) -> list[Update]:
        """Ends an utterance that has become too long, at its best pause; the words after that open the next one."""
        middle = self._start(position) + self.longest // 2
        best, longest = None, 0
        for before, after in pairwise(self._segments):
            words = self._words_until(after.start + OLD_WORDS)
            if words and before.end >= middle and after.start - before.end > longest:
                best, longest = (before.end, words), after.start - before.end
        if best is None:
            return self._finalise(position)
        updates = self._finalise(*best)
        return [*updates, self._partial(position)] if self._tail else updates

    def _words_until(self, position: int) -> int:
        """Returns how many words of the tail had been shown at a position."""
        index = bisect_right(self._growth, (position, len(self._tail)))
        return min(self._growth[index - 1][1], len(self._tail)) if index else 0

    def _drop_stale(self, position: int) -> None:
        while len(self._segments) > 1 and not self._segments[0].open and position - self._segments[0].end > STALE:
            del self._segments[0]

    def _start(self, position: int) -> int:
        if self._segments:
            return max(self._segments[0].start, self._settled)
        return max(self._settled, min(position, self._appeared) - UNHEARD)

    def _partial(self, position: int) -> Update:
        self._revision += 1
        start = self._start(position)
        end = max((segment.end for segment in self._segments), default=position)
        return Update(Change.PARTIAL, self._count + 1, " ".join(self._tail), start, max(start, end), self._revision)

    def _finalise(self, end: int, words: int | None = None) -> list[Update]:
        """Ends the open utterance.

        Args:
            end: One past its last sample.
            words: How many words of the tail are its own; all when None.
        """
        start = self._start(end)
        end = max(start, end)
        own, rest = (self._tail, []) if words is None else (self._tail[:words], self._tail[words:])
        self._count += 1
        utterance = Utterance(self._count, " ".join(own), start, end, self._revision + 1)
        self._finals.append(utterance)
        self._words += own
        self._ends.append(len(self._words))
        self._growth = [(at, max(count - len(own), 0)) for at, count in self._growth] if rest else []
        self._head = None if rest else self._full
        self._tail, self._revision, self._same = rest, 0, 0
        self._forget_segments(end)
        self._settled = max(self._settled, end)
        return [_update(Change.FINAL, utterance)]

    def _forget_segments(self, end: int) -> None:
        self._cut = None
        self._segments = [segment for segment in self._segments if segment.open or segment.end > end]

    def _after_finals(self, full: str) -> list[str] | None:
        """Returns the words of a text that come after the finals, where those stand as they did; else None.

        A call's text may have thousands of words: those that are final are not looked at one by one.
        """
        head = self._head
        if head is None or not full.startswith(head):
            return None
        rest = full[len(head) :]
        if head and rest and not (rest[0].isspace() or head[-1].isspace()):
            return None  # the last word has grown
        return rest.split()

    def _rewrite(self, words: list[str]) -> list[Update]:
        """Moves the boundaries of final utterances to where they lie in a text that was rewritten."""
        old = self._words + self._tail
        moved = _moved(self._ends, old, words)
        updates, first = [], 0
        for utterance, end in zip(self._finals, moved, strict=True):
            text = " ".join(words[first:end])
            if text != utterance.text:
                utterance.text = text
                utterance.revision += 1
                updates.append(_update(Change.REFINED, utterance))
            first = end
        self._words, self._ends, self._head = words[:first], moved, None
        return updates


def _update(change: Change, utterance: Utterance) -> Update:
    return Update(change, utterance.number, utterance.text, utterance.start, utterance.end, utterance.revision)


def _moved(ends: list[int], old: list[str], new: list[str]) -> list[int]:
    """Returns where boundaries between words of ``old`` lie in ``new``.

    A boundary inside a replaced stretch keeps its share of it; one at its edge stays at the edge.
    """
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    starts = [block[1] for block in blocks]
    moved = []
    for end in ends:
        index = max(bisect_right(starts, end) - 1, 0)
        # at an edge the boundary belongs to what it closes
        while index and blocks[index][1] == end:
            index -= 1
        _, old_from, old_to, new_from, new_to = blocks[index]
        share = (end - old_from) / (old_to - old_from) if old_to > old_from else 1.0
        moved.append(new_from + round(share * (new_to - new_from)))
    return moved
