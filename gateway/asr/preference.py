"""Which engine a leg asks next, and when: its list of engines in order of preference. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.asr.engine import Engine
from gateway.asr.gate import Breaker
from gateway.asr.settings import Asr


class Preference:
    """Begins with the first engine whose breaker is not open; the first of all where all are.

    Args:
        engines: In order of preference.
        settings: Waits, and when to turn to the next engine.
        now: The time.
        uniform: Random numbers, as ``random.uniform``.
    """

    def __init__(
        self, engines: Sequence[Engine], settings: Asr, now: float, uniform: Callable[[float, float], float]
    ) -> None:
        self._engines = engines
        self._settings = settings
        self._uniform = uniform
        self._refused: set[int] = set()  # engines that refused this leg for good
        self._attempts = 0
        self._outage: float | None = None  # since when there is no session
        self._index = next((index for index, engine in enumerate(engines) if engine.gate.wait(now) == 0.0), 0)

    @property
    def engine(self) -> Engine:
        """The engine to ask."""
        return self._engines[self._index]

    @property
    def exhausted(self) -> bool:
        """Whether all engines refused for good."""
        return len(self._refused) == len(self._engines)

    def answered(self) -> None:
        """A session said something: the next wait is a short one again."""
        self._attempts = 0  # some engines are ready before they have looked at anything

    def opened(self) -> None:
        """There is a session."""
        self._outage = None

    def lost(self, now: float) -> None:
        """There is none, from now on at the latest."""
        if self._outage is None:
            self._outage = now

    def refused(self) -> None:
        """The engine refused this leg for good."""
        self._refused.add(self._index)

    def turn(self, now: float, *, at_once: bool = False, untried: bool = False) -> bool:
        """Turns to the next engine, where there is one and it is time.

        Args:
            now: The time.
            at_once: The engine refused, for good or for a while.
            untried: No session got anything yet: an engine that is known to fail is not waited for.

        Returns:
            Whether ``engine`` is another one now.
        """
        others = [index for index in range(len(self._engines)) if index not in self._refused and index != self._index]
        since = self._outage if self._outage is not None else now
        fresh = untried and self.engine.gate.state is not Breaker.CLOSED
        if not others or not (at_once or fresh or now - since >= self._settings.failover_seconds):
            return False
        open_now = [index for index in others if self._engines[index].gate.wait(now) == 0.0]
        if not open_now and not at_once:
            return False
        after = [index for index in open_now or others if index > self._index]
        self._index = (after or open_now or others)[0]
        self._attempts = 0
        self._outage = now
        return True

    def back_off(self) -> float:
        """Returns a wait with full jitter, so that the legs of a lost server do not come back all at once."""
        ceiling = min(self._settings.retry_max_seconds, self._settings.retry_first_seconds * 2**self._attempts)
        self._attempts = min(self._attempts + 1, 16)
        return self._uniform(0, ceiling)
