"""What the outbox' file needs besides writing: old events removed, replays that a person asked for taken up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.delivery.store import Store

SWEEP_SECONDS: Final = 60.0
SWEEP_ROWS: Final = 500
REPLAY_SECONDS: Final = 1.0
REPLAY_ROWS: Final = 1000


@dataclass(slots=True)
class Done:
    """What one round did.

    Attributes:
        evicted: Events removed for want of room while somebody still waited for them.
        replayed: Number, call and endpoint of each delivery that is to be made again.
    """

    evicted: int = 0
    replayed: list[tuple[int, str, str]] = field(default_factory=list)


class Upkeep:
    """The rounds; each does a little, so that it never holds up a commit for long.

    Args:
        keep_seconds: How long an event is kept, once no endpoint waits for it.
        keep_bytes: How much the file may hold; beyond it the oldest events go, whether or not somebody waits for them.
        clock: Seconds since the epoch.

    Attributes:
        endpoints: Names of the endpoints that events are kept for.
    """

    def __init__(self, keep_seconds: float, keep_bytes: int, clock: Callable[[], float]) -> None:
        self.endpoints: tuple[str, ...] = ()
        self._keep_seconds = keep_seconds
        self._keep_bytes = keep_bytes
        self._clock = clock
        self._sweep_at = self._replay_at = float("-inf")
        self._version = -1

    @property
    def due(self) -> float:
        """When the next round is, on the clock that ``run`` is given."""
        return min(self._sweep_at, self._replay_at)

    def run(self, store: Store, now: float) -> Done:
        """Does what is due.

        Args:
            store: The open file.
            now: Seconds, on any steady clock.

        Raises:
            sqlite3.Error: The file cannot be written.
        """
        done = Done()
        if now >= self._sweep_at:
            more = self._sweep(store, done)
            self._sweep_at = now + (0 if more else SWEEP_SECONDS)
        if now >= self._replay_at:
            self._replay(store, done)
            self._replay_at = now + REPLAY_SECONDS
        return done

    def _sweep(self, store: Store, done: Done) -> bool:
        """Removes some of what need not be kept; returns whether there may be more."""
        if store.sweep(self._clock() - self._keep_seconds, self.endpoints, SWEEP_ROWS) == SWEEP_ROWS:
            return True
        if store.used() <= self._keep_bytes:
            return False
        # too large: what is delivered goes first, then the oldest of what waits
        if not store.sweep(self._clock(), self.endpoints, SWEEP_ROWS):
            done.evicted = store.evict(SWEEP_ROWS)
        return True

    def _replay(self, store: Store, done: Done) -> None:
        """Takes up what a person asked to be sent again, where somebody else has written to the file since."""
        version = store.changed_elsewhere()
        if version == self._version:
            return
        done.replayed = store.take_replays(self.endpoints, REPLAY_ROWS)
        # more may wait than was taken: look again at the next round
        self._version = -1 if len(done.replayed) == REPLAY_ROWS else version
