"""sipp goes through what dialogs go through, many at once; ``test_dialogs`` looks at each answer in detail."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.sip.build import installed
from gateway.sip.events import Ended, Established, Incoming, Media
from tests.peers import sipp
from tests.peers.claims import Claim
from tests.peers.gateway import free_port
from tests.peers.sipp_steps import AUDIO, get, sdp, send, write
from tests.sip.conftest import Start

pytestmark = pytest.mark.skipif(not sipp.SIPP or installed().name != "work", reason="needs sipp and the build for work")

CALLS = 20
FOUR = "m=video 5000 RTP/AVP 31\n" + AUDIO + "m=image 6000 udptl t38\nm=audio 7000 RTP/AVP 0\n"
INVITE = send("INVITE", 1, sdp(), first=True)
UP = [INVITE, get(200), send("ACK", 1)]


def bye(number: int = 2, *, lost: int = 0) -> list[str]:
    return [send("BYE", number, lost=lost), get(200, lost=lost, dialog=False)]


def reinvites(count: int) -> list[str]:
    steps = []
    for number in range(2, count + 2):
        direction = ("inactive", "sendrecv")[number % 2]
        steps += [send("INVITE", number, sdp(number, AUDIO + f"a={direction}\n")), get(200), send("ACK", number)]
    return steps


SCENARIOS = {
    "late offer": ([send("INVITE", 1, first=True), get(200), send("ACK", 1, sdp()), *bye()], 1),
    "PRACK": (
        [
            send("INVITE", 1, sdp(), first=True, headers="Require: 100rel\nSupported: 100rel\n"),
            get(180, keep="RSeq"),
            send("PRACK", 2, headers="RAck: [$1] 1 INVITE\n"),
            get(200, dialog=False),  # to PRACK or to INVITE: either may be first
            get(200, dialog=False),
            send("ACK", 1),
            *bye(3),
        ],
        1,
    ),
    "UPDATE": ([*UP, send("UPDATE", 2, sdp(2, AUDIO + "a=inactive\n")), get(200), *bye(3)], 2),
    "a storm of 20 re-INVITEs each": ([*UP, *reinvites(20), *bye(22)], 21),
    "4 m= lines": ([send("INVITE", 1, sdp(1, FOUR), first=True), get(200), send("ACK", 1), *bye()], 1),
    "CANCEL after 200": (
        [
            INVITE,
            get(200, keep="To"),
            send("CANCEL", 1, first=True),
            get(481),
            send("ACK", 1, tag="[$1]"),
            send("BYE", 2, tag="[$1]"),
            get(200, dialog=False),
        ],
        1,
    ),
    "20 % of all messages lost": (
        [
            send("INVITE", 1, sdp(), first=True, lost=20),
            get(200, lost=20),
            send("ACK", 1),
            *bye(lost=20),
        ],
        1,
    ),
    "glare: a re-INVITE while one is open": (
        [
            *UP,
            send("INVITE", 2),
            get(200),
            send("INVITE", 3, sdp(3)),
            get(500),
            send("ACK", 3),
            send("ACK", 2, sdp(2)),
            *bye(4),
        ],
        2,
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_sipp(start: Start, tmp_path: Path, claim: Claim, name: str) -> None:
    steps, exchanges = SCENARIOS[name]
    gateway = await start(max_calls=CALLS)
    scenario = write(tmp_path, "scenario", steps)
    run = await sipp.run(
        scenario, f"127.0.0.1:{gateway.port}", port=free_port(), calls=CALLS, at_once=10, rate=20, give_up=40
    )
    passed = run.passed and len(gateway.of(Incoming)) == CALLS
    claim(f"sipp: {name}, calls as the scenario says", f"{CALLS}" if passed else run.errors[-300:], passed)
    await gateway.wait_for(Ended, CALLS)
    assert {ended.reason for ended in gateway.of(Ended)} == {"bye"}
    assert len(gateway.of(Established)) == CALLS
    assert len(gateway.of(Media)) == CALLS * exchanges
    assert gateway.link.restarts == 0
