"""Keys and recording marks by SIP INFO at a whole gateway, from a peer of ours and from a real Asterisk."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import events
from tests.integration.test_asterisk import recogniser
from tests.integration.test_sensitive import CARD
from tests.peers.asterisk import Asterisk
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, Received
from tests.peers.phone import OPEN, SECRET, Phone
from tests.peers.recogniser import Recogniser, frame, traces

CODES = '[calls]\npause_code = "*9"\nresume_code = "*8"\n'
RELAY = "application/dtmf-relay"


def keys_of(call: Received) -> str:
    return "".join(told.key for told in call.of(events.LegDtmf))


class InfoPhone(Phone):
    """Presses its keys by INFO, and by RTP too where it is told so."""

    both = False

    async def press(self, keys: str) -> None:
        for key in keys:
            await self.info(f"Signal={key}\r\nDuration=80\r\n", content=RELAY)
            if self.both:
                await super().press(key)
            await self.say(SECRET if self.secret else OPEN, 5)

    async def info(self, body: str = "", **options: str) -> None:
        self.peer.send("INFO", body, **options)
        assert (await self.peer.final("INFO")).code == 200


@pytest.mark.parametrize("way", ["codes by INFO", "codes by INFO and by RTP", "Record: off and on"])
async def test_a_card_number_after_an_info_is_nowhere(tmp_path: Path, claim: Claim, way: str) -> None:
    async with (
        Recogniser() as server,
        GatewayProcess(tmp_path, asr=recogniser(server), settings=CODES) as gateway,
        InfoPhone(gateway.sip_port) as phone,
    ):
        await gateway.until(lambda calls: bool(calls) and "call.started" in calls[0].types)
        phone.both = "RTP" in way
        await phone.say(OPEN, 25)
        await phone.press("5")
        if "Record" in way:
            await phone.info(headers="Record: off\r\n")
        else:
            await phone.press("*9")
        await gateway.until(lambda calls: any(one.change == "withheld" for one in calls[0].of(events.CallUpdated)))
        await phone.say(OPEN, 10)  # 200 ms: what was under way when the pause began is not taken back
        phone.secret = True
        await phone.say(SECRET, 25)
        await phone.press(CARD)
        phone.secret = False
        if "Record" in way:
            await phone.info(headers="Record: on\r\n")
        else:
            await phone.press("*8")
        await gateway.until(lambda calls: any(one.change == "released" for one in calls[0].of(events.CallUpdated)))
        await phone.say(OPEN, 50)
        await phone.press("6")
        await phone.say(OPEN, 10)
        await phone.peer.bye()
        (call,) = await gateway.completed()
    (session,) = server.sessions
    heard = bytes(session.audio)
    there = traces(SECRET, heard)
    claim(f"sensitive input, {way}: moments of it at the recogniser", there, there == 0)
    expected = "56" if "Record" in way else "5*96"
    claim(f"sensitive input, {way}: keys that were published", keys_of(call), keys_of(call) == expected)
    assert heard.count(frame(OPEN)) >= 60
    assert CARD not in (tmp_path / "log").read_text()
    changes = [update.change for update in call.of(events.CallUpdated)]
    assert (changes.count("withheld"), changes.count("released")) == (1, 1)
    assert call.completed is not None
    (leg,) = call.completed.legs
    assert leg.sent + leg.withheld == leg.duration


async def test_the_keys_of_an_asterisk_that_sends_them_by_info(tmp_path: Path, claim: Claim) -> None:
    async with (
        Recogniser() as server,
        GatewayProcess(tmp_path, asr=recogniser(server)) as gateway,
        Asterisk(gateway.sip, trunk="dtmf_mode = info\n") as pbx,
    ):
        await pbx.call("102")
        await gateway.until(lambda calls: bool(calls) and len(calls[0].of(events.LegDtmf)) == len(CARD + "*#"))
        await pbx.hang_up()
        (call,) = await gateway.completed()
    keys = keys_of(call)
    claim("Asterisk with dtmf_mode=info: keys told", keys, keys == CARD + "*#")
