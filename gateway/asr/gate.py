"""Whether a session may be started at an endpoint now: a circuit breaker and a start rate, shared by all its legs.

Pure; time comes in as an argument (seconds on any steady clock). When an endpoint fails, its breaker opens: one leg at
a time tries it now and then, the others wait. Once a try succeeds they follow, no faster than the start rate.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum

# So many failures in a row, of whatever legs, mean that the endpoint and not a session is ill.
FAILURES_TO_OPEN = 5
# A try that is still without an answer after so long does not keep others from trying (seconds).
TRY_SECONDS = 10.0
# After a refusal for good, one leg tries again so much later (seconds): the account may have been put right.
CONDEMNED_SECONDS = 30.0
# The longest that an endpoint may ask its clients to wait (seconds).
LONGEST_WAIT = 300.0
# Share of the start rate that is used: connections that were started evenly arrive unevenly.
HEADROOM = 0.9


class Breaker(Enum):
    """What is known about the endpoint."""

    CLOSED = "closed"
    """It works, as far as is known."""
    OPEN = "open"
    """It fails; nobody tries before a time."""
    TRYING = "trying"
    """One leg tries it."""


class Gate:
    """One endpoint.

    Args:
        starts_per_second: Sessions that may be started in a second; None for any number.
        probe_seconds: While the endpoint fails, the longest time between two tries.
        uniform: Random numbers, as ``random.uniform``.

    Attributes:
        state: The breaker's.
        starts: Sessions started so far.
        opened: How often the breaker opened.
        verdict: While everybody would be refused for the same reason (a wrong token): its code and text.
        counts: Whether what it says it processed is to be believed; see ``Account.short``.
    """

    def __init__(
        self,
        *,
        starts_per_second: float | None = None,
        probe_seconds: float = 2.0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.counts = True
        self._interval = 1 / (starts_per_second * HEADROOM) if starts_per_second else 0.0
        self._probe = probe_seconds
        self._uniform = uniform
        self._next_start = float("-inf")
        self._until = 0.0
        self._failures = 0
        self._periods = 0  # that the breaker has been open, one after the other
        self.state = Breaker.CLOSED
        self.starts = 0
        self.opened = 0
        self.verdict: tuple[str, str] | None = None

    def ask(self, now: float) -> float:
        """Asks whether a session may be started.

        Returns:
            0.0 when it may: the start is booked, and ``succeeded``, ``failed`` or ``cancelled`` must follow. Otherwise
            the seconds after which to ask again.
        """
        if self.state is not Breaker.CLOSED:
            if now < self._until:
                # spread over a while, so that those who wait do not all ask at once
                return self._until - now + self._uniform(0.05, 0.5)
            self.state, self.verdict = Breaker.TRYING, None
            self._until = now + TRY_SECONDS
        elif now < self._next_start:
            return max(self._next_start - now, self._uniform(0.0, 0.25))
        self._next_start = now + self._interval
        self.starts += 1
        return 0.0

    def succeeded(self) -> None:
        """A session was opened and its configuration taken."""
        self.state = Breaker.CLOSED
        self.verdict = None
        self._failures = self._periods = 0

    def failed(self, now: float) -> None:
        """A session could not be opened, or was lost for a reason that may pass."""
        self._failures += 1
        if self.state is Breaker.TRYING or (self.state is Breaker.CLOSED and self._failures >= FAILURES_TO_OPEN):
            self.opened += self.state is Breaker.CLOSED
            self._open(now)

    def throttled(self, now: float, seconds: float | None) -> None:
        """The endpoint answered that there are too many sessions: it works, and may say how long nobody is to come."""
        self.succeeded()
        self.hold(now, seconds)

    def hold(self, now: float, seconds: float | None) -> None:
        """The endpoint asked that nobody come for so long (``Retry-After``)."""
        if seconds is not None:
            self._next_start = max(self._next_start, now + min(seconds, LONGEST_WAIT))

    def condemn(self, now: float, code: str, text: str) -> None:
        """The endpoint refused for a reason that only a person can change; nobody need ask for a while."""
        self.opened += self.state is Breaker.CLOSED
        self.state, self._until, self.verdict = Breaker.OPEN, now + CONDEMNED_SECONDS, (code, text)

    def cancelled(self) -> None:
        """The result of a start is not awaited: another leg may try."""
        if self.state is Breaker.TRYING:
            self.state, self._until = Breaker.OPEN, float("-inf")

    def wait(self, now: float) -> float:
        """Returns the seconds for which the breaker keeps everybody from trying; 0.0 where it does not."""
        return 0.0 if self.state is Breaker.CLOSED else max(0.0, self._until - now)

    def _open(self, now: float) -> None:
        self.state = Breaker.OPEN
        longest = min(self._probe, 0.25 * 2**self._periods)
        self._periods = min(self._periods + 1, 16)
        self._until = now + self._uniform(longest / 2, longest)
