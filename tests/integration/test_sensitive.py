"""Sensitive input at a whole gateway: by a code of keys, with a recording; nothing of it is anywhere."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from pathlib import Path

from gateway import events
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess
from tests.peers.palatine_server import PalatineServer
from tests.peers.sip_peer import SipPeer, sdp

OPEN, SECRET = 0x11, 0x66
CARD = "4111"


class Phone:
    """Sends audio and keys in real time on one RTP stream."""

    def __init__(self, target: tuple[str, int], media: socket.socket) -> None:
        self.target, self.media = target, media
        self.seq = self.at = 0

    async def say(self, value: int, packets: int) -> None:
        for _ in range(packets):
            self._send(8, self.at, bytes([value]) * 160)
            self.at += 160
            await asyncio.sleep(0.02)

    async def press(self, keys: str) -> None:
        for key in keys:
            code = "0123456789*#".index(key)
            begun = self.at
            for packet in range(1, 7):
                last = packet > 4
                self._send(101, begun, struct.pack("!BBH", code, 0x80 * last | 10, min(packet, 4) * 160))
                self.at += 160 if packet < 5 else 0
                await asyncio.sleep(0.02)
            await self.say(SECRET if self.secret else OPEN, 3)

    secret = False

    def _send(self, payload_type: int, timestamp: int, payload: bytes) -> None:
        head = struct.pack("!BBHII", 0x80, payload_type, self.seq & 0xFFFF, timestamp, 7)
        self.media.sendto(head + payload, self.target)
        self.seq += 1


async def test_a_card_number_between_two_codes_is_nowhere(tmp_path: Path, claim: Claim) -> None:
    recordings = tmp_path / "recordings"
    settings = f'[media]\nrecordings = "{recordings}"\n[calls]\npause_code = "*9"\nresume_code = "*8"\n'
    async with PalatineServer() as server:
        asr = f'[asr]\nengine = "palatine"\n[asr.palatine]\nurl = "{server.url}"\n'
        async with GatewayProcess(tmp_path, asr=asr, settings=settings) as gateway:
            peer = SipPeer(gateway.sip_port)
            media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            media.bind(("127.0.0.1", 0))
            port = media.getsockname()[1]
            answer = await peer.invite(sdp(f"m=audio {port} RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"))
            found = re.search(r"m=audio (\d+)", answer.body)
            assert found is not None
            phone = Phone(("127.0.0.1", int(found[1])), media)
            await phone.say(OPEN, 50)
            await phone.press("5*9")
            await asyncio.sleep(0.2)
            phone.secret = True
            await phone.say(SECRET, 25)
            await phone.press(CARD)
            await phone.press("*")
            phone.secret = False
            await phone.press("8")
            await phone.say(OPEN, 50)
            await phone.press("6")
            await peer.bye()
            (done,) = await gateway.completed()
            peer.close()
            media.close()
    (session,) = server.sessions
    heard = bytes(session.audio)
    (recording,) = recordings.iterdir()
    recorded = recording.read_bytes()
    text = (tmp_path / "log").read_text()
    keys = "".join(event.data.key for event in done.events if isinstance(event.data, events.LegDtmf))
    claim("sensitive input: bytes of it at the recogniser", heard.count(SECRET), SECRET not in heard)
    claim("sensitive input: bytes of it in the recording", recorded[58:].count(SECRET), SECRET not in recorded[58:])
    claim("sensitive input: keys that were published", keys, keys == "5*96")
    assert heard.count(OPEN) >= 90 * 160
    assert recorded[58::2].count(OPEN) == heard.count(OPEN)
    assert CARD not in text
    changes = [event.data.change for event in done.events if isinstance(event.data, events.CallUpdated)]
    assert changes.index("withheld") < changes.index("released")
    ended = next(event.data for event in done.events if event.type == "call.ended")
    assert 1000 <= ended.quality[0].withheld_ms <= 3000
    assert done.completed is not None
    (leg,) = done.completed.legs
    assert leg.sent + leg.withheld == leg.duration
