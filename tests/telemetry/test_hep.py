"""HEP3 byte by byte, and back through a reader of its own."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media.rtcp import Reporter
from gateway.media.stats import StreamStats
from gateway.telemetry import rtcp_json
from gateway.telemetry.hep import LONGEST, Captured, Kind, encode
from tests.peers.hep import decode


def test_a_sip_message_byte_by_byte() -> None:
    captured = Captured(
        Kind.SIP, b"OPTIONS", 1_700_000_000.25, ("192.0.2.1", 5060), ("192.0.2.10", 5080), "udp", correlation="a@b"
    )
    assert encode(captured, 2001, "pw").hex(" ") == (
        "48 45 50 33 00 7b "  # HEP3, 123 bytes
        "00 00 00 01 00 07 02 "  # AF_INET
        "00 00 00 02 00 07 11 "  # UDP
        "00 00 00 03 00 0a c0 00 02 01 "
        "00 00 00 04 00 0a c0 00 02 0a "
        "00 00 00 07 00 08 13 c4 "
        "00 00 00 08 00 08 13 d8 "
        "00 00 00 09 00 0a 65 53 f1 00 "  # 2023-11-14 22:13:20
        "00 00 00 0a 00 0a 00 03 d0 90 "  # 250000 µs
        "00 00 00 0b 00 07 01 "
        "00 00 00 0c 00 0a 00 00 07 d1 "
        "00 00 00 0e 00 08 70 77 "
        "00 00 00 11 00 09 61 40 62 "
        "00 00 00 0f 00 0d 4f 50 54 49 4f 4e 53"
    )


def test_version_6_and_a_pair_of_both_versions() -> None:
    six = decode(encode(Captured(Kind.SIP, b"x", 0.0, ("2001:db8::1", 1), ("2001:db8::2", 2), "tls"), 1))
    assert (six["family"], six["protocol"], six["source"], six["target"]) == (10, 6, "2001:db8::1", "2001:db8::2")
    mixed = decode(encode(Captured(Kind.SIP, b"x", 0.0, ("192.0.2.1", 1), ("2001:db8::2", 2)), 1))
    assert (mixed["family"], mixed["source"], mixed["target"]) == (10, "::ffff:192.0.2.1", "2001:db8::2")
    with pytest.raises(ValueError, match=r"pbx\.example"):
        encode(Captured(Kind.SIP, b"x", 0.0, ("pbx.example", 1), ("192.0.2.1", 2)), 1)


@given(
    st.binary(max_size=70_000),
    st.integers(0, 2**32 * 1_000_000 - 1),
    st.ip_addresses(v=4),
    st.integers(0, 65535),
    st.sampled_from(list(Kind)),
    st.text(st.characters(codec="ascii"), max_size=40),
)
def test_what_goes_in_comes_out(payload: bytes, micros: int, end: object, port: int, kind: Kind, key: str) -> None:
    captured = Captured(kind, payload, micros / 1_000_000, (str(end), port), ("127.0.0.1", 9), correlation=key)
    packet = encode(captured, 7, key)
    found = decode(packet)
    assert len(packet) <= LONGEST
    assert found["payload"] == payload[: len(found["payload"])]
    assert len(found["payload"]) == len(payload) or len(packet) == LONGEST
    assert (found["source"], found["source_port"], found["kind"]) == (str(end), port, kind)
    assert abs(found["seconds"] * 1_000_000 + found["microseconds"] - micros) <= 1
    assert (found.get("password", b""), found.get("correlation", b"")) == (key.encode(), key.encode())


def test_a_sender_report_in_the_words_of_homer() -> None:
    blocks = struct.pack("!IIIIII", 9, 25 << 24 | 0xFFFFFE, 70_000, 12, 3, 4)
    report = struct.pack("!BBHIIIIII", 0x81, 200, 12, 7, 100, 200, 160, 10, 1600) + blocks
    names = struct.pack("!BBHIBB", 0x81, 202, 2, 7, 1, 2) + b"me"
    assert rtcp_json.fields(report + names) == {
        "type": 200,
        "ssrc": 7,
        "report_count": 1,
        "sender_information": {
            "ntp_timestamp_sec": 100, "ntp_timestamp_usec": 200, "rtp_timestamp": 160, "packets": 10, "octets": 1600,
        },
        "report_blocks": [
            {
                "source_ssrc": 9, "fraction_lost": 25, "packets_lost": -2, "highest_seq_no": 70_000, "ia_jitter": 12,
                "lsr": 3, "dlsr": 4,
            }
        ],
        "sdes_ssrc": 7,
        "sdes_report_count": 1,
        "sdes_information": [{"type": 1, "text": "me"}],
    }  # fmt: skip


def test_our_own_reports_are_read() -> None:
    stats = StreamStats(10, 2, 0, 0, 0, 0, 0, 1600, 0, 0, 3.0, 1, ssrc=5, highest=11)
    found = rtcp_json.fields(Reporter(3, "nobody", 0.0).report(stats, 1.0, 0.5))
    assert found is not None
    assert (found["type"], found["ssrc"], found["sdes_information"]) == (201, 3, [{"type": 1, "text": "nobody"}])
    (block,) = found["report_blocks"]
    assert (block["source_ssrc"], block["packets_lost"], block["highest_seq_no"]) == (5, 2, 11)


@given(st.binary(max_size=200))
def test_any_packet_is_read_or_passed_over(packet: bytes) -> None:
    for candidate in (packet, b"\x81\xc8" + packet, b"\x82\xc9\0\x0d" + packet, b"\x81\xca" + packet):
        found = rtcp_json.fields(candidate)
        if found is not None:
            assert json.loads(json.dumps(found)) == found
            assert found.keys() & {"ssrc", "sdes_ssrc"}
            assert len(found.get("report_blocks", [])) == found.get("report_count", 0) <= len(candidate) // 24
            assert all(0 < item["type"] < 8 for item in found.get("sdes_information", []))
