"""Sensitive input at a whole gateway: by a code of keys or the API, with a recording; nothing of it is anywhere."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway import events
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, Received
from tests.peers.palatine_server import PalatineServer, word
from tests.peers.sip_peer import SipPeer, sdp

OPEN, SECRET = 0x11, 0x66
CARD = "4111"
TOKEN = "the-operators-token-of-this-test"


class Phone:
    """Sends audio and keys in real time on one RTP stream."""

    def __init__(self, target: tuple[str, int], media: socket.socket) -> None:
        self.target, self.media = target, media
        self.begun = time.monotonic()
        self.seq = self.at = 0

    async def say(self, value: int, packets: int) -> None:
        for _ in range(packets):
            if self.steady:
                self.at = max(self.at, int((time.monotonic() - self.begun) * 50) * 160)
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
    steady = False  # whether its timestamps go on while the test waits or the machine is busy, as those of a device do

    def _send(self, payload_type: int, timestamp: int, payload: bytes) -> None:
        head = struct.pack("!BBHII", 0x80, payload_type, self.seq & 0xFFFF, timestamp, 7)
        self.media.sendto(head + payload, self.target)
        self.seq += 1


class Watched(GatewayProcess):
    """A gateway whose every webhook body is kept as it came."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.bodies = b""

    def _check(self, body: bytes) -> None:
        self.bodies += body
        super()._check(body)

    @property
    def stored(self) -> bytes:
        """The files of the database, as they are on the disk."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.glob("outbox.db*")))


async def pause(gateway: GatewayProcess, what: str) -> None:
    """Pauses or resumes the caller's leg over the API."""
    (call,) = gateway.calls
    url = f"{gateway.web}/api/v1/calls/{call}/legs/caller/{what}"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession() as session, session.post(url, headers=headers) as answer:
        assert answer.status == 202, await answer.text()


@pytest.mark.parametrize("way", ["keys", "API"])
async def test_a_card_number_is_nowhere(tmp_path: Path, claim: Claim, way: str) -> None:
    """What is said is words to this recogniser, so that a word of the pause would be in events, database and log."""
    recordings = tmp_path / "recordings"
    settings = f'[media]\nrecordings = "{recordings}"\n[calls]\npause_code = "*9"\nresume_code = "*8"\n'
    settings += '[[web.tokens]]\nname = "desk"\nrole = "operate"\ntoken = "' + TOKEN + '"\n'
    async with PalatineServer() as server:
        asr = f'[asr]\nengine = "palatine"\n[asr.palatine]\nurl = "{server.url}"\n'
        async with Watched(tmp_path, asr=asr, settings=settings) as gateway:
            peer = SipPeer(gateway.sip_port)
            media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            media.bind(("127.0.0.1", 0))
            port = media.getsockname()[1]
            answer = await peer.invite(sdp(f"m=audio {port} RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"))
            found = re.search(r"m=audio (\d+)", answer.body)
            assert found is not None
            phone = Phone(("127.0.0.1", int(found[1])), media)
            phone.steady = True
            await phone.say(OPEN, 50)
            await phone.press("5" if way == "API" else "5*9")
            if way == "API":
                await pause(gateway, "pause")
            await gateway.until(lambda calls: changes(calls[0])[-1:] == ["withheld"])
            await phone.say(OPEN, 10)  # 200 ms: what was under way when the pause began is not taken back
            phone.secret = True
            await phone.say(SECRET, 25)
            await phone.press(CARD)
            phone.secret = False
            if way == "API":
                await phone.say(OPEN, 10)
                await pause(gateway, "resume")
            else:
                await phone.press("*8")
            await gateway.until(lambda calls: changes(calls[0])[-1:] == ["released"])
            await phone.say(OPEN, 50)
            await phone.press("6")
            await phone.say(OPEN, 10)
            await peer.bye()
            (done,) = await gateway.completed()
            stored = gateway.stored
            peer.close()
            media.close()
    (session,) = server.sessions
    heard = bytes(session.audio)
    (recording,) = recordings.iterdir()
    recorded = recording.read_bytes()
    stored += gateway.stored
    text = (tmp_path / "log").read_bytes()
    keys = "".join(event.data.key for event in done.events if isinstance(event.data, events.LegDtmf))
    claim(f"sensitive input by {way}: bytes of it at the recogniser", heard.count(SECRET), SECRET not in heard)
    claim(f"sensitive input by {way}: in the recording", recorded[58:].count(SECRET), SECRET not in recorded[58:])
    claim(f"sensitive input by {way}: keys that were published", keys, keys == ("56" if way == "API" else "5*96"))
    secrets = [word(SECRET).encode(), *(b'"key": "%c"' % key for key in CARD.encode())]
    places = {"webhook bodies": gateway.bodies, "database files": stored, "log": text}
    for place, content in places.items():
        there = sum(content.count(secret) for secret in secrets)
        claim(f"sensitive input by {way}: words and keys of it in {place}", there, there == 0)
    # and what is not secret is there: the search would have found the rest
    for content in (gateway.bodies, stored):
        assert word(OPEN).encode() in content
        assert b'"key": "5"' in content
    assert CARD.encode() not in text
    assert heard.count(OPEN) >= 90 * 160
    assert recorded[58::2].count(OPEN) == heard.count(OPEN)
    assert changes(done) == ["withheld", "released"]
    ended = next(event.data for event in done.events if event.type == "call.ended")
    assert ended.quality[0].withheld_ms >= 1000
    assert done.completed is not None
    (leg,) = done.completed.legs
    assert leg.sent + leg.withheld == leg.duration


def changes(call: Received) -> list[str]:
    """Returns how the call's leg began and ended to be withheld."""
    found = [update.change for update in call.of(events.CallUpdated)]
    return [change for change in found if change in ("withheld", "released")]
