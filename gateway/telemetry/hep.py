"""HEP3, the Homer Encapsulation Protocol: one captured message a packet. Pure.

A packet is ``HEP3``, its length, and chunks: vendor (0, the generic one), type, length with these six bytes, value. All
numbers are in network byte order. By "HEP3 Network Protocol Specification", revision 36 (sipcapture/HEP).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address, ip_address

LONGEST = 65535
"""Bytes in a packet: its length has 16 bits. A longer message is cut."""
_AF_INET, _AF_INET6 = 2, 10
_IP_PROTOCOLS = {"udp": 17, "tcp": 6, "tls": 6}


class Kind(IntEnum):
    """What a packet carries (chunk 0x000b)."""

    SIP = 1
    RTCP = 5
    """As JSON."""
    LOG = 100
    """Any text; here JSON."""


@dataclass(frozen=True, slots=True)
class Captured:
    """A message to encapsulate.

    Attributes:
        kind: What it is.
        payload: The message.
        at: When it was seen, seconds since 1970.
        source: Address and port that it came from.
        target: Address and port that it went to.
        transport: ``udp``, ``tcp`` or ``tls``.
        correlation: The Call-ID that it belongs to; empty where the message says so itself.
    """

    kind: Kind
    payload: bytes
    at: float
    source: tuple[str, int]
    target: tuple[str, int]
    transport: str = "udp"
    correlation: str = ""


def encode(captured: Captured, capture_id: int, password: str = "") -> bytes:
    """Returns the packet.

    Args:
        captured: The message.
        capture_id: By which Homer knows who captured it.
        password: What Homer wants to see; empty for nothing.

    Raises:
        ValueError: An address is not numeric.
    """
    source, target = ip_address(captured.source[0]), ip_address(captured.target[0])
    version_6 = 6 in (source.version, target.version)  # there is one family for both
    ends = [IPv6Address(f"::ffff:{end}") if version_6 and end.version == 4 else end for end in (source, target)]
    seconds, microseconds = divmod(round(captured.at * 1_000_000), 1_000_000)
    chunks = [
        (0x01, struct.pack("!B", _AF_INET6 if version_6 else _AF_INET)),
        (0x02, struct.pack("!B", _IP_PROTOCOLS[captured.transport])),
        (0x05 if version_6 else 0x03, ends[0].packed),
        (0x06 if version_6 else 0x04, ends[1].packed),
        (0x07, struct.pack("!H", captured.source[1])),
        (0x08, struct.pack("!H", captured.target[1])),
        (0x09, struct.pack("!I", seconds)),
        (0x0A, struct.pack("!I", microseconds)),
        (0x0B, struct.pack("!B", captured.kind)),
        (0x0C, struct.pack("!I", capture_id)),
    ]
    if password:
        chunks.append((0x0E, password.encode()))
    if captured.correlation:
        chunks.append((0x11, captured.correlation.encode()))
    head = b"".join(_chunk(number, value) for number, value in chunks)
    body = _chunk(0x0F, captured.payload[: LONGEST - 6 - len(head) - 6])
    return b"HEP3" + struct.pack("!H", 6 + len(head) + len(body)) + head + body


def _chunk(number: int, value: bytes) -> bytes:
    return struct.pack("!HHH", 0, number, 6 + len(value)) + value
