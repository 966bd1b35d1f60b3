"""The real signalling process against a peer whose every byte is ours."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.sip.build import installed
from gateway.sip.commands import Drain, Hangup, Reject
from gateway.sip.events import Ended, Established, Incoming, Kept, Media, Refused, StreamMedia
from gateway.sip.link import LinkError
from gateway.sip.stack import LINES
from tests.peers.sip_peer import sdp
from tests.sip.conftest import RTP_PORT, Signalling, Start

G729 = "m=audio 4000 RTP/AVP 18\r\n"
NONSENSE = b"OPTIONS nonsense\r\n\r\n" * 2
GSM = "m=audio 4000 RTP/AVP 3\r\n"
FAX = "m=image 4000 udptl t38\r\n"
SRTP = f"m=audio 4000 RTP/SAVP 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{'A' * 40}\r\n"


def kinds(events: list[object]) -> list[str]:
    return [type(event).__name__ for event in events]


async def refusals(gateway: Signalling) -> dict[str, int]:
    """Waits for news of refused calls, which the build for work counts in its gate; returns them by cause."""
    if gateway.ready.build == "work":
        return (await gateway.wait_for(Kept)).counts
    return {(await gateway.wait_for(Refused)).cause: 1}


async def test_a_call_from_invite_to_bye(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer(user="4711")
    answered = await peer.invite(sdp(), headers="X-Call-Id: k7\r\nP-Asserted-Identity: <sip:+49301@pbx>\r\n")
    assert answered.code == 200
    assert answered.header("Content-Type") == "application/sdp"
    assert f"m=audio {RTP_PORT} RTP/AVP 8 101\r\n" in answered.body
    assert "a=recvonly\r\n" in answered.body
    assert answered.body.count("m=") == 1
    assert "s=-\r\n" in answered.body, "the SDP on the wire is not ours"
    await gateway.wait_for(Established)
    assert (await peer.bye()).code == 200
    ended = await gateway.wait_for(Ended)

    assert kinds(gateway.events) == ["Ready", "Incoming", "Media", "Established", "Ended"]
    incoming = gateway.of(Incoming)[0]
    assert incoming.sip_call_id == peer.call_id
    assert (incoming.from_tag, incoming.from_uri) == ("from-tag", "sip:anna@example.org")
    assert incoming.request_uri == incoming.to_uri == peer.uri
    assert (incoming.source, incoming.transport) == (peer.here, "udp")
    assert incoming.headers["x-call-id"] == ["k7"]
    assert incoming.headers["p-asserted-identity"] == ["<sip:+49301@pbx>"]
    assert incoming.offer == sdp()
    number = incoming.dialog
    stream = StreamMedia(RTP_PORT, "", {"8": "alaw", "0": "mulaw"}, 101, -1, "127.0.0.1", 4000, held=False)
    assert gateway.of(Media)[0] == Media(number, [stream])
    assert (ended.dialog, ended.reason) == (number, "bye")


async def test_trying_is_sent_while_the_gateway_thinks(start: Start) -> None:
    gateway = await start(accepts=False)
    peer = gateway.peer()
    peer.send("INVITE", sdp())
    assert (await peer.receive()).code == 100


async def test_hold_and_resume(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    first = await peer.invite(sdp())
    for version, direction, held, ours in (
        (2, "inactive", True, "inactive"),
        (3, "recvonly", True, "inactive"),
        (4, "sendonly", True, "recvonly"),
        (5, "sendrecv", False, "recvonly"),
    ):
        media = "m=audio 4100 RTP/AVP 0\r\n" + f"a={direction}\r\n"
        answered = await peer.invite(sdp(media, version=version))
        assert (answered.code, direction) == (200, direction)
        assert f"m=audio {RTP_PORT} RTP/AVP 0\r\n" in answered.body
        assert f"a={ours}\r\n" in answered.body
        (event,) = (await gateway.wait_for(Media, version)).streams
        assert (event.held, event.codecs, event.remote_port) == (held, {"0": "mulaw"}, 4100)
    old_style = await peer.invite(sdp(address="0.0.0.0", version=6))
    assert old_style.code == 200
    assert (await gateway.wait_for(Media, 6)).streams[0].held
    assert first.body.split()[1].split(" ")[0] == old_style.body.split()[1].split(" ")[0], "o= names another session"
    await peer.bye()
    assert (await gateway.wait_for(Ended)).reason == "bye"
    assert len(gateway.of(Established)) == 1


async def test_late_offer(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    answered = await peer.invite("", ack=sdp("m=audio 4200 RTP/AVP 0\r\n", address="127.0.0.9"))
    assert answered.code == 200
    assert f"m=audio {RTP_PORT} RTP/AVP 8 0 101 13\r\n" in answered.body
    (media,) = (await gateway.wait_for(Media)).streams
    assert (media.remote_address, media.remote_port, media.held) == ("127.0.0.9", 4200, False)
    assert list(media.codecs.items()) == [("0", "mulaw"), ("8", "alaw")]
    await gateway.wait_for(Established)
    assert gateway.of(Incoming)[0].offer == ""
    await peer.bye()
    await gateway.wait_for(Ended)


async def test_cancel(start: Start) -> None:
    gateway = await start(accepts=False)
    peer = gateway.peer()
    peer.send("INVITE", sdp())
    await gateway.wait_for(Incoming)
    peer.send("CANCEL", cseq=1)
    assert (await peer.final("INVITE")).code == 487
    ended = await gateway.wait_for(Ended)
    assert (ended.reason, ended.code) == ("cancel", 487)
    await asyncio.sleep(0.1)
    assert len(gateway.of(Ended)) == 1


async def test_our_hang_up_sends_bye(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    await peer.invite(sdp())
    established = await gateway.wait_for(Established)
    gateway.link.send(Hangup(established.dialog))
    gateway.link.send(Hangup(established.dialog))
    assert (await peer.request("BYE")).header("Call-ID") == peer.call_id
    assert (await gateway.wait_for(Ended)).reason == "hangup"


async def test_hang_up_before_the_answer(start: Start) -> None:
    gateway = await start(accepts=False)
    peer = gateway.peer()
    peer.send("INVITE", sdp())
    gateway.link.send(Hangup((await gateway.wait_for(Incoming)).dialog))
    assert (await peer.final("INVITE")).code == 480
    assert (await gateway.wait_for(Ended)).reason == "hangup"


async def test_reject(start: Start) -> None:
    gateway = await start(accepts=False)
    peer = gateway.peer()
    peer.send("INVITE", sdp())
    gateway.link.send(Reject((await gateway.wait_for(Incoming)).dialog, 503, retry_after=33))
    refused = await peer.final("INVITE")
    assert (refused.code, refused.header("Retry-After")) == (503, "33")
    ended = await gateway.wait_for(Ended)
    assert (ended.reason, ended.code) == ("refused", 503)


@pytest.mark.parametrize("media", [G729, GSM, FAX, SRTP], ids=["g729", "gsm", "fax", "srtp"])
async def test_no_common_codec(start: Start, media: str) -> None:
    gateway = await start()
    assert (await gateway.peer().invite(sdp(media))).code == 488
    refused = await gateway.wait_for(Refused)
    assert (refused.code, refused.cause) == (488, "no_common_codec")
    assert (await gateway.peer().invite(sdp())).code == 200, "the next call does not work"


async def test_reinvite_without_a_common_codec_changes_nothing(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    await peer.invite(sdp())
    assert (await peer.invite(sdp(GSM, version=2))).code == 488
    assert (await peer.invite(sdp(version=3))).code == 200
    await gateway.wait_for(Media, 2)
    assert gateway.of(Ended) == []
    assert (await peer.bye()).code == 200


@pytest.mark.parametrize(
    "body", ["hello\r\n", "v=0\r\nm=audio\r\n", "v=0\r\n" + "m=" * 500, "\0\r\n", "v=0\r\no=- 1 1 IN IP4 h\r\n"]
)
async def test_sdp_that_does_not_parse(start: Start, body: str) -> None:
    gateway = await start()
    refused = await gateway.peer().invite(body)
    assert 400 <= refused.code < 500
    assert gateway.of(Incoming) == []
    peer = gateway.peer()
    assert (await peer.invite(sdp())).code == 200, "the next call does not work"
    assert gateway.link.restarts == 0


async def test_a_host_name_in_sdp_is_refused_rather_than_looked_up(start: Start) -> None:
    gateway = await start()
    offer = sdp().replace("c=IN IP4 127.0.0.1", "c=IN IP4 pbx.example.org")
    assert (await gateway.peer().invite(offer)).code == 488


async def test_full(start: Start) -> None:
    gateway = await start(max_calls=2, retry_after=9)
    peers = [gateway.peer() for _ in range(3)]
    assert [(await peer.invite(sdp())).code for peer in peers[:2]] == [200, 200]
    refused = await peers[2].invite(sdp())
    assert (refused.code, refused.header("Retry-After")) == (503, "9")
    assert await refusals(gateway) == {"full": 1}
    await peers[0].bye()
    await gateway.wait_for(Ended)
    assert (await gateway.peer().invite(sdp())).code == 200


@pytest.mark.skipif(installed().name != "trial", reason="the build for work has room to refuse by itself")
async def test_the_trial_build_holds_four_calls_and_its_stack_refuses_the_fifth(start: Start) -> None:
    gateway = await start()
    assert (gateway.ready.build, gateway.ready.capacity) == ("trial", 4)
    assert [(await gateway.peer().invite(sdp())).code for _ in range(5)] == [200, 200, 200, 200, 486]
    refused = await gateway.wait_for(Refused)
    assert (refused.code, refused.cause) == (486, "full")


async def test_draining_refuses_new_calls_and_keeps_old_ones(start: Start) -> None:
    gateway = await start()
    old = gateway.peer()
    await old.invite(sdp())
    gateway.link.send(Drain(retry_after=21))
    refused = await gateway.peer().invite(sdp())
    while refused.code == 200:  # the command may still be on its way
        refused = await gateway.peer().invite(sdp())
    assert (refused.code, refused.header("Retry-After")) == (503, "21")
    assert await refusals(gateway) == {"draining": 1}
    asked = gateway.peer()
    asked.send("OPTIONS")
    answered = await asked.final("OPTIONS")
    if gateway.ready.build == "work":
        assert (answered.code, answered.header("Retry-After")) == (503, "21")
    assert (await old.invite(sdp(version=2))).code == 200
    assert (await old.bye()).code == 200


async def test_options(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    peer.send("OPTIONS")
    answered = await peer.final("OPTIONS")
    assert answered.code == 200
    assert "INVITE" in answered.header("Allow")
    assert answered.header("User-Agent") == "asr-gateway/test"


async def test_multipart_body(start: Start) -> None:
    gateway = await start()
    parts = [f"Content-Type: application/sdp\r\n\r\n{sdp()}", "Content-Type: text/plain\r\n\r\nhi"]
    body = "".join(f"--b1\r\n{part}\r\n" for part in parts) + "--b1--\r\n"
    assert (await gateway.peer().invite(body, content="multipart/mixed;boundary=b1")).code == 200
    assert gateway.of(Incoming)[0].offer.startswith("v=0\r\n")


async def test_headers_that_are_no_utf8_reach_the_gateway(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    peer.send("INVITE", sdp(), headers="X-Name: \udcff ä\r\n")
    assert (await gateway.wait_for(Incoming)).headers["x-name"] == ["\ufffd ä"]


async def test_a_port_that_is_taken_is_told_with_what_to_do(start: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"tcp:127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(LinkError, match=rf"cannot listen at {address}.*change sip\.listen"):
            await start(listen=[address])


async def test_stop_hangs_up_what_is_left(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    await peer.invite(sdp())
    await gateway.wait_for(Established)
    stopping = asyncio.create_task(gateway.link.stop())
    await peer.request("BYE")
    await stopping
    assert gateway.of(Ended)[0].reason == "hangup"
    assert gateway.link.pid is None
    assert gateway.lost == 0


async def test_ipv6_in_sdp(start: Start) -> None:
    gateway = await start()
    gateway.address = "::1"
    answered = await gateway.peer().invite(sdp(address="::1").replace("IP4", "IP6"))
    assert answered.code == 200
    assert "c=IN IP6 ::1\r\n" in answered.body
    assert (await gateway.wait_for(Media)).streams[0].remote_address == "::1"


async def test_an_answer_of_the_other_address_family_ends_the_call_and_nothing_else(start: Start) -> None:
    gateway = await start()
    assert (await gateway.peer().invite(sdp(address="::1").replace("IP4", "IP6"))).code == 488
    ended = await gateway.wait_for(Ended)
    assert (ended.reason, ended.code) == ("failed", 488)
    assert (await gateway.peer().invite(sdp())).code == 200
    assert gateway.link.restarts == 0


async def test_the_log_of_the_stack_is_told_as_far_as_it_is_asked_for(start: Start) -> None:
    quiet, chatty = await start(), await start(log_level=5)
    for gateway in (quiet, chatty):
        gateway.peer().send("OPTIONS")
    await chatty.wait_for_log("OPTIONS sip:100@127.0.0.1")
    assert quiet.logged == []
    quiet.peer().write(NONSENSE)
    await quiet.wait_for_log("syntax error")


async def test_a_flood_of_complaints_is_no_flood_of_lines(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    for _ in range(5 * LINES):
        peer.write(NONSENSE)
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while not any("more lines in a second" in line.text for line in gateway.logged):
            peer.write(NONSENSE)
            await asyncio.sleep(0.2)
    assert len(gateway.logged) <= 3 * LINES
