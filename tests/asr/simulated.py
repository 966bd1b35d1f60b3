"""A leg's machine with everything around it, in simulated time: a speaker, engines that lag and fail, the utterances.

Words are byte values held for 200 ms, silence is ``SILENCE``; whoever hears at least 80 ms of a value hears its word.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.asr.engine import (
    End,
    EngineEvent,
    Failure,
    Final,
    Idle,
    Limits,
    Listener,
    Partial,
    Progress,
    Ready,
    Refinement,
    Word,
)
from gateway.asr.gate import Gate
from gateway.asr.machine import Machine, State
from gateway.asr.observer import Summary
from gateway.asr.replay import Piece
from gateway.asr.run import Run
from gateway.config import Asr
from gateway.media.activity import Segment
from gateway.transcripts.utterances import Change, Update, UtteranceBuilder

SILENCE = 0xD5
WORD, GAP, HEARD, BLOCK, CHUNK = 1600, 480, 640, 2400, 800  # samples
CONNECT = 3.0  # seconds until a session that says nothing is given up by its engine
HANGOVER = 1600  # of the speech activity
_RUN = re.compile(rb"([^\xd5])\1{%d,}" % (HEARD - 1), re.DOTALL)


def speech(codes: Sequence[int | None], pause: int = 9600) -> bytes:
    """Says words, None for a pause; the numbers must differ from ``SILENCE``."""
    parts = [
        bytes([SILENCE]) * pause if code is None else bytes([code]) * WORD + bytes([SILENCE]) * GAP for code in codes
    ]
    audio = b"".join(parts)
    return audio + bytes([SILENCE]) * (-len(audio) % CHUNK)


def words_in(audio: bytes) -> list[Word]:
    """Returns the words that are heard in audio."""
    return [Word(f"w{match[1][0]}", match.start(), match.end()) for match in _RUN.finditer(audio)]


@dataclass
class SimEngine:
    """An engine; what its sessions do can be changed while they live.

    Attributes:
        accumulates: Whether it is of Palatine's kind, or finds utterances itself.
        latency: Of its answers (seconds).
        alive: Whether it can be reached.
        silent: Whether new sessions never say anything; ``hush`` silences those that are there.
        full: Whether it takes no audio.
        refusal: What it answers to new sessions.
        deaf: So many samples of its end the session that is finished next does not hear, and says so.
        miscount: Seconds by which what it says it processed is less than what it did.
        most: The greatest number of sessions that lived at once.
    """

    world: World
    name: str = "sim"
    accumulates: bool = True
    limits: Limits = field(default_factory=lambda: Limits(block_ms=300))
    gate: Gate = field(default_factory=Gate)
    latency: float = 0.1
    alive: bool = True
    silent: bool = False
    full: bool = False
    refusal: Failure | None = None
    deaf: int = 0
    miscount: float = 0.0
    sessions: list[SimSession] = field(default_factory=list)
    most: int = 0

    def open(self, codec: str, listener: Listener) -> SimSession:  # noqa: ARG002 (all audio is alike)
        session = SimSession(self, listener)
        self.sessions.append(session)
        self.most = max(self.most, sum(not one.over for one in self.sessions))
        return session

    def die(self) -> None:
        """All sessions are lost, and nobody can come."""
        self.alive = False
        self.lose(Failure("CONNECTION_LOST", "gone", retryable=True))

    def lose(self, failure: Failure) -> None:
        """All sessions are lost."""
        for session in self.sessions:
            session.fail(failure)

    def hush(self) -> None:
        """All sessions say nothing any more, and new ones nothing at all."""
        self.silent = True
        for session in self.sessions:
            session.silent = True

    def end_early(self) -> None:
        """The engine ends its sessions in good order, though more audio is to come."""
        for session in self.sessions:
            session.end()


class SimSession:
    """One session: works through its audio block by block."""

    def __init__(self, engine: SimEngine, listener: Listener) -> None:
        self.engine = engine
        self.audio = bytearray()
        self.over = False
        self.finished = False
        self.silent = engine.silent
        self._listener = listener
        self._worked = 0
        self._due = 0.0
        self._finals = 0
        self._final_end = 0
        self._opening = False
        world = engine.world
        if engine.refusal is not None:
            world.later(0.05, lambda: self.fail(engine.refusal or Failure("", "", retryable=True)))
        elif engine.alive:
            self._opening = True
            self._say(Ready())
            world.later(CONNECT, self._not_open)
        else:
            world.later(0.05, lambda: self.fail(Failure("CONNECTION_LOST", "nobody there", retryable=True)))

    @property
    def congested(self) -> bool:
        return self.engine.full

    def send(self, payload: bytes) -> None:
        assert payload
        assert not self.finished
        assert not self.over
        self.audio += payload
        limit = self.engine.limits.seconds
        if limit is not None and len(self.audio) > limit * 8000:
            raise AssertionError("a session got more than it may hold")
        while self._worked + BLOCK <= len(self.audio):
            self._work(self._worked + BLOCK)

    def silence(self, samples: int) -> None:  # noqa: ARG002 (the interface)
        raise AssertionError("no engine here asks for it")

    def finish(self) -> None:
        assert not self.finished
        self.finished = True
        heard, self.engine.deaf = len(self.audio) - self.engine.deaf, 0
        self._work(heard, ending=True)
        self._say(End(heard / 8000 - self.engine.miscount))

    def abort(self) -> None:
        self.over = True

    def fail(self, failure: Failure) -> None:
        if not self.over:
            self.over = True
            self._listener(failure)

    def end(self) -> None:
        if not self.over and not self.finished:
            self.over = True
            self._listener(End(self._worked / 8000))

    # inside

    def _not_open(self) -> None:
        if self._opening:
            self.fail(Failure("NO_CONFIG", "no answer", retryable=True))

    def _work(self, upto: int, *, ending: bool = False) -> None:
        self._worked = upto
        words = words_in(bytes(self.audio[:upto]))
        if self.engine.accumulates:
            self._say(Partial(" ".join(word.text for word in words), accumulates=True))
            return
        open_words = [word for word in words if word.start >= self._final_end]
        if open_words and (ending or upto - open_words[-1].end >= 4000):
            text = " ".join(word.text for word in open_words)
            self._say(Final(text, open_words[0].start, open_words[-1].end, self._finals, tuple(open_words)))
            self._finals, self._final_end = self._finals + 1, upto
        elif open_words:
            text = " ".join(word.text for word in open_words)
            self._say(Partial(text, False, open_words[0].start, open_words[-1].end))
        else:
            self._say(Progress(upto))

    def _say(self, event: EngineEvent) -> None:
        world = self.engine.world
        self._due = max(self._due, world.now + self.engine.latency)

        def say() -> None:
            if not self.over and not self.silent and self.engine.alive:
                self.over = isinstance(event, End)
                self._opening = self._opening and not isinstance(event, Ready)
                self._listener(event)

        world.at(self._due, say)


class World:
    """Time, and one leg that is spoken on.

    Args:
        engines: How to make them.
        settings: Of recognition.
        codes: What is said.
    """

    def __init__(self, codes: Sequence[int | None], settings: Asr, *engines: Callable[[World], SimEngine]) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self.audio = speech(codes)
        self.said = [f"w{code}" for code in codes if code is not None]
        self.fed = 0
        self.engines = [make(self) for make in engines]
        self.latest: dict[int, Update] = {}
        self.finals_extended = 0
        self.unrecognised: list[tuple[int, int]] = []
        self.summary: Summary | None = None
        self.failures: list[Failure] = []
        self.recovered = 0
        self.held = 0
        self._segment: Segment | None = None
        self.utterances = UtteranceBuilder(pause=5600, settle=1.5, longest=480_000)
        self.machine = Machine(self.engines, settings, self, self._open, self.now, uniform=lambda _low, high: high)

    # time

    def at(self, when: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (when, next(self._count), call))

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.at(self.now + seconds, call)

    def run(self, until: float) -> None:
        """Lets everything happen that is due, in order."""
        steps = 0
        while True:
            steps += 1
            assert steps < 10_000, f"no rest: {self.machine.state}, {self.machine.timers}"
            wake = self.machine.wake_at
            next_at = self._heap[0][0] if self._heap else float("inf")
            if min(next_at, wake if wake is not None else float("inf")) > until:
                break
            if wake is not None and wake <= next_at:
                self.now = max(self.now, wake)
                self.machine.wake(self.now)
            else:
                self.now = max(self.now, next_at)
                heapq.heappop(self._heap)[2]()
        self.now = until

    def speak(self, seconds: float | None = None) -> None:
        """Says the next seconds, or all."""
        end = len(self.audio) if seconds is None else min(len(self.audio), self.fed + int(seconds * 8000))
        while self.fed < end:
            self.run(self.now + CHUNK / 8000)
            payload = self.audio[self.fed : self.fed + CHUNK]
            speaking = self._activity(payload)
            self.machine.feed(Piece(self.fed, payload, 1, speaking), self.now)
            self.fed += len(payload)
            self.held = max(self.held, self.machine.buffer.held)
            self._tell(self.utterances.tick(self.fed, self.now))

    def hang_up(self, patience: float = 60.0) -> Summary:
        """Ends the audio; returns the account."""
        if self._segment is not None:
            self._segment.open = False
        self.machine.finish(self.now)
        end = self.now + patience
        while self.summary is None and self.now < end:
            self.run(self.now + 0.1)
        assert self.summary is not None, "no end"
        assert self.machine.state is State.DONE
        assert self.summary.sent + self.summary.skipped + self.summary.missed == self.fed, "samples went astray"
        return self.summary

    @property
    def delivered(self) -> list[str]:
        return [word for number in sorted(self.latest) for word in self.latest[number].text.split()]

    @property
    def spans(self) -> dict[str, tuple[int, int]]:
        """Where each word is on the leg."""
        return {word.text: (word.start, word.end) for word in words_in(self.audio)}

    # what the machine tells, as ``calls.leg`` takes it

    def asr_started(self, _engine: str, origin: int, *, continues: bool) -> None:
        if continues:
            self._tell(self.utterances.finish(origin))
        self._tell(self.utterances.restart(origin))

    def asr_text(self, partial: Partial) -> None:
        if partial.accumulates:
            assert partial.heard is not None
            self._tell(self.utterances.text(partial.text, self.fed, self.now, partial.heard))
            if not self.utterances.open:
                self.machine.settle(self.utterances.settled)
        else:
            self._tell(self.utterances.engine_text(partial, self.fed, self.now))

    def asr_final(self, final: Final) -> None:
        self._tell(self.utterances.engine_final(final))

    def asr_refined(self, refinement: Refinement) -> None:
        self._tell(self.utterances.engine_refined(refinement))

    def asr_written(self, arrived: int) -> None:
        assert arrived

    def asr_degraded(self, failure: Failure, *, engine: str, retrying: bool) -> None:
        assert engine
        self.failures.append(failure)
        if retrying:
            self.utterances.interrupt()

    def asr_recovered(self, _engine: str, lost: int) -> None:
        assert lost >= 0
        self.recovered += 1

    def asr_unrecognised(self, first: int, end: int) -> None:
        assert first < end
        assert all(end <= begin or stop <= first for begin, stop in self.unrecognised), "told twice"
        self.unrecognised.append((first, end))

    def asr_done(self, summary: Summary) -> None:
        assert self.summary is None, "told twice"
        self._tell(self.utterances.finish(self.fed))
        self.summary = summary

    # inside

    def _open(self, run: Run) -> SimSession:
        def heard(event: EngineEvent) -> None:
            self.machine.event(run, event, self.now)

        assert isinstance(run.engine, SimEngine)
        return run.engine.open("alaw", heard)

    def _activity(self, payload: bytes) -> bool:
        loud = payload.strip(bytes([SILENCE]))
        end = self.fed + len(payload)
        if loud:
            if self._segment is None:
                first = self.fed + len(payload) - len(payload.lstrip(bytes([SILENCE])))
                self._segment = Segment(first, end, open=True)
                self.utterances.speech(self._segment)
            self._segment.end = self.fed + len(payload.rstrip(bytes([SILENCE])))
        elif self._segment is not None and end - self._segment.end > HANGOVER:
            self._segment.open = False
            self._segment = None
        return bool(loud) or self._segment is not None

    def _tell(self, updates: list[Update]) -> None:
        for update in updates:
            known = self.latest.get(update.number)
            assert known is None or update.revision > known.revision
            self.latest[update.number] = update
            if update.change is Change.FINAL:
                self.machine.settle(min(self.utterances.settled, self.fed), update.text)


def idle_limits(seconds: float) -> Limits:
    """Of an engine whose sessions are closed while nobody speaks."""
    return Limits(block_ms=300, idle=Idle.CLOSE, idle_seconds=seconds)
