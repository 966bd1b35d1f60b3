"""Recording sessions through the whole gateway: real SBCs' metadata, and each speaker's words on a leg of its own."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import events
from tests.integration.test_asterisk import recogniser
from tests.peers import sipp
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, Received, free_port
from tests.peers.recogniser import Recogniser, spoken
from tests.peers.recording import BOUNDARY, CONTENT, REQUIRE, Line, body, metadata, offer
from tests.peers.rtp_sender import RtpSender
from tests.peers.sip_peer import Response, SipPeer

SCENARIO = Path(__file__).parent / "scenarios/siprec.xml"
ROLES = '[calls]\n[[calls.roles]]\nrole = "agent"\naor = "^sip:(4711|2002|boris)@"\n'
LABELS = {"oracle": ("553654187", "553654188"), "cisco": ("1", "2"), "opensips": ("0", "1")}
SPEAKERS = {
    "oracle": {"74951234567": "sip:74951234567@carrier.example", "agent": "sip:4711@callcentre.example"},
    "cisco": {"1001": "sip:1001@192.0.2.41", "agent": "sip:2002@192.0.2.42"},
    "opensips": {"anna": "sip:anna@pbx.example", "agent": "sip:boris@pbx.example"},
}
# what an SBC copies from a call into its metadata, so that the whole message is of 30 KB
COPIED = "".join(f"<data>{number:04} {'x' * 480}</data>" for number in range(56))


def ports(response: Response) -> list[int]:
    return [int(port) for port in re.findall(r"^m=audio (\d+) ", response.body, re.MULTILINE)]


def aors(call: Received) -> dict[str, str]:
    told = [*call.of(events.CallStarted), *call.of(events.CallUpdated)]
    return {one.leg: one.speaker.aor for one in told if one.speaker is not None}


def scenario(folder: Path, sbc: str, *, long: bool) -> Path:
    """Writes a scenario of sipp's with the metadata of a kind of SBC in its INVITE."""
    xml = metadata(sbc)
    if long:
        xml = xml.replace("</recording>", f"<extensiondata>{COPIED}</extensiondata></recording>")
    text = SCENARIO.read_text(encoding="utf-8")
    for name, value in {"METADATA": xml.strip(), "ONE": LABELS[sbc][0], "TWO": LABELS[sbc][1]}.items():
        text = text.replace(f"@{name}@", value)
    path = folder / f"{sbc}{'-long' if long else ''}.xml"
    path.write_text(text, encoding="utf-8")
    return path


async def test_the_metadata_of_three_sbcs_from_sipp(tmp_path: Path, claim: Claim) -> None:
    async with Recogniser() as server, GatewayProcess(tmp_path, asr=recogniser(server), settings=ROLES) as gateway:
        for count, sbc in enumerate(SPEAKERS, 1):
            done = await sipp.run(scenario(tmp_path, sbc, long=False), gateway.sip, port=free_port(), hold_ms=300)
            assert done.passed, done.errors + done.messages
            call = (await gateway.completed(count))[-1]
            legs = aors(call)
            claim(f"sipp with {sbc}'s metadata: legs by their speakers", ", ".join(legs), legs == SPEAKERS[sbc])


async def test_an_invite_of_30_kb_over_tcp(tmp_path: Path, claim: Claim) -> None:
    port = free_port(socket.SOCK_STREAM)
    listen = [f"tcp:127.0.0.1:{port}"]
    async with (
        Recogniser() as server,
        GatewayProcess(tmp_path, asr=recogniser(server), settings=ROLES, listen=listen) as gateway,
    ):
        path = scenario(tmp_path, "cisco", long=True)
        done = await sipp.run(path, f"127.0.0.1:{port}", port=free_port(), hold_ms=300, transport="tcp")
        assert done.passed, done.errors
        size = max(len(part.encode()) for part in re.split(r"^-{20,}.*$", done.messages, flags=re.MULTILINE))
        (call,) = await gateway.completed()
        legs = aors(call)
    claim("sipp over TCP: bytes of the INVITE that was taken", size, size > 30_000 and legs == SPEAKERS["cisco"])


@pytest.mark.parametrize("labels", [("1", "2"), ("", "")])
async def test_each_speaker_has_a_leg(tmp_path: Path, labels: tuple[str, str], claim: Claim) -> None:
    """Two streams, a third added, one paused and one taken out in mid-session; with labels and without."""
    first, second = labels
    third = "3" if first else ""
    lines = [Line(4000, first), Line(4010, second)]
    added = (
        "<recording><datamode>partial</datamode>"
        '<participant participant_id="c"><nameID aor="sip:3003@x"/></participant>'
        '<stream stream_id="s3"><label>3</label></stream>'
        '<participantstreamassoc participant_id="c"><send>s3</send></participantstreamassoc></recording>'
    )
    renamed = added.replace('aor="sip:3003@x"/>', 'aor="sip:3003@x"><name>Clara</name></nameID>')
    async with Recogniser() as server, GatewayProcess(tmp_path, asr=recogniser(server), settings=ROLES) as gateway:
        peer = SipPeer(gateway.sip_port)
        senders: list[RtpSender] = []
        try:
            answered = await peer.invite(body(lines, metadata("cisco")), headers=REQUIRE, content=CONTENT)
            assert answered.code == 200, answered.text
            senders = [RtpSender(port, ssrc=ssrc) for ssrc, port in enumerate(ports(answered), 1)]
            await asyncio.gather(senders[0].play(spoken([17, 18])), senders[1].play(spoken([33, 34, 35])))
            three = [*lines, Line(4020, third, payload_type=0)]
            answered = await peer.invite(body(three, added, version=2), content=CONTENT)
            senders.append(RtpSender(ports(answered)[2], ssrc=3, payload_type=0))
            await asyncio.gather(
                senders[0].play(spoken([19])), senders[2].play(spoken([49], word_ms=600, codec="mulaw"))
            )
            # the first is paused, the second taken out, the third has a name now
            later = [Line(4000, first, "inactive"), Line(0, second), three[2]]
            answered = await peer.invite(body(later, renamed, version=3), content=CONTENT)
            assert answered.code == 200
            await senders[2].play(spoken([50], word_ms=600, codec="mulaw"))
            assert (await peer.bye()).code == 200
        finally:
            peer.close()
            for sender in senders:
                sender.close()
        (call,) = await gateway.completed()
    names = ["1001", "agent", "3003"] if first else ["stream", "stream-2", "stream-3"]
    assert call.completed is not None
    received = {leg.leg: leg.received for leg in call.completed.legs}
    assert received == {name: sender.sent for name, sender in zip(names, senders, strict=True)}
    said = {name: call.text(name).split() for name in names}
    expected = {names[0]: ["w17", "w18", "w19"], names[1]: ["w33", "w34", "w35"], names[2]: ["w49", "w50"]}
    kind = "labelled" if first else "unlabelled"
    claim(f"SIPREC, {kind} streams: each leg's words alone", said, said == expected)
    changes = [(update.leg, update.change) for update in call.of(events.CallUpdated)]
    assert (names[2], "leg_added") in changes
    assert (names[0], "held") in changes
    assert changes.index((names[1], "leg_ended")) < changes.index((names[2], "leg_ended"))
    if first:
        (named,) = [update.speaker for update in call.of(events.CallUpdated) if update.change == "speaker"]
        assert (named.aor, named.name) == ("sip:3003@x", "Clara")


async def test_encrypted_streams_have_a_key_each(tmp_path: Path, claim: Claim) -> None:
    """The packets of the third stream pass 65536, which decryption counts, before the second is taken out."""
    lines = [Line(4000 + 10 * index, str(index), key=bytes([index + 1] * 30)) for index in range(3)]
    values = [[17, 18], [33, 34], [49, 50]]
    async with (
        Recogniser() as server,
        GatewayProcess(tmp_path, asr=recogniser(server), peer='srtp = "required"\n') as gateway,
    ):
        peer = SipPeer(gateway.sip_port)
        senders: list[RtpSender] = []
        try:
            answered = await peer.invite(offer(lines))
            assert answered.code == 200, answered.text
            senders = [
                RtpSender(port, ssrc=ssrc, key=line.key, sequence=65_520)
                for ssrc, (port, line) in enumerate(zip(ports(answered), lines, strict=True), 1)
            ]
            await asyncio.gather(
                *(sender.play(spoken(said, word_ms=600)) for sender, said in zip(senders, values, strict=True))
            )
            fewer = [lines[0], replace(lines[1], port=0), lines[2]]
            assert (await peer.invite(offer(fewer, version=2))).code == 200
            await asyncio.gather(*(senders[index].play(spoken([20 + index], word_ms=600)) for index in (0, 2)))
            assert (await peer.bye()).code == 200
        finally:
            peer.close()
            for sender in senders:
                sender.close()
        (call,) = await gateway.completed()
    said = {leg: call.text(leg) for leg in ("stream-0", "stream-1", "stream-2")}
    expected = {"stream-0": "w17 w18 w20", "stream-1": "w33 w34", "stream-2": "w49 w50 w22"}
    claim("SIPREC over SRTP, a key each: each stream's words alone", said, said == expected)
    assert call.completed is not None
    assert [leg.received for leg in call.completed.legs] == [sender.sent for sender in senders]
    (ended,) = [event.data for event in call.events if event.type == "call.ended"]
    unauthentic = sum(leg.unauthentic for leg in ended.quality)
    claim("SIPREC over SRTP: packets that were not authentic", unauthentic, unauthentic == 0)


async def test_an_sbc_without_siprec_s_marks(tmp_path: Path) -> None:
    """Two labelled streams and nothing else: no Require, no metadata, one body."""
    async with Recogniser() as server, GatewayProcess(tmp_path, asr=recogniser(server)) as gateway:
        peer = SipPeer(gateway.sip_port)
        answered = await peer.invite(offer([Line(4000, "in"), Line(4010, "out")]))
        assert len(ports(answered)) == 2
        await peer.bye()
        peer.close()
        (call,) = await gateway.completed()
    assert call.completed is not None
    assert {leg.leg for leg in call.completed.legs} == {"stream-in", "stream-out"}
    assert BOUNDARY not in answered.text
