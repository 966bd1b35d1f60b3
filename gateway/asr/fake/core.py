"""The recogniser behind every protocol of the test server: pure, bytes in, words out. Front ends add the protocol."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.asr.fake.faults import Fault, FaultPlan, Moment
from gateway.asr.fake.pcm import SAMPLE_RATE, decode, sample_bytes
from gateway.asr.fake.words import FRAME, Said, WordReader, read


@dataclass(frozen=True, slots=True)
class Latency:
    """How long after its audio a result is said: log-normal, from median and 99th percentile; seconds."""

    median: float = 0.0
    p99: float = 0.0

    @classmethod
    def parse(cls, spec: str) -> Latency:
        """Reads ``MEDIAN`` or ``MEDIAN/P99`` in milliseconds.

        Raises:
            ValueError: It is written otherwise, or P99 is below the median.
        """
        median, _, p99 = spec.partition("/")
        found = cls(float(median) / 1000, float(p99 or median) / 1000)
        if not 0 <= found.median <= found.p99:
            raise ValueError(f"{spec!r}: 0 <= MEDIAN <= P99")
        return found

    def draw(self, dice: random.Random) -> float:
        """Returns one delay in seconds."""
        if not self.median or self.p99 <= self.median:
            return self.median
        return self.median * math.exp(dice.gauss(0, math.log(self.p99 / self.median) / 2.326))


@dataclass(slots=True)
class Options:
    """How the test server behaves, whatever the protocol.

    Attributes:
        block_ms: Audio that it works through at a time; Palatine's 300.
        pause_ms: Silence that ends an utterance, for protocols with utterances.
        latency: Of results.
        plan: The faults.
        token: What clients must show; empty for anything.
        max_seconds: Audio in a session; more ends it. None for no limit.
        max_bytes: Bytes in a session, likewise.
        idle_seconds: A session that gets nothing for so long is ended.
        starts_per_second: Sessions that may start in a second; more are refused.
        retry_after: Seconds that a refusal with 429 or 503 asks clients to wait.
        duration_offset: Added to the audio that it says it processed (seconds).
    """

    block_ms: int = 300
    pause_ms: int = 700
    latency: Latency = Latency()
    plan: FaultPlan = field(default_factory=FaultPlan)
    token: str = ""
    max_seconds: float | None = None
    max_bytes: int | None = None
    idle_seconds: float | None = None
    starts_per_second: float | None = None
    duration_offset: float = 0.0
    retry_after: int | None = None


@dataclass(slots=True)
class Utterance:
    """Words between two pauses.

    Attributes:
        index: From 0.
        words: With their times, in samples of the session.
    """

    index: int
    words: list[Said] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its words."""
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class Block:
    """What one block of audio brought.

    Attributes:
        position: Samples worked through.
        new: Words that began to be recognised in it.
        ended: Utterances that a pause, or the end of the audio, ended.
        open: The utterance that goes on; its words may be none.
    """

    position: int
    new: tuple[str, ...]
    ended: tuple[Utterance, ...]
    open: Utterance


class FakeSession:
    """One session: counts what it gets, recognises it, and says which fault is due.

    Args:
        options: The server's.
        codec: ``alaw``, ``mulaw`` or ``linear16``; 8000 samples a second.
        protocol: The front end's name.

    Attributes:
        details: What the client asked for, as the front end read it.
        sizes: Bytes of each message of audio.
        bytes: Their sum.
        announced: Silence that was announced, not sent (samples).
        words: All words, in order.
        started: When it began, on the server's clock.
        outcome: How it ended: ``completed``, ``lost`` (the client went), or the fault's kind.
    """

    def __init__(self, options: Options, codec: str, protocol: str, started: float = 0.0) -> None:
        self.options = options
        self.codec = codec
        self.protocol = protocol
        self.started = started
        self.details: dict[str, str] = {}
        self.sizes: list[int] = []
        self.bytes = 0
        self.announced = 0
        self.words: list[Said] = []
        self.outcome = "lost"
        self._sample = sample_bytes(codec)
        self._block = options.block_ms * SAMPLE_RATE // 1000 // FRAME * FRAME or FRAME
        self._pending = bytearray()
        self._reader = WordReader()
        self._open = Utterance(0)

    @property
    def samples(self) -> int:
        """Samples received, announced silence counted."""
        return self.bytes // self._sample + self.announced

    @property
    def seconds(self) -> float:
        """Audio that it says it processed."""
        return max(0.0, self.samples / SAMPLE_RATE + self.options.duration_offset)

    @property
    def text(self) -> str:
        """All words."""
        return " ".join(word.text for word in self.words)

    def open(self) -> Fault | None:
        """Returns the fault that happens at the opening."""
        return self._faulty(self.options.plan.due(Moment(opening=True)))

    def feed(self, payload: bytes) -> tuple[list[Block], Fault | None]:
        """Takes audio.

        Returns:
            What the blocks that it completed brought, and the fault that happens now.
        """
        self.sizes.append(len(payload))
        self.bytes += len(payload)
        self._pending += payload
        size, blocks = self._block * self._sample, []
        while len(self._pending) >= size:
            blocks.append(self._work(bytes(self._pending[:size])))
            del self._pending[:size]
        return blocks, self._check()

    def silence(self, samples: int) -> tuple[list[Block], Fault | None]:
        """Takes silence that was announced, not sent."""
        blocks = [self._work(bytes(self._pending))] if self._pending else []
        self._pending.clear()
        self.announced += samples
        self._reader.skip(samples)
        blocks.append(self._settle((), []))
        return blocks, self._check()

    def finish(self) -> tuple[list[Block], Fault | None]:
        """Takes the end of the audio; the last block ends the open utterance."""
        fault = self._faulty(self.options.plan.due(self._moment(ending=True)))
        last = self._work(bytes(self._pending))
        self._pending.clear()
        if self._open.words:
            ended = (*last.ended, self._open)
            self._open = Utterance(self._open.index + 1)
            last = Block(last.position, last.new, ended, self._open)
        if fault is None:
            self.outcome = "completed"
        return [last], fault

    # inside

    def _work(self, payload: bytes) -> Block:
        found = self._reader.feed(read(decode(self.codec, payload)))
        self.words += found
        ended = []
        for word in found:
            if self._open.words and word.start - self._open.words[-1].end >= self._pause:
                ended.append(self._open)
                self._open = Utterance(self._open.index + 1)
            self._open.words.append(word)
        return self._settle(tuple(word.text for word in found), ended)

    def _settle(self, new: tuple[str, ...], ended: list[Utterance]) -> Block:
        if self._open.words and self._reader.position - self._open.words[-1].end >= self._pause:
            ended.append(self._open)
            self._open = Utterance(self._open.index + 1)
        return Block(self._reader.position, new, tuple(ended), self._open)

    @property
    def _pause(self) -> int:
        return self.options.pause_ms * SAMPLE_RATE // 1000

    def _moment(self, *, ending: bool = False) -> Moment:
        words = len(self.words)
        if any(fault.when == "w" and fault.times for fault in self.options.plan.faults):
            # without waiting for the block to be full, so that a fault can happen in mid-word
            words += self._reader.ahead(read(decode(self.codec, bytes(self._pending))))
        return Moment(self.samples / SAMPLE_RATE, self.bytes, words, ending=ending)

    def _check(self) -> Fault | None:
        limits = self.options
        over = (limits.max_seconds is not None and self.samples / SAMPLE_RATE > limits.max_seconds) or (
            limits.max_bytes is not None and self.bytes > limits.max_bytes
        )
        if over:
            return self._faulty(Fault("limit", "", "s", 0, 1))
        return self._faulty(self.options.plan.due(self._moment()))

    def _faulty(self, fault: Fault | None) -> Fault | None:
        if fault is not None:
            self.outcome = fault.kind
        return fault


class Core:
    """What the sessions of all front ends share.

    Attributes:
        options: How it behaves; may be changed while it runs.
        sessions: All so far, in the order of their opening.
        dice: Of latencies.
        refused: Sessions refused because too many started.
        on_end: Called with each session that is over.
    """

    def __init__(self, options: Options, seed: int | None = None) -> None:
        self.options = options
        self.sessions: list[FakeSession] = []
        self.dice = random.Random(seed)  # noqa: S311 (a test server's dice)
        self.refused = 0
        self.on_end: Callable[[FakeSession], None] | None = None
        self._starts: deque[float] = deque()

    def may_start(self, now: float) -> bool:
        """Counts a start, and says whether it keeps to ``starts_per_second``."""
        while self._starts and self._starts[0] <= now - 1.0:
            self._starts.popleft()
        limit = self.options.starts_per_second
        if limit is not None and len(self._starts) >= limit:
            self.refused += 1
            return False
        self._starts.append(now)
        return True

    def ended(self, session: FakeSession) -> None:
        """A session is over; told once by its front end."""
        if self.on_end is not None:
            self.on_end(session)

    def session(self, codec: str, protocol: str, now: float) -> FakeSession:
        """Opens a session.

        Raises:
            ValueError: There is no such codec.
        """
        session = FakeSession(self.options, codec, protocol, now)
        self.sessions.append(session)
        return session
