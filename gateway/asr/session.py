"""One leg's recognition on the event loop: the thin driver of ``machine.Machine``, which decides everything."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from gateway.asr.engine import Engine, EngineEvent, EngineSession
from gateway.asr.machine import Machine, State
from gateway.asr.observer import Observer, Summary
from gateway.asr.replay import Piece
from gateway.asr.run import Run
from gateway.asr.settings import Asr

__all__ = ["LegRecognition", "Observer", "State", "Summary"]


class LegRecognition:
    """Gives a machine its time, its timers and its sessions.

    Args:
        engines: Where sessions are opened, in order of preference.
        codec: ``"alaw"`` or ``"mulaw"``; all that is fed must be in it.
        settings: Time limits.
        observer: Told what happens.
    """

    def __init__(self, engines: Sequence[Engine], codec: str, settings: Asr, observer: Observer) -> None:
        self._codec = codec
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0
        self._machine = Machine(engines, settings, observer, self._open, self._loop.time())
        self._arm()

    @property
    def state(self) -> State:
        """Where the recognition stands."""
        return self._machine.state

    @property
    def held(self) -> int:
        """Samples that are kept in memory for a session that may need them."""
        return self._machine.buffer.held

    @property
    def backlog(self) -> int:
        """Samples that no session has yet."""
        return self._machine.buffer.backlog

    @property
    def written(self) -> Mapping[str, int]:
        """Bytes of audio that sessions got so far, replays included, by engine."""
        return self._machine.written

    def feed(self, piece: Piece) -> None:
        """Takes the next audio of the leg; written at once when the engine is up to date."""
        self._machine.feed(piece, self._loop.time())
        self._arm()

    def settle(self, sample: int, text: str = "") -> None:
        """Says that all words before a sample of the leg's clock are final, the last of them these."""
        self._machine.settle(sample, text)

    def finish(self) -> None:
        """Says that no more audio comes; ``asr_done`` follows within ``finish_seconds``."""
        self._machine.finish(self._loop.time())
        self._arm()

    def abort(self) -> None:
        """Gives up at once; nothing more is told."""
        self._machine.abort()
        self._arm()

    # inside

    def _open(self, run: Run) -> EngineSession:
        return run.engine.open(self._codec, partial(self._heard, run))

    def _heard(self, run: Run, event: EngineEvent) -> None:
        self._machine.event(run, event, self._loop.time())
        self._arm()

    def _wake(self) -> None:
        self._timer = None
        # the loop's timers may fire a little early
        self._machine.wake(self._loop.time() + 0.001)
        self._arm()

    def _arm(self) -> None:
        """Sets the one timer, where it is not set for early enough already; one that fires too early does no harm."""
        at = self._machine.wake_at
        if at is None:
            if self._timer is not None and self._machine.state is State.DONE:
                self._timer.cancel()
                self._timer = None
            return
        if self._timer is not None:
            if at >= self._timer_at:
                return
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(at, self._wake), at
