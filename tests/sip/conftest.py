from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest
import structlog

from gateway.sip.commands import Accept, Setup
from gateway.sip.events import Established, Incoming, Ready, StackLog
from gateway.sip.link import SignallingLink
from gateway.sip.messages import Message
from tests.peers.sip_peer import SipPeer, sdp

E = TypeVar("E", bound=Message)
RTP_PORT = 20000


class Signalling:
    """A running signalling process, its events kept in order; it accepts what comes in unless told otherwise."""

    def __init__(self, setup: Setup, *, accepts: bool) -> None:
        self.events: list[Message] = []
        self.logged: list[StackLog] = []
        self.lost = 0
        self.accepts = accepts
        self.address = "127.0.0.1"
        self._changed = asyncio.Event()
        self.link = SignallingLink(setup, self._take, structlog.get_logger(), on_lost=self._lose)
        self.ready: Ready
        self.peers: list[SipPeer] = []

    @property
    def port(self) -> int:
        return int(self.ready.listening[0].rpartition(":")[2])

    def peer(self, **options: str) -> SipPeer:
        self.peers.append(SipPeer(self.port, **options))
        return self.peers[-1]

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    async def wait_for(self, kind: type[E], count: int = 1) -> E:
        """Returns the event of a kind that makes it ``count``."""
        async with asyncio.timeout(10):
            while len(self.of(kind)) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.of(kind)[count - 1]

    async def wait_for_log(self, text: str) -> None:
        """Waits until the stack has logged a line with a text."""
        async with asyncio.timeout(10):
            while not any(text in line.text for line in self.logged):
                self._changed.clear()
                await self._changed.wait()

    def _take(self, event: Message) -> None:
        if isinstance(event, StackLog):
            self.logged.append(event)
            self._changed.set()
            return
        self.events.append(event)
        self._changed.set()
        if isinstance(event, Incoming) and self.accepts:
            self.link.send(Accept(event.dialog, self.address, [RTP_PORT + 2 * i for i in range(event.streams)]))

    def _lose(self) -> None:
        self.lost += 1


Start = Callable[..., Awaitable[Signalling]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts signalling processes; all are stopped in the end."""
    running: list[Signalling] = []

    async def begin(*, accepts: bool = True, **changes: object) -> Signalling:
        fields: dict[str, object] = {
            "listen": ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"],
            "advertise": "",
            "peers": [{"name": "here", "networks": changes.pop("networks", ["127.0.0.0/8"])}],
            "max_calls": 4,
            "retry_after": 7,
            "user_agent": "asr-gateway/test",
        }
        signalling = Signalling(Setup(**{**fields, **changes}), accepts=accepts)  # type: ignore[arg-type]
        running.append(signalling)
        signalling.ready = await signalling.link.start()
        return signalling

    yield begin
    for signalling in running:
        await signalling.link.stop()
        for peer in signalling.peers:
            peer.close()


def peers(**fields: object) -> list[dict[str, object]]:
    return [{"name": "pbx", "networks": ["127.0.0.0/8"], **fields}]


async def up(gateway: Signalling, **options: str) -> SipPeer:
    """Has a peer call; returns it once the dialog is confirmed."""
    peer = gateway.peer()
    assert (await peer.invite(sdp(), **options)).code == 200
    await gateway.wait_for(Established, len(gateway.of(Established)) + 1)
    return peer
