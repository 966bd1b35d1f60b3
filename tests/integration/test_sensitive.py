"""Sensitive input at a whole gateway: by a code of keys or the API, with a recording; nothing of it is anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway import events
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, Received
from tests.peers.phone import OPEN, SECRET, Phone
from tests.peers.recogniser import Recogniser, frame, traces, word

CARD = "4111"
TOKEN = "the-operators-token-of-this-test"


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
    async with Recogniser() as server:
        asr = f'[asr]\nengine = "palatine"\n[asr.palatine]\nurl = "{server.url}"\n'
        async with (
            Watched(tmp_path, asr=asr, settings=settings) as gateway,
            Phone(gateway.sip_port) as phone,
        ):
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
            await phone.peer.bye()
            (done,) = await gateway.completed()
            stored = gateway.stored
    (session,) = server.sessions
    heard = bytes(session.audio)
    (recording,) = recordings.iterdir()
    recorded = recording.read_bytes()
    stored += gateway.stored
    text = (tmp_path / "log").read_bytes()
    keys = "".join(event.data.key for event in done.events if isinstance(event.data, events.LegDtmf))
    mono = recorded[58::2]
    for place, audio in {
        "at the recogniser": heard,
        "in the recording": mono,
        "on its other side": recorded[59::2],
    }.items():
        there = traces(SECRET, audio)
        claim(f"sensitive input by {way}: moments of it {place}", there, there == 0)
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
    assert heard.count(frame(OPEN)) >= 90
    assert mono.count(frame(OPEN)) == heard.count(frame(OPEN))
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
