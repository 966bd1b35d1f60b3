"""What INVITEs say of a call, in the events that are sent: from a peer of ours, masked, and from a real Asterisk."""

from __future__ import annotations

import re
from pathlib import Path

from tests.integration.test_asterisk import recogniser
from tests.peers.asterisk import Asterisk
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess
from tests.peers.recogniser import Recogniser
from tests.peers.sip_peer import SipPeer, sdp
from tests.peers.waiting import until

UUI = "56a390f3d2b7310023a2;encoding=hex;purpose=isdn-uui"
HEADERS = (
    "P-Asserted-Identity: <tel:+74951234567>\r\nP-Asserted-Identity: <sip:74950000000@carrier.example>\r\n"
    'Diversion: "Desk" <sip:74957654321@pbx.example>;reason=no-answer\r\nDiversion: <sip:2222222@pbx.example>\r\n'
    f"User-to-User: {UUI}\r\nX-Queue: sales\r\nX-Account: 79161112233\r\nX-Internal: keep-this-to-yourself\r\n"
)
CHOSEN = 'headers = ["X-Queue", "X-Account", "X-Absent"]\n'
NUMBERS = ("74951234567", "74957654321", "79161112233")


async def called(tmp_path: Path, settings: str) -> tuple[GatewayProcess, SipPeer, str]:
    """Places a call with all that; returns the gateway, whose calls hold the events, the peer and our tag."""
    async with (
        Recogniser() as server,
        GatewayProcess(tmp_path, asr=recogniser(server), settings=f"[calls]\n{settings}") as gateway,
    ):
        peer = SipPeer(gateway.sip_port, user="4999")
        answered = await peer.invite(sdp(), headers=HEADERS)
        tag = re.search(r";tag=([^;\s]+)", answered.header("To"))
        assert tag
        assert (await peer.bye()).code == 200
        peer.close()
        await gateway.completed()
    return gateway, peer, tag[1]


async def test_call_data_in_every_event(tmp_path: Path, claim: Claim) -> None:
    gateway, peer, tag = await called(tmp_path, CHOSEN)
    (call,) = gateway.calls.values()
    sent = [event.call for event in call.events]
    expected = {
        "from_number": "+74951234567",
        "to_number": "4999",
        "diverted_from": "74957654321",
        "user_to_user": UUI,
        "headers": {"x-queue": "sales", "x-account": "79161112233"},
        "sip_call_ids": [peer.call_id],
    }
    for field, value in expected.items():
        told = {str(getattr(info, field)) for info in sent}
        claim(f"call data in all {len(sent)} events: {field}", ", ".join(told), told == {str(value)})
    assert "call.transcript.completed" in call.types
    for info in sent:
        (dialog,) = info.dialogs
        assert (dialog.leg, dialog.call_id, dialog.from_tag, dialog.to_tag) == ("caller", peer.call_id, "from-tag", tag)
    everything = "".join(event.model_dump_json() for event in call.events) + (tmp_path / "log").read_text()
    assert "keep-this-to-yourself" not in everything, "X- headers are an allowlist"


async def test_masked_numbers_are_nowhere(tmp_path: Path, claim: Claim) -> None:
    gateway, _, _ = await called(tmp_path, CHOSEN + "mask_numbers = true\n")
    (call,) = gateway.calls.values()
    info = call.events[0].call
    shown = (info.from_number, info.diverted_from, info.headers["x-account"], info.headers["x-queue"], info.to_number)
    claim("masked call data", shown, shown == ("+********567", "********321", "********233", "sales", "4999"))
    assert {event.call.from_number for event in call.events} == {"+********567"}
    everything = "".join(event.model_dump_json() for event in call.events) + (tmp_path / "log").read_text()
    found = [number for number in NUMBERS if number in everything]
    claim("masked numbers: found in events or log", len(found), found == [])


async def test_call_data_of_an_asterisk(tmp_path: Path, claim: Claim) -> None:
    async with (
        Recogniser() as server,
        GatewayProcess(tmp_path, asr=recogniser(server), settings='[calls]\nheaders = ["X-Queue"]\n') as gateway,
        Asterisk(gateway.sip) as pbx,
    ):
        await pbx.call("103")
        await until(lambda: any(session.audio for session in server.sessions), 20)
        await pbx.hang_up()
        (call,) = await gateway.completed()
    info = call.events[-1].call
    told = (info.from_number, info.to_number, info.diverted_from, info.user_to_user, info.headers)
    expected = ("74951234567", "103", "4711", UUI, {"x-queue": "sales"})
    claim("Asterisk's call data: caller, number, diversion, User-to-User, X- header", told, told == expected)
