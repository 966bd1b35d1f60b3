"""What dialogs go through with real PBXs: each case with the real process and a peer whose every byte is ours."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from gateway.sip.build import installed
from gateway.sip.commands import Accept, Hangup
from gateway.sip.events import Ended, Established, Incoming, Media, Pressed, Recorded, Refused
from tests.peers.sip_peer import Response, SipPeer, sdp
from tests.sip.conftest import RTP_PORT, Start, up

needs_work = pytest.mark.skipif(installed().name != "work", reason="more calls than the quick build holds")


# 100rel


async def test_a_caller_that_insists_on_prack_gets_a_reliable_180(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    peer.send("INVITE", sdp(), headers="Require: 100rel\r\nSupported: 100rel\r\n")
    ringing = await provisional(peer)
    assert (ringing.code, ringing.header("Require")) == (180, "100rel")
    peer.to_tag = tag(ringing)
    peer.send("PRACK", headers=f"RAck: {ringing.header('RSeq')} 1 INVITE\r\n")
    answers = [await peer.receive(), await peer.receive()]
    while any(answer.code == 180 for answer in answers):  # retransmitted while the PRACK was on its way
        answers = [*(answer for answer in answers if answer.code != 180), await peer.receive()]
    assert {answer.header("CSeq"): answer.code for answer in answers} == {"2 PRACK": 200, "1 INVITE": 200}
    (final,) = (answer for answer in answers if answer.header("CSeq") == "1 INVITE")
    assert f"m=audio {RTP_PORT} RTP/AVP 8 101\r\n" in final.body
    peer.send("ACK", cseq=1, branch="ack")
    await gateway.wait_for(Established)
    assert (await peer.bye()).code == 200


async def test_a_caller_that_can_prack_and_need_not_gets_no_180(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    peer.send("INVITE", sdp(), headers="Supported: 100rel\r\n")
    assert [(await peer.receive()).code for _ in range(2)] == [100, 200]


# UPDATE


async def test_update_with_and_without_sdp(start: Start) -> None:
    gateway = await start()
    peer = await up(gateway)
    peer.send("UPDATE")
    assert (await peer.final("UPDATE")).code == 200
    peer.send("UPDATE", sdp("m=audio 4100 RTP/AVP 0\r\na=inactive\r\n", version=2))
    answered = await peer.final("UPDATE")
    assert answered.code == 200
    assert f"m=audio {RTP_PORT} RTP/AVP 0\r\n" in answered.body
    assert "a=inactive\r\n" in answered.body
    media = (await gateway.wait_for(Media, 2)).streams[0]
    assert (media.held, media.codecs, media.remote_port) == (True, {"0": "mulaw"}, 4100)
    assert (await peer.bye()).code == 200


# re-INVITE


async def test_reinvite_without_sdp_gets_our_offer(start: Start) -> None:
    gateway = await start()
    peer = await up(gateway)
    answered = await peer.invite("", ack=sdp("m=audio 4200 RTP/AVP 8\r\n", version=2))
    assert answered.code == 200
    assert f"m=audio {RTP_PORT} RTP/" in answered.body
    media = (await gateway.wait_for(Media, 2)).streams[0]
    assert (media.remote_port, media.held) == (4200, False)
    assert (await peer.bye()).code == 200


async def test_a_storm_of_reinvites(start: Start) -> None:
    gateway = await start()
    peer = await up(gateway)
    for version in range(2, 42):
        direction = ("inactive", "sendrecv")[version % 2]
        answered = await peer.invite(
            sdp(f"m=audio {4000 + version * 2} RTP/AVP 8\r\na={direction}\r\n", version=version)
        )
        assert (answered.code, version) == (200, version)
    last = (await gateway.wait_for(Media, 41)).streams[0]
    assert (last.remote_port, last.held) == (4082, False)
    assert [media.streams[0].held for media in gateway.of(Media)[1:]] == [True, False] * 20
    assert (await peer.bye()).code == 200


async def test_a_reinvite_while_one_is_open_gets_491_or_500(start: Start) -> None:
    gateway = await start()
    peer = await up(gateway)
    peer.send("INVITE", "", branch="first")  # we offer: it is open until the ACK
    first = await peer.final("INVITE")
    assert first.code == 200
    peer.send("INVITE", sdp(version=3), branch="second")
    second = await peer.final("INVITE")
    while second.header("CSeq") == first.header("CSeq"):  # the 200 is retransmitted until its ACK
        second = await peer.final("INVITE")
    assert second.code in (491, 500)
    peer.send("ACK", cseq=3, branch="second")
    peer.send("ACK", sdp(version=2), cseq=2, branch="ack-2")
    await gateway.wait_for(Media, 2)
    assert (await peer.bye()).code == 200


# session timers


async def test_the_peer_refreshes(start: Start) -> None:
    gateway = await start(session_seconds=1800)
    peer = gateway.peer()
    answered = await peer.invite(sdp(), headers="Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n")
    assert re.fullmatch(r"600;\s*refresher=uac", answered.header("Session-Expires"))
    assert "timer" in answered.header("Require")
    peer.send("UPDATE", headers="Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n")
    refreshed = await peer.final("UPDATE")
    assert (refreshed.code, refreshed.header("Session-Expires")[:3]) == (200, "600")
    assert (await peer.bye()).code == 200


async def test_a_session_too_short_gets_422_with_what_we_take(start: Start) -> None:
    gateway = await start(min_session_seconds=120)
    refused = await gateway.peer().invite(sdp(), headers="Supported: timer\r\nSession-Expires: 90\r\n")
    assert (refused.code, refused.header("Min-SE")) == (422, "120")
    peer = gateway.peer()
    taken = await peer.invite(sdp(), headers="Supported: timer\r\nSession-Expires: 120\r\n")
    assert (taken.code, taken.header("Session-Expires")[:3]) == (200, "120")


# CANCEL, retransmissions, forks


async def test_cancel_after_200_changes_nothing(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    peer.send("INVITE", sdp())
    answered = await peer.final("INVITE")
    peer.send("CANCEL", cseq=1)
    assert (await peer.final("CANCEL")).code in (200, 481)
    peer.to_tag = tag(answered)
    peer.send("ACK", cseq=1, branch="ack")
    await gateway.wait_for(Established)
    assert gateway.of(Ended) == []
    assert (await peer.bye()).code == 200
    assert (await gateway.wait_for(Ended)).reason == "bye"


async def test_a_retransmitted_invite_is_one_call(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    for _ in range(3):
        peer.send("INVITE", sdp(), cseq=1)
    answered = await peer.final("INVITE")
    peer.to_tag = tag(answered)
    peer.send("INVITE", sdp(), cseq=1, branch="1")
    peer.send("ACK", cseq=1, branch="ack")
    peer.cseq = 1
    await gateway.wait_for(Established)
    assert (await peer.bye()).code == 200
    assert len(gateway.of(Incoming)) == 1


async def test_one_call_by_two_ways_is_taken_once(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    peer.send("INVITE", sdp(), cseq=1, branch="one-way")
    await gateway.wait_for(Incoming)
    peer.send("INVITE", sdp(), cseq=1, branch="other-way")
    codes = {}
    while len(codes) < 2:
        answer = await peer.final("INVITE")
        codes["other" in answer.header("Via")] = answer.code
    assert codes == {False: 200, True: 482}
    assert len(gateway.of(Incoming)) == 1


async def test_a_lost_200_is_sent_again_until_the_ack(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    peer.send("INVITE", sdp())
    first = await peer.final("INVITE")
    again = await peer.final("INVITE")
    assert again.body == first.body
    peer.to_tag = tag(first)
    peer.send("ACK", cseq=1, branch="ack")
    await gateway.wait_for(Established)
    assert (await peer.bye()).code == 200


# INFO


@needs_work
async def test_every_info_is_answered_and_keys_are_told(start: Start) -> None:
    gateway = await start()
    peer = await up(gateway)
    relay, dtmf = "application/dtmf-relay", "application/dtmf"
    bodies = [
        (relay, "Signal=5\r\nDuration=160\r\n", 200),
        (relay, "Signal=#", 200),
        (dtmf, "7", 200),
        (dtmf, "\x00" * 900, 200),
        (relay, "Signal=\r\nDuration=x", 200),
        ("application/media_control+xml", "<x", 400),
        ("text/plain", "Signal=1", 415),
        ("", "", 200),
    ]
    for content, body, code in bodies:
        peer.send("INFO", body, content=content)
        assert ((await peer.final("INFO")).code, body) == (code, body)
    for value in ("off", "on"):
        peer.send("INFO", headers=f"Record: {value}\r\n")
        assert (await peer.final("INFO")).code == 200
    await gateway.wait_for(Recorded, 2)
    assert [(told.key, told.duration_ms) for told in gateway.of(Pressed)] == [("5", 160), ("#", 0), ("7", 0)]
    assert [told.on for told in gateway.of(Recorded)] == [False, True]
    assert (await peer.bye()).code == 200


async def test_a_retransmitted_info_is_one_key(start: Start) -> None:
    gateway = await start()
    peer = await up(gateway)
    for _ in range(3):
        peer.send("INFO", "Signal=5\r\nDuration=160\r\n", content="application/dtmf-relay", cseq=2)
    peer.cseq = 2
    assert (await peer.final("INFO")).code == 200
    assert (await peer.bye()).code == 200
    await gateway.wait_for(Ended)
    assert len(gateway.of(Pressed)) == 1


async def test_keys_of_a_dialog_that_is_not_there_are_not_told(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    peer.to_tag = "made-up"
    peer.send("INFO", "Signal=5\r\n", content="application/dtmf-relay")
    assert (await peer.final("INFO")).code == 481
    assert gateway.of(Pressed) == []


# what a peer may not have us do


async def test_we_call_nobody_for_a_refer(start: Start) -> None:
    gateway = await start()
    peer = await up(gateway)
    other = gateway.peer()
    peer.send("REFER", headers=f"Refer-To: <sip:victim@{other.here}>\r\n")
    assert (await peer.final("REFER")).code == 603
    assert (await peer.bye()).code == 200
    await gateway.wait_for(Ended)
    with pytest.raises(TimeoutError):
        await other.receive(0.3)


async def test_no_call_takes_another_ones_place(start: Start) -> None:
    gateway = await start()
    peer = await up(gateway)
    tags = f"to-tag={peer.to_tag};from-tag=from-tag"
    taker = await gateway.peer().invite(sdp(), headers=f"Replaces: {peer.call_id};{tags}\r\n")
    assert taker.code == 603
    assert gateway.of(Ended) == []
    assert len(gateway.of(Incoming)) == 1
    assert (await peer.bye()).code == 200


# what a peer's section says


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_digest(start: Start, algorithm: str) -> None:
    from tests.sip.test_digest import credentials, nonce

    gateway = await start(peers=[{"name": "trunk", "username": "pbx", "password": "secret"}])
    peer = gateway.peer()
    challenged = await peer.invite(sdp())
    assert challenged.code == 401
    challenges = re.findall(r"WWW-Authenticate: (.*)\r", challenged.text)
    (challenge,) = (value for value in challenges if f"algorithm={algorithm}," in value)
    assert gateway.of(Refused) == []
    proof = {"realm": "asr-gateway", "uri": peer.uri, "algorithm": algorithm}
    wrong = credentials(nonce(challenge), **proof, password="guess")
    assert (await peer.invite(sdp(), headers=f"Authorization: {wrong}\r\n")).code == 401
    unknown = credentials(nonce(challenge), **proof, username="nobody")
    assert (await peer.invite(sdp(), headers=f"Authorization: {unknown}\r\n")).code == 401
    assert {refused.cause for refused in gateway.of(Refused)} == {"unauthorized"}
    right = credentials(nonce(challenge), **proof)
    assert (await peer.invite(sdp(), headers=f"Authorization: {right}\r\n")).code == 200
    assert [incoming.peer for incoming in gateway.of(Incoming)] == ["trunk"]
    replayed = gateway.peer()
    replayed.uri = peer.uri
    assert (await replayed.invite(sdp(), headers=f"Authorization: {right}\r\n")).code == 401
    assert (await peer.bye()).code == 200


# listeners


@needs_work
async def test_several_listeners_of_both_families(start: Start) -> None:
    gateway = await start(
        listen=["udp:127.0.0.1:0", "udp:127.0.0.2:0", "tcp:127.0.0.1:0", "udp:[::1]:0", "tcp:[::1]:0"],
        peers=[{"name": "any", "networks": ["0.0.0.0/0", "::/0"]}],
    )
    assert [where.rpartition(":")[0] for where in gateway.ready.listening] == [
        "udp:127.0.0.1",
        "udp:127.0.0.2",
        "tcp:127.0.0.1",
        "udp:[::1]",
        "tcp:[::1]",
    ]
    assert len({where.rpartition(":")[2] for where in gateway.ready.listening}) >= 2


async def test_the_advertised_address_is_what_peers_are_told(start: Start) -> None:
    gateway = await start(listen=["udp:127.0.0.1:0"], advertise="192.0.2.77")
    peer = gateway.peer()
    answered = await peer.invite(sdp())
    assert f"192.0.2.77:{gateway.port}" in answered.header("Contact")


async def provisional(peer: SipPeer) -> Response:
    while (response := await peer.receive()).code == 100:
        pass
    return response


def tag(response: Response) -> str:
    return re.search(r";tag=([^;\s]+)", response.header("To"))[1]


async def test_accept_meets_a_cancel(start: Start) -> None:
    gateway = await start(accepts=False)
    for turn in range(1, 11):
        peer = gateway.peer()
        peer.send("INVITE", sdp())
        incoming = await gateway.wait_for(Incoming, turn)
        peer.send("CANCEL", cseq=1)
        gateway.link.send(Accept(incoming.dialog, "127.0.0.1", [RTP_PORT]))
        final = await peer.final("INVITE")
        assert final.code in (200, 487)
        peer.to_tag = tag(final)
        if final.code == 200:
            peer.send("ACK", cseq=1, branch="ack")
            assert (await peer.bye()).code == 200
        else:
            peer.send("ACK", cseq=1)
        ended = await gateway.wait_for(Ended, turn)
        assert ended.reason == ("bye" if final.code == 200 else "cancel")
    await asyncio.sleep(0)
    assert gateway.link.restarts == 0


async def test_a_contact_that_no_name_server_knows_holds_nothing_up(start: Start) -> None:
    gateway = await start(nameservers=["127.0.0.9"])
    peer = gateway.peer()
    peer.contact = "pbx.example.org:5060"
    assert (await peer.invite(sdp())).code == 200
    established = await gateway.wait_for(Established)
    gateway.link.send(Hangup(established.dialog))
    other = gateway.peer()
    for _ in range(20):
        began = time.monotonic()
        other.send("OPTIONS")
        assert (await other.final("OPTIONS")).code == 200
        assert time.monotonic() - began < 1.0
        await asyncio.sleep(0.05)
