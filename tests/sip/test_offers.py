"""What is answered to the offers of real PBXs: streams, packet times, RTCP, encryption, directions."""

from __future__ import annotations

import base64
import re

import pytest

from gateway.sip import sdes
from gateway.sip.events import Established, Media
from tests.peers.sip_peer import G711, sdp
from tests.sip.conftest import RTP_PORT, Start, peers

KEY = base64.b64encode(bytes(range(30))).decode()
SAVP = f"m=audio 4000 RTP/SAVP 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"
VIDEO = "m=video 4002 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n"


async def test_four_streams_get_one_port_and_three_refusals_in_order(start: Start) -> None:
    gateway = await start()
    media = (
        "m=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" + G711 + "m=image 6000 udptl t38\r\n"
        "m=audio 7000 RTP/AVP 8\r\n"
    )
    peer = gateway.peer()
    answered = await peer.invite(sdp(media))
    assert answered.code == 200
    lines = re.findall(r"m=(\w+) (\d+)", answered.body)
    assert lines == [("video", "0"), ("audio", str(RTP_PORT)), ("image", "0"), ("audio", "0")]
    assert (await gateway.wait_for(Media)).streams[0].remote_port == 4000
    assert (await peer.bye()).code == 200


@pytest.mark.parametrize(
    ("asked", "answered"),
    [("a=ptime:10\r\n", 10), ("a=ptime:60\r\n", 60), ("a=ptime:5\r\n", 20), ("a=ptime:40\r\na=maxptime:30\r\n", 30)],
)
async def test_ptime(start: Start, asked: str, answered: int) -> None:
    gateway = await start()
    assert f"a=ptime:{answered}\r\n" in (await gateway.peer().invite(sdp(G711 + asked))).body


async def test_rtcp_on_the_rtp_port(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    answered = await peer.invite(sdp(G711 + "a=rtcp-mux\r\na=rtcp:4111\r\n"))
    assert "a=rtcp-mux\r\n" in answered.body
    media = (await gateway.wait_for(Media)).streams[0]
    assert (media.rtcp_mux, media.rtcp_port) == (True, 4111)
    again = await peer.invite("", ack=sdp(G711 + "a=rtcp-mux\r\n", version=2))
    assert "a=rtcp-mux\r\n" in again.body, "what was negotiated is offered again"
    assert (await gateway.wait_for(Media, 2)).streams[0].rtcp_mux
    without = await peer.invite(sdp(version=3))
    assert "rtcp" not in without.body
    media = (await gateway.wait_for(Media, 3)).streams[0]
    assert (media.rtcp_mux, media.rtcp_port) == (False, 0)
    assert (await peer.bye()).code == 200


async def test_the_rtcp_port_of_an_answer_to_our_offer(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    await peer.invite("", ack=sdp("m=audio 4200 RTP/AVP 8\r\na=rtcp:4301\r\n"))
    media = (await gateway.wait_for(Media)).streams[0]
    assert (media.remote_port, media.rtcp_port, media.rtcp_mux) == (4200, 4301, False)
    assert (await peer.bye()).code == 200


@pytest.mark.parametrize("srtp", ["optional", "required"])
async def test_srtp(start: Start, srtp: str) -> None:
    gateway = await start(peers=peers(srtp=srtp))
    peer = gateway.peer()
    answered = await peer.invite(sdp(SAVP))
    assert answered.code == 200
    assert f"m=audio {RTP_PORT} RTP/SAVP 8" in answered.body
    ours = sdes.read(re.search(r"a=crypto:(.*)\r", answered.body)[1])
    media = (await gateway.wait_for(Media)).streams[0]
    assert media.srtp == {"suite": "AES_CM_128_HMAC_SHA1_80", "remote": KEY, "local": ours.key}
    again = await peer.invite(sdp(SAVP, version=2))
    assert ours.line() in again.body, "the key changed without need"
    plain = await gateway.peer().invite(sdp())
    assert plain.code == (200 if srtp == "optional" else 488)
    assert (await peer.bye()).code == 200


async def test_srtp_with_our_own_offer(start: Start) -> None:
    gateway = await start(peers=peers(srtp="required"))
    peer = gateway.peer()
    ack = sdp(f"m=audio 4200 RTP/SAVP 8\r\na=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:{KEY}\r\n")
    answered = await peer.invite("", ack=ack)
    assert answered.code == 200
    offered = [sdes.read(value) for value in re.findall(r"a=crypto:(.*)\r", answered.body)]
    assert [crypto.suite for crypto in offered] == list(sdes.SUITES)
    media = (await gateway.wait_for(Media)).streams[0]
    assert media.srtp == {"suite": "AES_CM_128_HMAC_SHA1_32", "remote": KEY, "local": offered[1].key}
    assert media.remote_port == 4200
    await gateway.wait_for(Established)
    assert [type(event).__name__ for event in gateway.events][-2:] == ["Media", "Established"]
    assert (await peer.bye()).code == 200


async def test_sendrecv(start: Start) -> None:
    gateway = await start(peers=peers(direction="sendrecv"))
    answered = await gateway.peer().invite(sdp())
    assert "a=sendrecv\r\n" in answered.body
    assert (await gateway.wait_for(Media)).streams[0].sends


@pytest.mark.parametrize("lines", [1, 7])
async def test_a_re_invite_without_an_offer_after_one_with_video_ends_nothing(start: Start, lines: int) -> None:
    """Ended the process: the stack adds up the lines that it has and those that it may add, unchecked."""
    gateway = await start()
    peer = gateway.peer()
    audio = "m=audio 4000 RTP/AVP 8\r\n"
    assert (await peer.invite(sdp(audio + VIDEO * lines))).code == 200
    answered = await peer.invite("", ack=sdp(audio, version=2))
    assert answered.code == 200
    assert answered.body.count("m=") == 1 + lines, (
        "an offer never has fewer lines than were there (RFC 3264, section 8)"
    )
    assert (await peer.bye()).code == 200
    assert gateway.lost == 0


async def test_an_offer_of_more_lines_than_the_stack_can_double_is_refused(start: Start) -> None:
    gateway = await start()
    assert (await gateway.peer().invite(sdp("m=audio 4000 RTP/AVP 8\r\n" + VIDEO * 8))).code == 488
    assert (await gateway.peer().invite(sdp())).code == 200
    assert gateway.lost == 0
