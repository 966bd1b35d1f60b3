"""Reads HEP3 as its specification says, apart from the gateway's encoder, and collects what is exported."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

NAMES = {
    1: "family", 2: "protocol", 3: "source", 4: "target", 5: "source", 6: "target", 7: "source_port", 8: "target_port",
    9: "seconds", 10: "microseconds", 11: "kind", 12: "capture_id", 14: "password", 15: "payload", 17: "correlation",
}  # fmt: skip
WIDTHS = {1: 1, 2: 1, 3: 4, 4: 4, 5: 16, 6: 16, 7: 2, 8: 2, 9: 4, 10: 4, 11: 1, 12: 4}


def decode(packet: bytes) -> dict[str, Any]:
    """Returns the chunks of a packet by name."""
    assert packet[:4] == b"HEP3"
    assert struct.unpack_from("!H", packet, 4)[0] == len(packet)
    found: dict[str, Any] = {}
    at = 6
    while at < len(packet):
        vendor, number, length = struct.unpack_from("!HHH", packet, at)
        value = packet[at + 6 : at + length]
        assert vendor == 0
        assert length == 6 + len(value)
        assert WIDTHS.get(number, len(value)) == len(value)
        assert NAMES[number] not in found, "twice"
        if number in (3, 4):
            found[NAMES[number]] = socket.inet_ntop(socket.AF_INET, value)
        elif number in (5, 6):
            found[NAMES[number]] = socket.inet_ntop(socket.AF_INET6, value)
        else:
            found[NAMES[number]] = int.from_bytes(value, "big") if number in WIDTHS else value
        at += length
    return found


def split(stream: bytes) -> list[bytes]:
    """Returns the packets in a TCP stream."""
    packets = []
    while stream:
        length = struct.unpack_from("!H", stream, 4)[0]
        packets.append(stream[:length])
        stream = stream[length:]
    return packets


@dataclass
class Collector:
    """Takes HEP3.

    Attributes:
        port: Where.
        packets: Decoded.
    """

    port: int = 0
    packets: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: int) -> list[dict[str, Any]]:
        return [packet for packet in self.packets if packet["kind"] == kind]

    async def until(self, count: int, kind: int | None = None) -> list[dict[str, Any]]:
        """Waits until there are so many packets of a kind."""
        async with asyncio.timeout(30):
            while len(found := self.packets if kind is None else self.of(kind)) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return found


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, collector: Collector) -> None:
        self.collector = collector

    def datagram_received(self, data: bytes, _address: Any) -> None:
        self.collector.packets.append(decode(data))


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """A collector on UDP."""
    made = Collector()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(made), local_addr=("127.0.0.1", 0)
    )
    made.port = transport.get_extra_info("sockname")[1]
    yield made
    transport.close()
