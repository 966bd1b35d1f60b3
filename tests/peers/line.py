"""A leg without a telephone: words of the test recogniser go into a real ``Leg``, and what it says comes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gateway.asr.engine import Engine, Failure
from gateway.asr.fake.pcm import decode
from gateway.asr.fake.words import say, text_of
from gateway.calls.leg import Leg, SessionCause
from gateway.config import Settings
from gateway.media.chunks import SAMPLE_RATE, Chunk, Digit, Kind, Span
from gateway.transcripts.utterances import Change, Update

WORD, GAP, PAUSE = 240 * 8, 60 * 8, 1200 * 8


@dataclass(frozen=True)
class Spoken:
    """What is said on a leg.

    Attributes:
        audio: G.711 A-law.
        levels: Of its 20 ms frames, as the receiver gives them.
        words: Each with its first sample and one past its last.
    """

    audio: bytes
    levels: bytes
    words: list[tuple[str, int, int]]

    @property
    def seconds(self) -> float:
        return len(self.audio) / SAMPLE_RATE

    @property
    def text(self) -> list[str]:
        return [word for word, _, _ in self.words]


def script(codes: Sequence[int | None], *, gap_ms: int = 60) -> Spoken:
    """Says words; None is a pause of 1.2 s."""
    audio = say(codes, gap_ms=gap_ms)
    audio += b"\xd5" * (-len(audio) % 160)
    words, position = [], 0
    for code in codes:
        if code is None:
            position += PAUSE
        else:
            words.append((text_of(code), position, position + WORD))
            position += WORD + gap_ms * 8
    return Spoken(audio, levels_of(audio), words)


def levels_of(audio: bytes) -> bytes:
    power = np.mean(decode("alaw", audio).reshape(-1, 160).astype(np.float64) ** 2, axis=1) / 32768**2
    return bytes(np.clip(np.rint(-10 * np.log10(np.maximum(power, 1e-13))), 0, 127).astype(np.uint8))


@dataclass
class Owner:
    """The call of one leg: keeps the latest revision of each utterance."""

    texts: dict[int, Update] = field(default_factory=dict)
    failures: list[tuple[str, bool]] = field(default_factory=list)
    recovered: list[float] = field(default_factory=list)
    shown: list[tuple[float, str]] = field(default_factory=list)
    written: list[int] = field(default_factory=list)
    sessions: list[tuple[str, str]] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def leg_words(self, _leg: Leg, update: Update) -> None:
        self.shown.append((time.monotonic(), update.text))
        self.texts[update.number] = update

    def leg_degraded(self, _leg: Leg, failure: Failure, *, retrying: bool) -> None:
        self.failures.append((failure.code, retrying))

    def leg_recovered(self, _leg: Leg, _lost: int) -> None:
        self.recovered.append(time.monotonic())

    def leg_written(self, arrived: int, now: int) -> None:
        self.written.append(now - arrived)

    def leg_done(self, _leg: Leg) -> None:
        self.done.set()

    def leg_lag(self, samples: int | None) -> None: ...

    def leg_key(self, leg: Leg, digit: Digit) -> None: ...

    def leg_audio(self, leg: Leg, first: int, payload: bytes, codec: str) -> None: ...

    def leg_key_withheld(self) -> None: ...

    def leg_session(self, _leg: Leg, engine: str, cause: SessionCause) -> None:
        self.sessions.append((engine, cause))

    def leg_withheld(self, leg: Leg, *, withheld: bool) -> None: ...


class Line:
    """One leg that is spoken on.

    Args:
        engines: Who recognises.
        settings: All of them.
        spoken: What is said.
        chunk_ms: As the receiver hands it over.
    """

    def __init__(
        self, engines: Sequence[Engine], settings: Settings, spoken: Spoken, chunk_ms: int = 100, *, keep: bool = True
    ) -> None:
        self.spoken = spoken
        self.owner = Owner()
        self.leg = Leg(1, "caller", "x", "alaw", engines, settings, self.owner)
        self.fed = 0
        self._chunk = chunk_ms * 8
        self._keep = keep

    def feed(self) -> bool:
        """Hands over the next chunk, and at the end the hang-up; returns whether more is to come."""
        payload = self.spoken.audio[self.fed : self.fed + self._chunk]
        now = time.monotonic_ns()
        last = self.fed + len(payload) == len(self.spoken.audio)
        spans = (Span(Kind.RECEIVED, self.fed, len(payload)),)
        levels = self.spoken.levels[self.fed // 160 : (self.fed + len(payload)) // 160]
        self.leg.chunk(Chunk(1, "alaw", self.fed, len(payload), payload, spans, levels, now, now, last))
        self.fed += len(payload)
        return not last

    async def speak(self, speed: float = 1.0) -> None:
        """Says all in real time, or faster; returns when the last words are out."""
        start, more = time.monotonic(), True
        while more:
            due = start + min(self.fed + self._chunk, len(self.spoken.audio)) / SAMPLE_RATE / speed
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            more = self.feed()
        while not self.owner.done.is_set():
            self.leg.tick()
            await asyncio.sleep(0.1)

    @property
    def delivered(self) -> list[str]:
        """The words of all utterances, each in its latest revision."""
        texts = [self.owner.texts[number] for number in sorted(self.owner.texts)]
        assert all(update.change is not Change.PARTIAL for update in texts if update.text), texts
        # engines may write words nicely: "W7."
        return [word.lower().strip(".,") for update in texts for word in update.text.split()]

    def verdict(self) -> Verdict:
        """Compares what was delivered with what was said."""
        said, got = self.spoken.text, self.delivered
        lost = self.leg.unrecognised
        missing = [(word, start, end) for word, start, end in self.spoken.words if word not in got]
        outside = [
            word for word, start, end in missing if not any(first < end and start < stop for first, stop in lost)
        ]
        order = [word for word in got if word in set(said)]
        return Verdict(
            expected=len(said),
            delivered=len(got),
            doubled=len(got) - len(set(got)),
            missing=len(missing),
            unreported=len(outside),
            strange=len([word for word in got if word not in set(said)]),
            in_order=order == sorted(order, key=said.index),
            reported_ms=sum(stop - first for first, stop in lost) // 8,
        )


@dataclass(frozen=True)
class Verdict:
    """Words said, delivered and otherwise; ``unreported`` are missing outside of what was reported as missing."""

    expected: int
    delivered: int
    doubled: int
    missing: int
    unreported: int
    strange: int
    in_order: bool
    reported_ms: int

    @property
    def exact(self) -> bool:
        """Whether every word came once."""
        return not (self.doubled or self.missing or self.strange or self.reported_ms) and self.in_order

    @property
    def honest(self) -> bool:
        """Whether at least nothing is doubled, and what is missing was reported."""
        return not (self.doubled or self.unreported or self.strange) and self.in_order
