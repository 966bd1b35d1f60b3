"""RTCP as the JSON that Homer reads: the field names are those of its capture agents."""

from __future__ import annotations

import struct
from typing import Any

_SR, _RR, _SDES = 200, 201, 202
_TEXTS = range(1, 8)  # SDES items of RFC 3550, section 6.5; what PRIV (8) holds is nobody's business


def fields(packet: bytes) -> dict[str, Any] | None:
    """Reads a compound packet (RFC 3550, section 6).

    Returns:
        Its first report and its source descriptions; None where it holds neither, or contradicts itself.
    """
    found: dict[str, Any] = {}
    at = 0
    while at + 4 <= len(packet):
        first, kind, words = struct.unpack_from("!BBH", packet, at)
        body = packet[at + 4 : at + 4 * (words + 1)]
        if first >> 6 != 2 or len(body) != 4 * words:
            return None
        count = first & 0x1F
        if kind in (_SR, _RR) and "type" not in found:
            report = _report(kind, count, body)
            if report is None:
                return None
            found |= report
        elif kind == _SDES and "sdes_ssrc" not in found and len(body) >= 4:
            items = _items(body)
            found |= {
                "sdes_ssrc": int.from_bytes(body[:4], "big"),
                "sdes_report_count": count,
                "sdes_information": items,
            }
        at += 4 + len(body)
    return found or None


def _report(kind: int, count: int, body: bytes) -> dict[str, Any] | None:
    sender = 20 if kind == _SR else 0
    if len(body) < 4 + sender + 24 * count:
        return None
    found: dict[str, Any] = {"type": kind, "ssrc": int.from_bytes(body[:4], "big"), "report_count": count}
    if kind == _SR:
        names = ("ntp_timestamp_sec", "ntp_timestamp_usec", "rtp_timestamp", "packets", "octets")
        found["sender_information"] = dict(zip(names, struct.unpack_from("!IIIII", body, 4), strict=True))
    found["report_blocks"] = [_block(body[at : at + 24]) for at in range(4 + sender, 4 + sender + 24 * count, 24)]
    return found


def _block(block: bytes) -> dict[str, int]:
    source, lost, highest, jitter, lsr, dlsr = struct.unpack("!IIIIII", block)
    total = lost & 0xFFFFFF
    return {
        "source_ssrc": source,
        "fraction_lost": lost >> 24,
        "packets_lost": total - (total >> 23 << 24),  # signed: duplicates can make it negative
        "highest_seq_no": highest,
        "ia_jitter": jitter,
        "lsr": lsr,
        "dlsr": dlsr,
    }


def _items(body: bytes) -> list[dict[str, Any]]:
    """Reads the items of the first chunk."""
    items, at = [], 4
    while at + 2 <= len(body) and body[at]:
        kind, length = body[at], body[at + 1]
        if kind in _TEXTS:
            items.append({"type": kind, "text": body[at + 2 : at + 2 + length].decode("utf-8", "replace")})
        at += 2 + length
    return items
