"""RTCP: what is read of it, and the reports that go back."""

from __future__ import annotations

import re
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media.rtcp import Compound, Reporter, RtcpError, SenderReport, parse
from gateway.media.stats import StreamStats

NTP = 3_900_000_000  # 2023-08-03
SR = struct.pack("!BBHIIIIII", 0x80, 200, 6, 7, NTP, 1 << 31, 16000, 100, 16000)
SDES = struct.pack("!BBHIBB", 0x81, 202, 3, 7, 1, 3) + b"a@b" + bytes(3)
BYE = struct.pack("!BBHI", 0x81, 203, 1, 7)


def stats(**changed: object) -> StreamStats:
    zero = StreamStats(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0)
    return zero._replace(ssrc=7, highest=-1)._replace(**changed)


def test_a_compound_packet_is_read() -> None:
    said = parse(SR + SDES + BYE)
    wall = (NTP - 2_208_988_800) * 1_000_000_000 + 500_000_000
    assert said.reports == (SenderReport(7, (NTP & 0xFFFF) << 16 | 0x8000, wall, 16000, 100),)
    assert (said.cname, said.bye) == ("a@b", (7,))


def test_a_sender_without_a_wall_clock_says_so() -> None:
    (report,) = parse(SR[:8] + bytes(8) + SR[16:]).reports
    assert report.wall_ns == 0


@pytest.mark.parametrize(
    ("packet", "text"),
    [
        (b"\x40" + SR[1:], "version 1"),
        (SR[:20], "says 24 bytes, 16 are there"),
        (SR + b"\x80\xc8", "no header"),
        (struct.pack("!BBHI", 0x80, 200, 1, 7), "a sender report of 4 bytes"),
        (struct.pack("!BBHI", 0x85, 203, 1, 7), "a BYE of 5 sources"),
    ],
)
def test_a_packet_that_contradicts_itself_is_refused(packet: bytes, text: str) -> None:
    with pytest.raises(RtcpError, match=text):
        parse(packet)


WORDS = st.integers(0, 2**32 - 1)
SENDERS = st.tuples(WORDS, WORDS, WORDS, WORDS, WORDS, st.integers(0, 31), st.binary(max_size=100).map(lambda b: b * 4))
LEAVING = st.tuples(st.lists(WORDS, max_size=31), st.sampled_from([b"", b"\3why", b"\7so long"]))
OTHERS = st.tuples(st.integers(0, 31), st.sampled_from([192, 201, 204, 205, 206, 207]), st.binary(max_size=25))


@given(st.lists(SENDERS | LEAVING | OTHERS, max_size=8))
def test_what_senders_say_is_read_past_all_that_others_say(parts: list[Any]) -> None:
    packet, reports, bye = b"", [], []
    for part in parts:
        match part:
            case (list(sources), reason):
                packet += struct.pack("!BBH", 0x80 | len(sources), 203, len(sources) + len(reason) // 4)
                packet += struct.pack(f"!{len(sources)}I", *sources) + reason
                bye += sources
            case (ssrc, seconds, fraction, timestamp, packets, count, more):
                packet += struct.pack("!BBH", 0x80 | count, 200, 6 + len(more) // 4)
                packet += struct.pack("!IIIIII", ssrc, seconds, fraction, timestamp, packets, 0) + more
                reports.append((ssrc, timestamp, packets))
            case (count, kind, body):
                packet += struct.pack("!BBH", 0x80 | count, kind, len(body)) + body * 4
    said = parse(packet)
    assert [(report.ssrc, report.timestamp, report.packets) for report in said.reports] == reports
    assert (list(said.bye), said.cname) == (bye, "")


REFUSED = (
    r"[123] bytes are left, which is no header|version [013] at byte \d+|a sender report of \d+ bytes|"
    r"the packet at byte \d+ says \d+ bytes, \d+ are there|a BYE of \d+ sources in \d+ bytes"
)


@given(st.binary(max_size=200) | st.builds(bytes.__add__, st.sampled_from([SR, SDES, BYE]), st.binary(max_size=100)))
def test_anything_is_read_or_refused(packet: bytes) -> None:
    said, why = Compound((), "", ()), ""
    try:
        said = parse(packet)
    except RtcpError as error:
        why = str(error)
    assert not why or re.fullmatch(REFUSED, why)
    assert 28 * len(said.reports) + 4 * len(said.bye) <= len(packet)
    for ssrc in (*said.bye, *(report.ssrc for report in said.reports)):
        assert struct.pack("!I", ssrc) in packet
    assert "\ufffd" in said.cname or said.cname.encode() in packet


def test_receiver_reports() -> None:
    reporter = Reporter(99, "x", now=0.0)
    assert reporter.due == 2.5
    empty = reporter.report(stats(), 2.5, 0.5)
    assert empty[:8] == struct.pack("!BBHI", 0x80, 201, 1, 99)
    assert reporter.due == 7.5
    reporter.heard(SenderReport(7, 0xABCD0123, 0, 0, 0), arrived=9_000_000_000)
    first = reporter.report(stats(packets=90, lost=10, jitter=12.9, highest=65_600), 10.0, 0.0)
    assert struct.unpack("!BBHI", first[:8]) == (0x81, 201, 7, 99)
    ssrc, loss, highest, jitter, cited, delay = struct.unpack("!IIIIII", first[8:32])
    assert (ssrc, loss >> 24, loss & 0xFFFFFF) == (7, 25, 10)
    assert (highest, jitter, cited, delay) == (65_600, 12, 0xABCD0123, 65536)
    assert parse(first).cname == "x"
    # the fraction is that since the report before; a late packet takes its loss back
    second = reporter.report(stats(packets=141, lost=9, highest=65_650), 15.0, 0.0)
    (loss,) = struct.unpack("!I", second[12:16])
    assert (loss >> 24, loss & 0xFFFFFF) == (0, 9)
    assert len(first) % 4 == len(second) % 4 == 0
