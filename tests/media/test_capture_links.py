"""Captures of every kind that tools write: file formats, link layers, tags, both families, cut packets, cut files."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from pathlib import Path

import dpkt
import pytest

from gateway.media.capture import CaptureError, datagrams, streams
from gateway.media.chunks import Kind
from tests.media.packets import rtp
from tests.media.test_capture import DATA, payloads
from tests.media.test_receiver import voice

SOURCE, TARGET = {4: "192.0.2.1", 6: "2001:db8::1"}, {4: "192.0.2.2", 6: "2001:db8::2"}
PACKETS = 20


def ip(version: int, payload: bytes) -> bytes:
    """Wraps a datagram into UDP and IP."""
    udp = dpkt.udp.UDP(sport=4000, dport=4002, data=payload, ulen=8 + len(payload))
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    source, target = socket.inet_pton(family, SOURCE[version]), socket.inet_pton(family, TARGET[version])
    if version == 4:
        packet = dpkt.ip.IP(src=source, dst=target, p=17, data=udp)
        packet.len = len(packet)
        return bytes(packet)
    head = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64)
    return head + source + target + bytes(udp)


def type_of(version: int) -> int:
    return 0x0800 if version == 4 else 0x86DD


def ethernet(version: int, packet: bytes) -> bytes:
    return bytes(12) + struct.pack("!H", type_of(version)) + packet


def vlan(version: int, packet: bytes) -> bytes:
    return bytes(12) + struct.pack("!HHH", 0x8100, 42, type_of(version)) + packet


def two_vlans(version: int, packet: bytes) -> bytes:
    return bytes(12) + struct.pack("!HHHHH", 0x88A8, 7, 0x8100, 42, type_of(version)) + packet


def cooked(version: int, packet: bytes) -> bytes:
    """LINKTYPE_LINUX_SLL, what tcpdump -i any wrote for long."""
    return struct.pack("!HHH8sH", 0, 1, 6, bytes(8), type_of(version)) + packet


def cooked2(version: int, packet: bytes) -> bytes:
    """LINKTYPE_LINUX_SLL2, what it writes now."""
    return struct.pack("!HHIHBB8s", type_of(version), 0, 2, 1, 0, 6, bytes(8)) + packet


def null(version: int, packet: bytes) -> bytes:
    return struct.pack("<I", 2 if version == 4 else 30) + packet


def raw(_version: int, packet: bytes) -> bytes:
    return packet


LINKS = [(1, ethernet), (1, vlan), (1, two_vlans), (113, cooked), (276, cooked2), (0, null), (101, raw), (12, raw)]


def write(path: Path, link: int, frames: list[bytes], *, ng: bool = False, snaplen: int = 65535) -> None:
    """Writes a capture, a frame every 20 ms."""
    with path.open("wb") as file:
        if ng:
            header = dpkt.pcapng.InterfaceDescriptionBlockLE(linktype=link, snaplen=snaplen)
            writer = dpkt.pcapng.Writer(file, snaplen=snaplen, idb=header)
        else:
            writer = dpkt.pcap.Writer(file, snaplen=snaplen, linktype=link)
        for number, frame in enumerate(frames):
            writer.writepkt(frame, ts=1_700_000_000 + number * 0.02)


def spoken(version: int = 4) -> list[bytes]:
    return [ip(version, rtp(seq, seq * 160, voice(1, seq))) for seq in range(PACKETS)]


@pytest.mark.parametrize("ng", [False, True], ids=["pcap", "pcapng"])
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("link", "wrap"), LINKS, ids=[f"{wrap.__name__}-{link}" for link, wrap in LINKS])
def test_every_kind_comes_out_to_the_byte(
    tmp_path: Path, link: int, wrap: Callable[[int, bytes], bytes], version: int, ng: bool
) -> None:
    path = tmp_path / "a.pcap"
    write(path, link, [wrap(version, packet) for packet in spoken(version)], ng=ng)
    (found,) = streams(path)
    assert b"".join(chunk.payload for chunk in found.chunks) == b"".join(voice(1, seq) for seq in range(PACKETS))
    assert (found.source, found.target) == ((SOURCE[version], 4000), (TARGET[version], 4002))
    assert (found.stats.packets, found.stats.lost) == (PACKETS, 0)
    assert found.stats.jitter < 0.1


def test_packets_that_the_capture_cut_short_are_no_audio(tmp_path: Path) -> None:
    """With ``tcpdump -s 96`` a payload is there in part: what is missing must not be taken for a shorter packet."""
    frames = [ethernet(4, packet) for packet in spoken()]
    frames[7] = frames[7][:96]
    write(tmp_path / "a.pcap", 1, frames)
    (found,) = streams(tmp_path / "a.pcap")
    assert (found.cut, found.stats.packets) == (1, PACKETS - 1)
    assert found.stats.lost == 1
    assert [span.kind for span in found.timeline] == [Kind.RECEIVED, Kind.CONCEALED, Kind.RECEIVED]


def test_a_file_that_breaks_off_in_a_packet_gives_all_before(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    write(path, 1, [ethernet(4, packet) for packet in spoken()])
    path.write_bytes(path.read_bytes()[:-100])
    (found,) = streams(path)
    assert (found.cut, found.stats.packets, found.stats.lost) == (1, PACKETS - 1, 0)
    path.write_bytes(path.read_bytes()[: -(72 + 14 + 28 + 12)])  # in the middle of that packet's header
    assert len(list(datagrams(path))) == PACKETS - 1


def test_what_follows_on_a_good_beginning_and_is_no_capture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    write(path, 1, [ethernet(4, packet) for packet in spoken()], ng=True)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 // 4 * 4] + b"\xff" * 40)
    with pytest.raises(CaptureError, match="breaks off"):
        list(datagrams(path))


@pytest.mark.parametrize("kind", ["nsec.pcap", "editcap.pcapng"])
def test_what_wiresharks_editcap_writes(kind: str) -> None:
    """The first 25 packets of the capture of pjsua2, as ``editcap -F nsecpcap`` and ``-F pcapng`` convert it."""
    (found,) = streams(DATA / kind)
    original = b"".join(payload for *_, payload in payloads(DATA / "pjsua2.pcap")[:25])
    assert b"".join(chunk.payload for chunk in found.chunks) == original
    assert found.stats.lost == 0


def test_what_dumpcap_takes_from_all_interfaces_by_ipv6() -> None:
    """Cooked frames in pcapng: ``dumpcap -i any`` while ``tests.media.packets.rtp`` went from ``::1`` to ``::1``."""
    (found,) = streams(DATA / "any6.pcapng")
    assert (found.source[0], found.target[0]) == ("::1", "::1")
    assert b"".join(chunk.payload for chunk in found.chunks) == b"".join(voice(1, seq) for seq in range(PACKETS))


def test_fragments_and_other_protocols_are_passed_over(tmp_path: Path) -> None:
    frames = [ethernet(4, packet) for packet in spoken()]
    fragment = bytearray(spoken()[0])
    fragment[6] = 0x20  # more fragments
    frames[3:3] = [
        ethernet(4, bytes(fragment)),
        bytes(12) + b"\x08\x06" + bytes(28),  # ARP
        ethernet(6, spoken(6)[0][:20]),
    ]
    write(tmp_path / "a.pcap", 1, frames)
    (found,) = streams(tmp_path / "a.pcap")
    assert found.stats.received_samples == PACKETS * 160
