"""What a leg's observer is told of losses: that there is no session, that there is one again, what is missing. Pure."""

from __future__ import annotations

from gateway.asr.account import Account
from gateway.asr.engine import Failure
from gateway.asr.observer import Observer
from gateway.asr.replay import ReplayBuffer


class Outage:
    """Tells each loss once.

    Args:
        observer: Who is told.
        buffer: The leg's audio, which knows what was given up.
        account: Told the same.

    Attributes:
        told: Samples given up that were told; compared with ``buffer.given_up`` it says whether there is more to tell.
    """

    def __init__(self, observer: Observer, buffer: ReplayBuffer, account: Account) -> None:
        self._observer = observer
        self._buffer = buffer
        self._account = account
        self._lasts = False
        self._given_up_before = 0
        self.told = 0

    def begin(self, failure: Failure, engine: str) -> None:
        """There is no session, and another is tried for."""
        if not self._lasts:
            self._lasts = True
            self._given_up_before = self._buffer.given_up
            self._observer.asr_degraded(failure, engine=engine, retrying=True)

    def end(self, engine: str) -> None:
        """There is a session."""
        if self._lasts:
            self._lasts = False
            self.tell()
            self._observer.asr_recovered(engine, self._buffer.given_up - self._given_up_before)

    def tell(self) -> None:
        """Names the audio that was given up since this was last asked."""
        if self._buffer.given_up != self.told:
            self.told = self._buffer.given_up
            for first, end in self._buffer.lost():
                self._account.lost(first, end, self._buffer.high)
                self._observer.asr_unrecognised(first, end)
