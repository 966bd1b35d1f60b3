"""One engine session as a leg's recognition sees it: what it got, and how its words map to the leg."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gateway.asr.engine import Engine, EngineSession, Final, Partial, Progress, Refinement, Word
from gateway.asr.hearing import Hearing
from gateway.asr.joining import LONGEST, strip, strip_timed
from gateway.asr.positions import PositionMap
from gateway.asr.rollover import Due
from gateway.media.chunks import SAMPLE_RATE

Result = Partial | Final | Refinement | Progress


@dataclass(slots=True)
class Joint:
    """What the session before said of the audio that both heard.

    Attributes:
        words: Its last words.
        until: One past the last sample of them on the leg's clock; None where it gave no times.
    """

    words: list[str]
    until: int | None


@dataclass(slots=True, eq=False)
class Run:
    """A session.

    Attributes:
        engine: Whose.
        session: The engine's side.
        base: Finals of the leg before this session.
        open: Whether its configuration was taken.
        ending: Whether no more audio comes.
        positions: Where its samples are on the leg.
        sent: Samples that it got; announced silence not counted.
        got: One past the last sample of the leg that it got.
        heard: One past the last sample of the leg of which it has certainly said all.
        last_sent: When it got something (seconds).
        heard_at: When it last said something.
        quiet: Samples of speech that it got since.
        mute: Samples without speech that it got one after the other.
        congested: Since when it takes nothing; None while it does.
        deadline: When its last words must be out, once it gets no more audio.
        cut: One past the last sample that it is to say something about.
        joint: What was said of its first audio already.
        held: Results that wait until the session before it has said all.
        finals: How many it gave.
        over: Whether it has said all, while the one before has not.
        due: When it must be replaced.
        said_until: One past the last sample of its last words, where it gave times.
    """

    engine: Engine
    base: int
    session: EngineSession | None = None
    open: bool = False
    ending: bool = False
    positions: PositionMap = field(default_factory=PositionMap)
    sent: int = 0
    got: int = 0
    heard: int = 0
    last_sent: float = 0.0
    heard_at: float = 0.0
    quiet: int = 0
    mute: int = 0
    congested: float | None = None
    deadline: float = 0.0
    cut: int = 0
    joint: Joint | None = None
    held: list[Result] = field(default_factory=list)
    finals: int = 0
    over: bool = False
    due: Due | None = None
    said_until: int | None = None
    _hearing: Hearing = field(init=False)
    _stripped: set[int] = field(default_factory=set)
    _final_words: list[str] = field(default_factory=list)
    _open: str = ""  # what came after them

    def __post_init__(self) -> None:
        """Knows the engine's habits."""
        block = self.engine.limits.block_ms
        self._hearing = Hearing(None if block is None else block * SAMPLE_RATE // 1000)

    def listen(self, result: Result, now: float) -> None:
        """Notes how far the session is, by its speaking up."""
        if isinstance(result, Partial) and result.accumulates:
            length = self.positions.length
            self.heard = self.positions.leg_end(self._hearing.spoke(length, now, result.heard, result.times))
        else:
            self.heard = self.got

    def hold(self, result: Result) -> None:
        """Keeps a result for later; a partial replaces the one before it, so that what waits stays small."""
        if isinstance(result, Partial) and self.held and isinstance(self.held[-1], Partial):
            self.held[-1] = result
        else:
            self.held.append(result)

    def joint_for_next(self) -> Joint:
        """Returns what a session that overlaps with this one must not say again."""
        said = self._final_words + self._open.split()
        return Joint(said[-LONGEST:], self.said_until)

    def on_leg(self, result: Result) -> Result | None:
        """Returns a result with positions on the leg's clock, without words said before; None for nothing to tell."""
        match result:
            case Partial():
                return self.partial(result)
            case Final():
                return self._final(result)
            case Refinement():
                if result.index in self._stripped:
                    return None  # it would say again what was taken out
                return replace(result, index=self.base + result.index)
            case Progress(heard):
                return None if heard is None else Progress(self.positions.leg_end(heard))

    def partial(self, partial: Partial) -> Partial:
        """``on_leg`` of a partial."""
        text, joint = partial.text, self.joint
        if joint is not None and (partial.accumulates or not self.finals):
            text = " ".join(strip(text.split(), joint.words))
        self._open = text  # split only when a next session needs it: a long call's text has thousands of words
        start = None if partial.start is None else self.positions.leg(partial.start)
        end = None if partial.end is None else self.positions.leg_end(partial.end)
        return Partial(text, partial.accumulates, start, end, self.heard if partial.accumulates else None)

    def _final(self, final: Final) -> Final:
        leg, leg_end = self.positions.leg, self.positions.leg_end
        self.finals = final.index + 1
        words = [Word(word.text, leg(word.start), leg_end(word.end)) for word in final.words]
        text, start, end = final.text, leg(final.start), leg_end(final.end)
        joint = self.joint
        if joint is not None and (final.index == 0 or start < (joint.until or 0)):
            if words and joint.until is not None:
                kept = strip_timed(words, joint.until, joint.words[-1] if joint.words else "")
                plain, words = len(kept) == len(words), kept
                said = [word.text for word in kept]
            else:
                before = text.split()
                said = strip(before, joint.words)
                plain = len(said) == len(before)
                words = words[len(words) - len(said) :] if words and not plain else words
            if not plain:
                self._stripped.add(final.index)
                text = " ".join(said)
                start = words[0].start if words else start
        self._final_words = (self._final_words + text.split())[-LONGEST:]
        self._open = ""
        if words:
            self.said_until = words[-1].end
        return Final(text, start, max(start, end), self.base + final.index, tuple(words))
