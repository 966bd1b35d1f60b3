"""Captured streams of devices: samples of sipp's package, and what pjsua2 and Asterisk sent (peers/capture_rtp.py)."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import dpkt
import pytest

from gateway.cli import main
from gateway.media.capture import CaptureError, datagrams, streams
from gateway.media.chunks import Kind
from tests.media.packets import rtp
from tests.peers.capture_rtp import frame
from tests.peers.tones import share

SIPP = Path("/usr/share/sip-tester")
DATA = Path(__file__).parents[1] / "data" / "media"
CAPTURES = [SIPP / "g711a.pcap", DATA / "pjsua2.pcap", DATA / "asterisk.pcap"]


def payloads(path: Path) -> list[tuple[int, int, bytes]]:
    """Reads sequence number, timestamp and payload of each packet by hand."""
    found = []
    for one in datagrams(path):
        seq, timestamp = struct.unpack("!HI", one.data[2:8])
        found.append((seq, timestamp, one.data[12:]))
    return found


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_the_payload_out_is_the_payload_in(path: Path) -> None:
    (found,) = streams(path)
    sent = payloads(path)
    origin = sent[0][1]
    out = {chunk.first: chunk.payload for chunk in found.chunks}
    heard = b"".join(out[first] for first in sorted(out))
    for _, timestamp, payload in sent:
        at = (timestamp - origin) % 2**32
        assert heard[at : at + len(payload)] == payload
    stats = found.stats
    assert (stats.packets, stats.lost, stats.late, stats.foreign) == (len(sent), 0, 0, 0)
    assert stats.received_samples == sum(len(payload) for *_, payload in sent)
    found.timeline.verify()
    assert found.timeline.duration == stats.samples


def test_asterisks_tone_is_in_its_capture() -> None:
    (found,) = streams(DATA / "asterisk.pcap")
    assert share(b"".join(chunk.payload for chunk in found.chunks), "alaw", 400) > 0.95


@pytest.mark.parametrize("key", "0123456789")
def test_keys_of_a_device(key: str) -> None:
    (found,) = streams(SIPP / f"dtmf_2833_{key}.pcap")
    (digit,) = found.digits
    assert digit.key == key
    assert [span.kind for span in found.timeline] == [Kind.DTMF]


def test_what_is_no_rtp_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for seq in range(10):
            writer.writepkt(frame(b"OPTIONS sip:x SIP/2.0\r\n", ("127.0.0.1", 5060), 5060), seq * 0.02)
            writer.writepkt(
                frame(rtp(seq, seq * 160, bytes(160), payload_type=18), ("127.0.0.1", 4000), 4002), seq * 0.02
            )
            writer.writepkt(b"\0" * 9, seq * 0.02)
    assert streams(path) == []


def test_a_file_that_is_no_capture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(CaptureError, match="neither pcap nor pcapng"):
        streams(path)
    path.write_bytes(CAPTURES[1].read_bytes()[:20] + struct.pack("<I", 999))
    with pytest.raises(CaptureError, match="link type 999 is not supported"):
        streams(path)


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["inspect", str(CAPTURES[1]), "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["codecs"], shown["lost"], shown["mos"]) == (["alaw"], 0, 4.41)
    assert main(["inspect", str(SIPP / "dtmf_2833_7.pcap")]) == 0
    assert "keys  7 at 0.000 s" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "none.pcap")]) == 1
    assert "No such file" in capsys.readouterr().err
