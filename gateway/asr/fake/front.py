"""What the front ends over WebSocket have in common: one connection of a client to the test recogniser."""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from typing import Any

from websockets.http11 import Request

from gateway.asr.fake.core import Core, FakeSession
from gateway.asr.fake.faults import Fault
from gateway.asr.fake.socket import ServerSocket
from gateway.asr.fake.speaker import Speaker


class FrontEnd(ServerSocket):
    """One connection; a protocol is a subclass."""

    def __init__(self, core: Core) -> None:
        super().__init__(core.options.retry_after)
        self._recogniser = core
        self._session: FakeSession | None = None
        self._speaker = Speaker(core.options.latency, core.dice)
        self._fault: Fault | None = None  # of the opening
        self._over = False
        self._idle: asyncio.TimerHandle | None = None

    @abstractmethod
    def admit(self, request: Request) -> int:
        """Looks at a handshake, and begins the session; see ``ServerSocket.request``."""

    @abstractmethod
    def fail(self, fault: Fault) -> None:
        """Makes a fault that each protocol has in a way of its own: an error, a close code, a limit, an early end."""

    def request(self, request: Request) -> int:
        """Checks the start rate, then what the protocol has."""
        return self.admit(request) if self._recogniser.may_start(self._loop.time()) else 429

    def gone(self) -> None:
        """The connection is over."""
        self._end()
        if self._session is not None:
            self._recogniser.ended(self._session)
        if self._idle is not None:
            self._idle.cancel()

    # for the protocols

    def _begin(self, codec: str, protocol: str, details: dict[str, str]) -> FakeSession:
        self._session = self._recogniser.session(codec, protocol, self._loop.time())
        self._session.details = details
        return self._session

    def _accept(self, session: FakeSession) -> int:
        """Returns the answer to a handshake that is right: 101, or the status that a fault refuses it with."""
        self._fault = session.open()
        return int(self._fault.value) if self._fault is not None and self._fault.kind == "refuse" else 101

    def _make(self, fault: Fault) -> None:
        match fault.kind:
            case "drop":
                self._end()
                self.drop()
            case "stall":
                self._speaker.silence()
            case "slow":
                self.slow(float(fault.value))
            case "half-open":
                self._speaker.silence()
                self.freeze()
            case _:
                self.fail(fault)

    def _say(self, message: dict[str, Any]) -> None:
        self._speaker.say(lambda: self.send_text(json.dumps(message)))

    def _say_goodbye(self) -> None:
        self._speaker.say(lambda: self.close(1000))

    def _end(self) -> None:
        """Takes and says nothing any more."""
        self._over = True
        self._speaker.silence()

    def _watch(self) -> None:
        """Ends the session when nothing comes for too long from now on."""
        seconds = self._recogniser.options.idle_seconds
        if seconds is None or self._over:
            return
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._loop.call_later(seconds, self._make, Fault("idle", "", "s", 0, 1))
