"""RTP streams in a capture file (pcap or pcapng): the datagrams go through the code that takes them off the wire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import dpkt

from gateway.media.chunks import Chunk, Digit, Span
from gateway.media.receiver import Stream
from gateway.media.stats import StreamStats
from gateway.media.timeline import Timeline

Endpoint = tuple[str, int]

_LINKS = {
    dpkt.pcap.DLT_EN10MB: dpkt.ethernet.Ethernet,
    dpkt.pcap.DLT_LINUX_SLL: dpkt.sll.SLL,
    dpkt.pcap.DLT_LINUX_SLL2: dpkt.sll2.SLL2,
    dpkt.pcap.DLT_NULL: dpkt.loopback.Loopback,
}
_RAW = {12, 14, 101}  # IP without anything below
# A flow is RTP when it has so many packets of G.711 or telephone events, most of all that it has.
_FEWEST = 2
_RTCP = range(64, 96)


class CaptureError(Exception):
    """The file cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram.

    Attributes:
        at: When it was captured, nanoseconds.
        source: Address and port.
        target: Likewise.
        data: Its payload.
        cut: Whether the capture kept only the beginning of it (a snapshot length, or the file's end).
    """

    at: int
    source: Endpoint
    target: Endpoint
    data: bytes
    cut: bool = False


@dataclass
class Found:
    """What became of one stream.

    Attributes:
        source: Where it came from.
        target: Where it went.
        stats: The receiver's counters.
        timeline: Its ledger.
        digits: Keys pressed.
        chunks: All its audio.
        cut: Packets that the capture has not whole; they are left out, and so count as lost.
    """

    source: Endpoint
    target: Endpoint
    stats: StreamStats
    timeline: Timeline
    digits: list[Digit] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    cut: int = 0

    @property
    def gaps(self) -> list[Span]:
        """The spans in which no audio came."""
        return [span for span in self.timeline if span.kind != 0]


def datagrams(path: Path) -> Iterator[Datagram]:
    """Reads the UDP datagrams of a capture, in order.

    Raises:
        CaptureError: The file is no capture, or of a link layer that is not known.
        OSError: It cannot be opened.
    """
    with path.open("rb") as file:
        try:
            reader = dpkt.pcap.UniversalReader(file)
        except (ValueError, dpkt.dpkt.Error) as error:
            raise CaptureError(f"{path} is neither pcap nor pcapng: {error}") from error
        link = reader.datalink()
        if link not in _LINKS and link not in _RAW:
            known = "Ethernet, Linux cooked, loopback and plain IP"
            raise CaptureError(f"{path}: link type {link} is not supported; {known} are")
        try:
            for seconds, frame in reader:
                found = _udp(link, frame)
                if found is not None:
                    packet, udp = found
                    source, target = str(ip_address(packet.src)), str(ip_address(packet.dst))
                    at = round(float(seconds) * 1e6) * 1000
                    data = bytes(udp.data)
                    cut = udp.ulen > 8 + len(data)
                    yield Datagram(at, (source, udp.sport), (target, udp.dport), data, cut)
        except dpkt.dpkt.NeedData:
            return  # whoever wrote it was stopped in mid-packet; all before is good
        except (ValueError, dpkt.dpkt.Error) as error:
            raise CaptureError(f"{path} breaks off: {error}") from error


def _udp(link: int, frame: bytes) -> tuple[dpkt.ip.IP, dpkt.udp.UDP] | None:
    try:
        if link in _RAW:
            packet = (dpkt.ip.IP if frame[0] >> 4 == 4 else dpkt.ip6.IP6)(frame)
        else:
            packet = _LINKS[link](frame).data
    except (dpkt.dpkt.Error, IndexError, ValueError):
        return None
    if isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6) and isinstance(packet.data, dpkt.udp.UDP):
        return packet, packet.data
    return None


def streams(path: Path, *, telephone_event: int = 101, reorder_ms: int = 40, conceal_ms: int = 60) -> list[Found]:
    """Finds the RTP streams with G.711 and takes each through the receiver's code.

    Args:
        path: The capture.
        telephone_event: Payload type of RFC 4733 events, which only signalling would tell.
        reorder_ms: As ``media.reorder_ms``.
        conceal_ms: As ``media.conceal_ms``.

    Raises:
        CaptureError: The file cannot be read.
        OSError: It cannot be opened.
    """
    flows: dict[tuple[Endpoint, Endpoint], list[Datagram]] = {}
    for datagram in datagrams(path):
        flows.setdefault((datagram.source, datagram.target), []).append(datagram)
    found = []
    for (source, target), flow in flows.items():
        if not _is_rtp(flow, telephone_event):
            continue
        stream = Stream(
            codecs={8: "alaw", 0: "mulaw"},
            telephone_event=telephone_event,
            comfort_noise=13,
            reorder_ms=reorder_ms,
            conceal_ms=conceal_ms,
            mux=True,
        )
        timeline, digits, chunks = Timeline(), [], []
        whole = [one for one in flow if not one.cut]
        items = [item for one in whole for item in [*stream.tick(one.at), *stream.push(one.data, one.at, one.source)]]
        for item in items + stream.finish():
            if isinstance(item, Chunk):
                timeline.add(item)
                chunks.append(item)
            elif isinstance(item, Digit):
                digits.append(item)
        found.append(Found(source, target, stream.stats(), timeline, digits, chunks, len(flow) - len(whole)))
    return found


def _is_rtp(flow: list[Datagram], telephone_event: int) -> bool:
    known = {0, 8, 13, telephone_event}
    looks = [
        one.data for one in flow if len(one.data) >= 12 and one.data[0] >> 6 == 2 and one.data[1] & 0x7F not in _RTCP
    ]
    good = sum(data[1] & 0x7F in known for data in looks)
    return good >= _FEWEST and good * 2 > len(flow)
