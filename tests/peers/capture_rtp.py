"""Answers one call and writes the RTP that comes into a capture file: how tests/data/media was made.

python -m tests.peers.capture_rtp pjsua2 FILE.pcap
python -m tests.peers.capture_rtp asterisk FILE.pcap
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import time
from pathlib import Path

import dpkt

from tests.peers.asterisk import Asterisk
from tests.peers.gateway import call
from tests.peers.speech import asset

SECONDS = 3.0


class Answerer(asyncio.DatagramProtocol):
    """A SIP user agent server for one call, over UDP."""

    def __init__(self, media_port: int) -> None:
        self._media_port = media_port
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        assert self._transport is not None
        text = data.decode()
        method = text.split(" ", 1)[0]
        if method == "ACK" or method.startswith("SIP/"):
            return
        port = self._transport.get_extra_info("sockname")[1]
        copied = re.findall(r"^(?:Via|From|Call-ID|CSeq|Record-Route):.*\r\n", text, re.MULTILINE | re.IGNORECASE)
        to = re.search(r"^To:.*", text, re.MULTILINE | re.IGNORECASE)
        assert to is not None
        tag = "" if "tag=" in to[0] else ";tag=answer"
        body = ""
        if method == "INVITE":
            body = (
                f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                f"m=audio {self._media_port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=recvonly\r\n"
            )
        head = "".join(copied) + to[0].strip() + tag + f"\r\nContact: <sip:x@127.0.0.1:{port}>\r\n"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        answer = f"SIP/2.0 200 OK\r\n{head}{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        self._transport.sendto(answer.encode(), address)


def frame(data: bytes, source: tuple[str, int], port: int) -> bytes:
    """Wraps a payload into Ethernet, IP and UDP."""
    udp = dpkt.udp.UDP(sport=source[1], dport=port, data=data, ulen=8 + len(data))
    packet = dpkt.ip.IP(
        src=socket.inet_aton(source[0]), dst=socket.inet_aton("127.0.0.1"), p=dpkt.ip.IP_PROTO_UDP, data=udp
    )
    packet.len = len(packet)
    return bytes(dpkt.ethernet.Ethernet(data=packet, type=dpkt.ethernet.ETH_TYPE_IP))


async def record(who: str, path: Path) -> int:
    """Has a peer call, and records; returns how many packets came."""
    loop = asyncio.get_running_loop()
    media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    media.setblocking(False)
    media.bind(("127.0.0.1", 0))
    port = media.getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(lambda: Answerer(port), ("127.0.0.1", 0))
    target = f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    count = 0

    async def receive(writer: dpkt.pcap.Writer) -> None:
        nonlocal count
        while True:
            data, source = await loop.sock_recvfrom(media, 2048)
            writer.writepkt(frame(data, source, port), time.time())
            count += 1

    with path.open("wb") as file:
        receiving = asyncio.create_task(receive(dpkt.pcap.Writer(file)))
        if who == "asterisk":
            async with Asterisk(target) as pbx:
                await pbx.call("100")
                await asyncio.sleep(SECONDS + 1)
                await pbx.hang_up()
        else:
            await call(target, "--audio", str(asset("two_cities.wav")), "--hangup-after", str(SECONDS))
        receiving.cancel()
    transport.close()
    media.close()
    return count


if __name__ == "__main__":
    print(asyncio.run(record(sys.argv[1], Path(sys.argv[2]))), "packets")
