"""Tries engines that are known to fail, so that somebody notices when they work again although no leg tries.

A gateway that is not ready for want of an engine gets no calls, and calls are what tries engines otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.asr.engine import Engine, EngineEvent, EngineSession, Failure, Ready
from gateway.asr.gate import Breaker, Gate

LONGEST = 10.0
"""A try without an answer after so long has failed (seconds)."""


@dataclass(slots=True)
class _Try:
    begun: float
    session: EngineSession | None = None
    over: bool = False


class Prober:
    """Opens a session, and drops it before any audio, where an engine's breaker is not closed.

    Args:
        engines: Which.
        clock: The time on the clock that their gates are told (seconds).
    """

    def __init__(self, engines: Iterable[Engine], clock: Callable[[], float]) -> None:
        self._engines = engines
        self._clock = clock
        self._tries: dict[Gate, _Try] = {}

    def look(self) -> None:
        """Tries each endpoint that fails and may be tried now; to be called every few seconds."""
        now = self._clock()
        for gate, known in list(self._tries.items()):
            if not known.over and now - known.begun > LONGEST:
                self._end(gate, known)
                gate.failed(now)
        for engine in self._engines:
            gate = engine.gate
            if gate.state is not Breaker.CLOSED and gate not in self._tries and gate.ask(now) == 0.0:
                self._try(engine, _Try(now))

    def close(self) -> None:
        """Drops what is open."""
        for gate, known in list(self._tries.items()):
            self._end(gate, known)

    def _try(self, engine: Engine, known: _Try) -> None:
        gate = engine.gate

        def listen(event: EngineEvent, /) -> None:
            if known.over or not isinstance(event, Ready | Failure):
                return
            self._end(gate, known)
            if isinstance(event, Ready):
                gate.succeeded()
            elif event.retryable or event.quota:
                gate.failed(self._clock())
            else:
                gate.condemn(self._clock(), event.code, event.text)

        self._tries[gate] = known
        known.session = engine.open("alaw", listen)

    def _end(self, gate: Gate, known: _Try) -> None:
        known.over = True
        self._tries.pop(gate, None)
        if known.session is not None:
            known.session.abort()
