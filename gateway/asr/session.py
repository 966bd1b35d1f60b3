"""One leg's recognition, over as many engine sessions as it takes; the same for every engine.

The audio goes through a ``ReplayBuffer``. When a session is lost for a reason that may pass, another is opened after a
back-off, and gets everything whose words are not settled yet, at a bounded multiple of real time. After ``finish`` the
rest is sent, the engine is told that the stream is over, and its last words are waited for until a deadline.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from gateway.asr.engine import (
    End,
    Engine,
    EngineEvent,
    EngineSession,
    Failure,
    Final,
    Partial,
    Progress,
    Ready,
    Refinement,
)
from gateway.asr.replay import Piece, ReplayBuffer
from gateway.config import Asr
from gateway.media.chunks import SAMPLE_RATE

REPLAY_SPEED = 4  # times real time: a backlog of 30 s is gone after 10 s, and the engine is not flooded


class State(Enum):
    """Where the leg's recognition stands."""

    CONNECTING = "connecting"
    OPEN = "open"
    WAITING = "waiting"  # for the next attempt
    FINISHING = "finishing"  # all audio sent, the last words are awaited
    GIVEN_UP = "given up"  # for good; audio that still comes is counted
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of the leg's audio at the recogniser.

    Attributes:
        sent: Samples that were sent, each counted once however often it was replayed.
        unrecognised: Samples whose words are missing, as far as the gateway can know.
        recognised_seconds: Seconds accounted for by the engine; None when it gave no account.
        failure: Why recognition ended early; None when it did not.
    """

    sent: int
    unrecognised: int
    recognised_seconds: float | None
    failure: Failure | None


class Observer(Protocol):
    """Who is told about a leg's recognition; all positions are samples on the leg's clock."""

    def asr_started(self, engine: str, origin: int, *, continues: bool) -> None:
        """A new engine session speaks from now on: text starts afresh.

        Args:
            engine: The engine's name.
            origin: First sample that it hears.
            continues: Whether the session before it was read to its end (roll-over, idle): what it said is final then.
                Otherwise what was not final is void, and will be said again where it could be kept.
        """

    def asr_text(self, partial: Partial) -> None:
        """The engine changed its text."""

    def asr_final(self, final: Final) -> None:
        """The engine ended an utterance; its index counts on over all sessions of the leg."""

    def asr_refined(self, refinement: Refinement) -> None:
        """The engine has a nicer text for an utterance, which it names by the index of its ``Final``."""

    def asr_written(self, arrived: int, now: int) -> None:
        """Audio was written to the engine.

        Args:
            arrived: When its last packet arrived, monotonic nanoseconds.
            now: When it was written.
        """

    def asr_degraded(self, failure: Failure, *, engine: str, retrying: bool) -> None:
        """The engine session was lost, or could not be opened. Told once until it recovers or is given up."""

    def asr_recovered(self, engine: str, lost: int) -> None:
        """There is a session again.

        Args:
            engine: Whose; another one than before after a failover.
            lost: Samples given up meanwhile.
        """

    def asr_unrecognised(self, first: int, end: int) -> None:
        """The words of these samples are missing: the audio could not be kept, or no engine took it."""

    def asr_done(self, summary: Summary) -> None:
        """Recognition is over; nothing comes after this."""


class LegRecognition:
    """Drives the engine sessions of one leg.

    Args:
        engines: Where sessions are opened, in order of preference.
        codec: ``"alaw"`` or ``"mulaw"``; all that is fed must be in it.
        settings: Time limits.
        observer: Told what happens.
    """

    def __init__(self, engines: Sequence[Engine], codec: str, settings: Asr, observer: Observer) -> None:
        self._engine = engines[0]
        self._finals = 0  # of the sessions before the present one
        self._finals_now = 0
        self._codec = codec
        self._settings = settings
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._buffer = ReplayBuffer(int(settings.replay_seconds * SAMPLE_RATE))
        self._session: EngineSession | None = None
        self._attempts = 0
        self._finish = False
        self._degraded = False
        self._given_up_before = 0
        self._unheard = 0  # samples that came, or were unsettled, when recognition was given up
        self._failure: Failure | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._pump_timer: asyncio.TimerHandle | None = None
        self.state = State.CONNECTING
        self._open()

    def feed(self, piece: Piece, *, speaking: bool = True) -> None:  # noqa: ARG002
        """Takes the next audio of the leg; written at once when the engine is up to date.

        Args:
            piece: The audio.
            speaking: Whether somebody speaks in it, or spoke shortly before.
        """
        if self.state in (State.GIVEN_UP, State.DONE):
            self._unheard += len(piece.payload)
            return
        up_to_date = self.state is State.OPEN and not self._buffer.waiting
        self._buffer.append(piece)
        if up_to_date:
            self._pump()

    def settle(self, sample: int) -> None:
        """Says that all words before a sample of the leg's clock are final: they are never replayed."""
        self._buffer.settle(sample)

    def finish(self) -> None:
        """Says that no more audio comes; ``asr_done`` follows within ``finish_seconds``."""
        if self._finish:
            return
        self._finish = True
        if self.state is State.GIVEN_UP:
            self._done(None, self._failure)
            return
        self._deadline = self._loop.call_later(self._settings.finish_seconds, self._overdue)
        if self.state is State.OPEN and not self._buffer.waiting:
            self._end_stream()

    def abort(self) -> None:
        """Gives up at once; nothing more is told."""
        self._drop_session()
        self._cancel_timers()
        self.state = State.DONE

    # inside

    def _open(self) -> None:
        self._retry = None
        self.state = State.CONNECTING
        self._session = self._engine.open(self._codec, self._on_event)

    def _on_event(self, event: EngineEvent) -> None:
        match event:
            case Ready():
                self._ready()
            case Partial():
                self._observer.asr_text(event)
            case Final():
                self._finals_now = event.index + 1
                self._observer.asr_final(replace(event, index=self._finals + event.index))
                self._buffer.settle(event.end)
            case Refinement():
                self._observer.asr_refined(replace(event, index=self._finals + event.index))
            case Progress():
                pass
            case End(seconds):
                self._session = None
                self._done(None if seconds is None else self._buffer.accounted / SAMPLE_RATE + seconds, None)
            case Failure():
                self._session = None
                self._lose(event)

    def _ready(self) -> None:
        self.state = State.OPEN
        self._attempts = 0
        self._finals, self._finals_now = self._finals + self._finals_now, 0
        self._observer.asr_started(self._engine.name, self._buffer.rewind(), continues=False)
        if self._degraded:
            self._degraded = False
            self._observer.asr_recovered(self._engine.name, self._buffer.given_up - self._given_up_before)
        self._pump()

    def _pump(self) -> None:
        """Sends what is unsent: live audio at once, a backlog piece by piece."""
        self._pump_timer = None
        if self.state is not State.OPEN or self._session is None:
            return
        if self._session.congested:
            self._pump_timer = self._loop.call_later(0.05, self._pump)
            return
        piece = self._buffer.take()
        if piece is not None:
            self._session.send(piece.payload)
            if not self._buffer.waiting and piece.arrived:
                self._observer.asr_written(piece.arrived, time.monotonic_ns())
        if self._buffer.waiting and piece is not None:
            wait = len(piece.payload) / SAMPLE_RATE / REPLAY_SPEED
            self._pump_timer = self._loop.call_later(wait, self._pump)
        elif self._finish:
            self._end_stream()

    def _end_stream(self) -> None:
        if self._session is not None:
            self.state = State.FINISHING
            self._session.finish()

    def _lose(self, failure: Failure) -> None:
        self._drop_session()
        if not failure.retryable:
            self._give_up(failure)
            return
        if not self._degraded:
            self._degraded = True
            self._given_up_before = self._buffer.given_up
            self._observer.asr_degraded(failure, engine=self._engine.name, retrying=True)
        self.state = State.WAITING
        self._buffer.rewind()
        ceiling = min(self._settings.retry_max_seconds, self._settings.retry_first_seconds * 2**self._attempts)
        self._attempts = min(self._attempts + 1, 16)
        # full jitter, so that the legs of a lost server do not come back all at once
        self._retry = self._loop.call_later(random.uniform(0, ceiling), self._open)  # noqa: S311

    def _overdue(self) -> None:
        text = f"the engine's last words did not come within {self._settings.finish_seconds:g} s of the hang-up"
        self._drop_session()
        self._give_up(Failure("FINISH_TIMEOUT", text, retryable=False))

    def _give_up(self, failure: Failure) -> None:
        """Ends recognition before the audio ends, or without its last words."""
        self._cancel_timers()
        self.state = State.GIVEN_UP
        self._failure = failure
        self._buffer.rewind()
        self._unheard += self._buffer.backlog
        self._observer.asr_degraded(failure, engine=self._engine.name, retrying=False)
        if self._finish:
            self._done(None, failure)

    def _done(self, recognised_seconds: float | None, failure: Failure | None) -> None:
        self._cancel_timers()
        self.state = State.DONE
        unrecognised = self._buffer.given_up + self._unheard
        self._observer.asr_done(Summary(self._buffer.sent, unrecognised, recognised_seconds, failure))

    def _drop_session(self) -> None:
        if self._session is not None:
            self._session.abort()
            self._session = None

    def _cancel_timers(self) -> None:
        for timer in (self._retry, self._deadline, self._pump_timer):
            if timer is not None:
                timer.cancel()
