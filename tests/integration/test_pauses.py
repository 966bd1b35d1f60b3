"""Long pauses at a whole gateway: the timeline advances, and no hours of silence are sent (policy by engine)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway import events
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess
from tests.peers.phone import OPEN, Phone
from tests.peers.recogniser import Recogniser, frame, word

JUMP = 590 * 8000  # samples by which the sender's timestamps go on over its pause
FILL = 2 * 8000  # of ``media.pause_fill_ms``


@pytest.mark.parametrize("idle", ["keep", "close"])
async def test_a_pause_of_ten_minutes(tmp_path: Path, claim: Claim, idle: str) -> None:
    """A sender with silence suppression: for 3 s nothing comes, and by its timestamps ten minutes have passed."""
    async with Recogniser() as server:
        asr = '[asr]\nengine = "palatine"\nidle_close_seconds = 1.0\n[asr.palatine]\n'
        asr += f'url = "{server.url}"\nidle = "{idle}"\n'
        async with GatewayProcess(tmp_path, asr=asr) as gateway, Phone(gateway.sip_port) as phone:
            await phone.say(OPEN, 50)
            await asyncio.sleep(3)
            phone.at += JUMP
            await phone.say(OPEN, 50)
            await phone.peer.bye()
            (done,) = await gateway.completed()
    assert done.completed is not None
    (leg,) = done.completed.legs
    heard = b"".join(bytes(session.audio) for session in server.sessions)
    packets = heard.count(frame(OPEN))
    silence = len(heard) - packets * 160
    claim(f"a pause of 590 s, {idle}: samples of the timeline", leg.duration, leg.duration == JUMP + 100 * 160)
    claim(f"a pause of 590 s, {idle}: silence sent, of at most 2 s", f"{silence / 8000:.1f} s", silence <= FILL)
    claim(
        f"a pause of 590 s, {idle}: samples sent + withheld = timeline",
        f"{leg.sent} + {leg.withheld}",
        leg.sent + leg.withheld == leg.duration,
    )
    assert leg.sent == len(heard)
    assert packets == 100
    assert len(server.sessions) == (2 if idle == "close" else 1)
    words = done.of(events.TranscriptFinal)
    assert " ".join(said.text for said in words) == f"{word(OPEN)} {word(OPEN)}"
    assert words[-1].start_ms >= JUMP // 8, "times are those of the timeline, not of the bytes"
