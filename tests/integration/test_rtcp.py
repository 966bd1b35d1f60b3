"""Where RTCP goes: on the RTP port (RFC 5761), or to the port that the offer names (RFC 3605), with real packets."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from pathlib import Path

from tests.integration.test_asterisk import recogniser
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess
from tests.peers.recogniser import Recogniser
from tests.peers.sip_peer import SipPeer, sdp

NTP = 0xE8F1_2345_8000_0000
MIDDLE = NTP >> 16 & 0xFFFFFFFF
SSRC = 7
PACKETS = 1500  # at most: half a minute


def bound() -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    one.bind(("127.0.0.1", 0))
    return one


def waiting(one: socket.socket) -> list[tuple[bytes, int]]:
    """Returns the packets that came, each with the port of its sender."""
    came = []
    while True:
        try:
            packet, source = one.recvfrom(2000)
        except BlockingIOError:
            return came
        came.append((packet, source[1]))


def quoted(packet: bytes, ssrc: int) -> int:
    """Returns the middle of our last sender report's time, as a receiver report quotes it; 0 for none."""
    if packet[:2] != b"\x81\xc9":
        return 0
    heard, last = struct.unpack(">I12xI", packet[8:28])
    return last if heard == ssrc else 0


async def reported(gateway: GatewayProcess, *, mux: bool) -> tuple[int, int, int]:
    """Calls, sends RTP and sender reports until a receiver report says that one was heard.

    Returns:
        Where the report came from, less the port of the gateway's RTP; the middle of our time that it quotes; and how
        many packets came to the port that none was to come to.
    """
    rtp, rtcp, peer = bound(), bound(), SipPeer(gateway.sip_port)
    media = f"m=audio {rtp.getsockname()[1]} RTP/AVP 8\r\na=rtcp:{rtcp.getsockname()[1]}\r\n"
    control, other = (rtp, rtcp) if mux else (rtcp, rtp)
    try:
        answered = await peer.invite(sdp(media + "a=rtcp-mux\r\n" * mux))
        found = re.search(r"m=audio (\d+)", answered.body)
        assert found
        port = int(found[1])
        assert ("a=rtcp-mux" in answered.body) is mux
        for index in range(PACKETS):
            head = struct.pack(">BBHII", 0x80, 8, index, index * 160, SSRC)
            rtp.sendto(head + b"\xd5" * 160, ("127.0.0.1", port))
            if index % 10 == 0:
                report = struct.pack(">BBHIQIII", 0x80, 200, 6, SSRC, NTP, index * 160, index, index * 160)
                control.sendto(report, ("127.0.0.1", port + (not mux)))
            await asyncio.sleep(0.02)
            if told := [(last, source) for packet, source in waiting(control) if (last := quoted(packet, SSRC))]:
                break
        strays = len(waiting(other))
        await peer.bye()
    finally:
        peer.close()
        rtp.close()
        rtcp.close()
    assert told, "no report of the gateway's has heard of ours"
    return told[0][1] - port, told[0][0], strays


async def test_rtcp_goes_where_the_offer_says(tmp_path: Path, claim: Claim) -> None:
    async with Recogniser() as server, GatewayProcess(tmp_path, asr=recogniser(server)) as gateway:
        muxed, named = await asyncio.gather(reported(gateway, mux=True), reported(gateway, mux=False))
    holds = muxed == (0, MIDDLE, 0)
    claim("rtcp-mux: report from our RTP port, our own heard there, strays on the other port", muxed[::2], holds)
    holds = named == (1, MIDDLE, 0)
    claim("a=rtcp: report from the port above, our own heard there, strays on the RTP port", named[::2], holds)
