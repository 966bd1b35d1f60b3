"""RTP injection (RTP-bleed): packets of others, before, during and after a hold, at a whole gateway."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from pathlib import Path

import pytest

from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess
from tests.peers.recogniser import Recogniser
from tests.peers.sip_peer import SipPeer, sdp

SAID, INJECTED = 0x11, 0x66
SSRC = 7


class Rtp:
    """A socket that sends 20 ms of one byte at a time."""

    def __init__(self, address: str, value: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.value, self.sent = value, 0

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def send(self, target: tuple[str, int], seq: int, at: int) -> None:
        head = struct.pack("!BBHII", 0x80, 8, seq & 0xFFFF, at * 160, SSRC)
        self.socket.sendto(head + bytes([self.value]) * 160, target)
        self.sent += 1


@pytest.mark.parametrize("learn_seconds", [10, 0])
async def test_nothing_of_it_reaches_a_recogniser(tmp_path: Path, claim: Claim, learn_seconds: int) -> None:
    """With NAT learning the attack begins after the first packet of the peer, without it before."""
    async with Recogniser() as server:
        asr = f'[asr]\nengine = "palatine"\n[asr.palatine]\nurl = "{server.url}"\n'
        media = f"[media]\nlearn_seconds = {learn_seconds}\n"
        async with GatewayProcess(tmp_path, asr=asr, settings=media) as gateway:
            peer = SipPeer(gateway.sip_port)
            voice = Rtp("127.0.0.1", SAID)
            # another address, and another port of the peer's address, which know SSRC, sequence and timestamp
            others = [Rtp("127.0.0.2", INJECTED), Rtp("127.0.0.1", INJECTED)]
            body = f"m=audio {voice.port} RTP/AVP 8\r\n"
            answer = await peer.invite(sdp(body))
            found = re.search(r"m=audio (\d+)", answer.body)
            assert found is not None
            target = ("127.0.0.1", int(found[1]))
            at = 0

            async def phase(packets: int, *, talk: bool) -> None:
                nonlocal at
                for _ in range(packets):
                    # another port of the signalled address is believed until the first packet
                    for other in others if at else others[: 1 if learn_seconds == 0 else 0]:
                        other.send(target, voice.sent, at)
                        other.send(target, voice.sent + 1, at + 1)
                    if talk:
                        voice.send(target, voice.sent, at)
                    at += 1
                    await asyncio.sleep(0.02)

            await phase(50, talk=True)
            await peer.invite(sdp(body + "a=sendonly\r\n", version=2))
            await peer.invite(sdp(body + "a=inactive\r\n", version=3))
            await phase(50, talk=False)
            await peer.invite(sdp(body + "a=sendrecv\r\n", version=4))
            await phase(50, talk=True)
            await peer.bye()
            (done,) = await gateway.completed()
            peer.close()
            for one in [voice, *others]:
                one.socket.close()
    assert done.completed is not None
    (leg,) = done.completed.legs
    (session,) = server.sessions
    injected = bytes(session.audio).count(INJECTED)
    sent = sum(other.sent for other in others)
    first = "before the first packet, " if learn_seconds == 0 else ""
    claim(
        f"injection {first}before, during and after hold: bytes of {sent} packets at the recogniser",
        injected,
        injected == 0,
    )
    assert bytes(session.audio).count(SAID) == voice.sent * 160 == leg.received
    assert leg.foreign == sent
    ended = next(event.data for event in done.events if event.type == "call.ended")
    assert 800 <= ended.quality[0].held_ms <= 3000
