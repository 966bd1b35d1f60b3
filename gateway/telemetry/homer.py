"""Sends SIP messages, RTCP and call reports to Homer (or another collector of HEP3), by UDP or TCP.

What waits is bounded; the policy when full is *drop the newest*, which is counted. A collector that is slow, or not
there, costs the calls nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import structlog

from gateway import events
from gateway.sip.events import Wire
from gateway.telemetry import rtcp_json
from gateway.telemetry.hep import Captured, Kind, encode
from gateway.telemetry.settings import Homer

log = structlog.get_logger()

BOUND = 5000
"""Packets that wait."""
TURN = 100
"""Packets sent before others have their turn on the event loop."""
CONNECT_SECONDS, DRAIN_SECONDS, FLUSH_SECONDS = 5.0, 10.0, 1.0
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
WRITE_BOUND = 1 << 18
"""Bytes in a TCP connection's buffer beyond which it is waited for."""


class HomerExport:
    """The way to one collector.

    Args:
        settings: Where it is, and what it gets.
        host: Our address in what has none of its own (reports).
        count: Told the result of each packet: ``sent``, ``queue_full``, ``failed`` or ``signalling_behind``.

    Attributes:
        listening: Where SIP is listened for, as ``udp:0.0.0.0:5060``.
    """

    def __init__(self, settings: Homer, host: str, count: Callable[[str], None]) -> None:
        self._settings = settings
        self._host = host
        self._count = count
        self._password = settings.password.get_secret_value()
        self._queue: deque[bytes] = deque()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.listening: list[str] = []

    def start(self) -> None:
        """Sends from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Sends what waits, for a second at most."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                while self._queue:
                    self._emptied.clear()
                    await self._emptied.wait()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    # what is exported

    def sip(self, wire: Wire) -> None:
        """Takes a SIP message."""
        for _ in range(wire.dropped):
            self._count("signalling_behind")
        if "sip" not in self._settings.export:
            return
        remote = _parted(wire.remote)
        ours = self._ours(wire.transport, remote[0])
        source, target = (remote, ours) if wire.received else (ours, remote)
        self._put(Captured(Kind.SIP, wire.text.encode(), wire.at, source, target, wire.transport))

    def rtcp(self, packet: bytes, call_id: str, at: float, source: tuple[str, int], target: tuple[str, int]) -> None:
        """Takes an RTCP packet of a dialog, decrypted.

        Args:
            packet: The compound packet.
            call_id: The dialog's Call-ID.
            at: When it came or went, seconds since 1970.
            source: Where it came from.
            target: Where it went.
        """
        if "rtcp" in self._settings.export and (found := rtcp_json.fields(packet)) is not None:
            self._put(Captured(Kind.RTCP, json.dumps(found).encode(), at, source, target, correlation=call_id))

    def report(self, event: events.Event) -> None:
        """Takes an event; the end of a call makes a report of each of its legs, without words and numbers."""
        if "reports" not in self._settings.export:
            return
        data = event.data
        if isinstance(data, events.CallEnded):
            common: dict[str, Any] = {"reason": data.reason, "seconds": data.seconds}
            legs = {leg.leg: leg.model_dump(mode="json") for leg in data.quality}
        elif isinstance(data, events.TranscriptCompleted):
            common = {"complete": data.complete}
            legs = {leg.leg: leg.model_dump(mode="json", exclude={"seconds"}) for leg in data.legs}
        else:
            return
        here = (self._host, 0)
        for dialog in event.call.dialogs:
            if dialog.leg in legs:
                told = {"event": event.type, "call": event.call.id, **common, **legs[dialog.leg]}
                at = event.time.timestamp()
                body = json.dumps(told).encode()
                self._put(Captured(Kind.LOG, body, at, here, here, correlation=dialog.call_id))

    # inside

    def _put(self, captured: Captured) -> None:
        if len(self._queue) >= BOUND:
            self._count("queue_full")
            return
        try:
            packet = encode(captured, self._settings.capture_id, self._password)
        except ValueError:  # a peer that gives a name for its address
            self._count("failed")
            return
        self._queue.append(packet)
        self._filled.set()

    def _ours(self, transport: str, remote: str) -> tuple[str, int]:
        """Returns the address at which messages of a transport come in from a far end."""
        bound = [_parted(item.partition(":")[2]) for item in self.listening if item.startswith(f"{transport}:")]
        version = ip_address(remote).version
        host, port = next((item for item in bound if ip_address(item[0]).version == version), (self._host, 0))
        return (_towards(remote) if ip_address(host).is_unspecified else host), port

    async def _run(self) -> None:
        transport, _, where = self._settings.address.partition(":")
        host, port = _parted(where)
        wait, told = FIRST_WAIT, False
        while True:
            began = time.monotonic()
            try:
                await (self._by_tcp(host, port) if transport == "tcp" else self._by_udp(host, port))
            except OSError as error:  # TimeoutError is one
                if not told:
                    told = True
                    log.warning("homer_unreachable", address=self._settings.address, text=str(error))
            if time.monotonic() - began > LONGEST_WAIT:
                wait, told = FIRST_WAIT, False
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    async def _next(self, ended: asyncio.Future[bytes] | None = None) -> bytes:
        """Waits for a packet.

        Raises:
            ConnectionError: The collector ended the connection.
        """
        while True:
            if ended is not None and ended.done():
                raise ConnectionError("the collector ended the connection")
            if self._queue:
                return self._queue.popleft()
            self._emptied.set()
            self._filled.clear()
            await self._filled.wait()

    async def _by_udp(self, host: str, port: int) -> None:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        family, kind, number, _, address = found[0]
        with socket.socket(family, kind, number) as out:
            out.setblocking(False)
            out.connect(address)
            turn = 0
            while True:
                packet = await self._next()
                try:
                    out.send(packet)
                except OSError as error:
                    self._count("failed")
                    if error.errno not in (errno.EAGAIN, errno.EMSGSIZE):
                        raise
                else:
                    self._count("sent")
                turn += 1
                if turn % TURN == 0:
                    await asyncio.sleep(0)

    async def _by_tcp(self, host: str, port: int) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
        # a collector says nothing; that it ends the connection shows here
        ended = asyncio.ensure_future(reader.read(1))
        ended.add_done_callback(lambda _: self._filled.set())
        try:
            while True:
                writer.write(await self._next(ended))
                self._count("sent")
                if writer.transport.get_write_buffer_size() > WRITE_BOUND:
                    async with asyncio.timeout(DRAIN_SECONDS):
                        await writer.drain()
        finally:
            ended.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await ended
            writer.close()


def _parted(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


@lru_cache(maxsize=1024)
def _towards(remote: str) -> str:
    """Returns the address of ours from which packets to a far end go."""
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((remote, 9))
        except OSError:
            return "::" if family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104 (nothing listens)
        return str(probe.getsockname()[0])
