"""RTCP (RFC 3550, section 6): what the peer reports, and the receiver reports that it gets from us."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from gateway.media.stats import StreamStats

INTERVAL = 5.0
"""Seconds between reports on average (RFC 3550, section 6.2); each wait is drawn from half to one and a half of it."""

_SR, _RR, _SDES, _BYE = 200, 201, 202, 203
_CNAME = 1
_NTP_TO_UNIX = 2_208_988_800  # seconds from 1900 to 1970


class RtcpError(ValueError):
    """The packet is not RTCP; the text says why."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    """A sender's statement of what time it is on its RTP clock.

    Attributes:
        ssrc: Of the stream.
        ntp: The middle 32 bits of the NTP time, as receiver reports cite it.
        wall_ns: The same time in nanoseconds since 1970 by the sender's clock; 0 when the sender does not know it.
        timestamp: The RTP timestamp of that time.
        packets: Sent so far.
    """

    ssrc: int
    ntp: int
    wall_ns: int
    timestamp: int
    packets: int


@dataclass(frozen=True, slots=True)
class Compound:
    """What a compound packet says.

    Attributes:
        reports: Sender reports.
        cname: The first CNAME; empty for none.
        bye: SSRCs that leave.
    """

    reports: tuple[SenderReport, ...]
    cname: str
    bye: tuple[int, ...]


def parse(packet: bytes) -> Compound:
    """Reads a compound packet, or a single one (RFC 5506); packets of other types are passed over.

    Raises:
        RtcpError: It contradicts itself.
    """
    reports: list[SenderReport] = []
    bye: list[int] = []
    cname = ""
    at = 0
    while at < len(packet):
        if len(packet) - at < 4:
            raise RtcpError(f"{len(packet) - at} bytes are left, which is no header")
        first, kind, words = struct.unpack_from("!BBH", packet, at)
        body = packet[at + 4 : at + 4 * (words + 1)]
        if first >> 6 != 2:
            raise RtcpError(f"version {first >> 6} at byte {at}")
        if len(body) != 4 * words:
            raise RtcpError(f"the packet at byte {at} says {4 * words} bytes, {len(body)} are there")
        if kind == _SR:
            reports.append(_sender_report(body))
        elif kind == _SDES:
            cname = cname or _cname(body)
        elif kind == _BYE:
            count = first & 0x1F
            if len(body) < 4 * count:
                raise RtcpError(f"a BYE of {count} sources in {len(body)} bytes")
            bye += struct.unpack_from(f"!{count}I", body)
        at += 4 + len(body)
    return Compound(tuple(reports), cname, tuple(bye))


def _sender_report(body: bytes) -> SenderReport:
    if len(body) < 24:
        raise RtcpError(f"a sender report of {len(body)} bytes")
    ssrc, seconds, fraction, timestamp, packets = struct.unpack_from("!IIIII", body)
    wall_ns = (seconds - _NTP_TO_UNIX) * 1_000_000_000 + (fraction * 1_000_000_000 >> 32)
    middle = (seconds & 0xFFFF) << 16 | fraction >> 16
    return SenderReport(ssrc, middle, wall_ns if seconds else 0, timestamp, packets)


def _cname(body: bytes) -> str:
    at = 4
    while at + 2 <= len(body) and body[at]:
        kind, length = body[at], body[at + 1]
        if kind == _CNAME:
            return body[at + 2 : at + 2 + length].decode("utf-8", "replace")
        at += 2 + length
    return ""


class Reporter:
    """Writes the receiver reports of one leg; pure, time comes in as an argument.

    Args:
        ssrc: Our own.
        cname: Our own (RFC 7022: nothing that tells who we are).
        now: Monotonic seconds; the first report follows half an interval later.

    Attributes:
        due: When the next report is due, monotonic seconds.
    """

    def __init__(self, ssrc: int, cname: str, now: float) -> None:
        self._ssrc = ssrc
        self._cname = cname.encode()[:255]
        self.due = now + INTERVAL / 2
        self._before: StreamStats | None = None
        self._heard: tuple[int, int] | None = None

    def heard(self, report: SenderReport, arrived: int) -> None:
        """Takes note of a sender report, which the next of ours cites.

        Args:
            report: The report.
            arrived: When it came, monotonic nanoseconds.
        """
        self._heard = report.ntp, arrived

    def report(self, stats: StreamStats, now: float, jitter: float) -> bytes:
        """Writes a receiver report with CNAME.

        Args:
            stats: The leg's counters.
            now: Monotonic seconds.
            jitter: 0 to 1; spreads the reports of many legs.
        """
        self.due = now + INTERVAL * (0.5 + jitter)
        blocks = b"" if stats.highest < 0 else self._block(stats, now)
        head = struct.pack("!BBHI", 0x80 | len(blocks) // 24, _RR, 1 + len(blocks) // 4, self._ssrc)
        chunk = struct.pack("!IBB", self._ssrc, _CNAME, len(self._cname)) + self._cname
        chunk += bytes(4 - len(chunk) % 4)
        return head + blocks + struct.pack("!BBH", 0x81, _SDES, len(chunk) // 4) + chunk

    def _block(self, stats: StreamStats, now: float) -> bytes:
        before = self._before if self._before is not None and self._before.ssrc == stats.ssrc else None
        came, lost = stats.packets, stats.lost
        if before is not None:
            came, lost = came - before.packets, lost - before.lost
        expected = came + lost
        fraction = min(255, 256 * lost // expected) if lost > 0 and expected > 0 else 0
        self._before = stats
        cited, delay = 0, 0
        if self._heard is not None:
            cited = self._heard[0]
            delay = max(0, int((now - self._heard[1] / 1e9) * 65536))
        total = max(-0x800000, min(0x7FFFFF, stats.lost)) & 0xFFFFFF
        return struct.pack(
            "!IIIIII",
            stats.ssrc,
            fraction << 24 | total,
            stats.highest & 0xFFFFFFFF,
            min(int(stats.jitter), 0xFFFFFFFF),
            cited,
            min(delay, 0xFFFFFFFF),
        )
