"""Recording sessions (SIPREC) on the real stack, with what real recording clients do to it."""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import replace

import pytest

from gateway.sip.build import BuildError, installed
from gateway.sip.commands import Accept, Spare
from gateway.sip.events import Ended, Established, Incoming, Media, Metadata
from tests.peers.recording import CONTENT, REQUIRE, Line, body, metadata, offer
from tests.sip.conftest import RTP_PORT, Signalling, Start

LINES = [Line(4000, "1"), Line(4010, "2")]
CISCO = metadata("cisco")


def work_build() -> bool:
    try:
        return installed().name == "work"
    except BuildError:
        return False


pytestmark = pytest.mark.skipif(not work_build(), reason="the quick pjsua2 knows no SIPREC")


def streams(gateway: Signalling, index: int = -1) -> list[tuple[int, str, int, bool]]:
    told = gateway.of(Media)[index].streams
    return [(stream.port, stream.label, stream.remote_port, stream.held) for stream in told]


@pytest.mark.parametrize("kind", ["application/rs-metadata+xml", "application/rs-metadata"])
async def test_an_invite_that_requires_siprec(start: Start, kind: str) -> None:
    gateway = await start()
    peer = gateway.peer()
    answered = await peer.invite(body(LINES, CISCO, kind=kind), headers=REQUIRE, content=CONTENT)
    assert answered.code == 200, answered.text
    assert "+sip.srs" in answered.header("Contact")
    lines = [line for line in answered.body.split("\r\n") if line.startswith(("m=", "a=label", "a=recv", "a=send"))]
    assert lines == [
        *(f"m=audio {RTP_PORT} RTP/AVP 8", "a=label:1", "a=recvonly"),
        *(f"m=audio {RTP_PORT + 2} RTP/AVP 8", "a=label:2", "a=recvonly"),
    ]
    await gateway.wait_for(Established)
    incoming = gateway.of(Incoming)[0]
    assert (incoming.recording, incoming.streams) == (True, 2)
    assert incoming.metadata.split() == CISCO.split()
    assert streams(gateway) == [(RTP_PORT, "1", 4000, False), (RTP_PORT + 2, "2", 4010, False)]
    await peer.bye()
    assert (await gateway.wait_for(Ended)).reason == "bye"


@pytest.mark.parametrize(
    ("headers", "lines", "xml"),
    [
        (REQUIRE, [Line(4000), Line(4010)], CISCO),  # no labels
        (REQUIRE, [Line(4000), Line(4010, "2")], CISCO),  # one label
        (REQUIRE, LINES, ""),  # no metadata
        (REQUIRE, [Line(4000), Line(4010)], ""),
        ("", LINES, CISCO),  # nothing required
        ("", [Line(4000), Line(4010)], ""),
    ],
)
async def test_missing_labels_metadata_and_require(start: Start, headers: str, lines: list[Line], xml: str) -> None:
    gateway = await start()
    content = CONTENT if xml else "application/sdp"
    answered = await gateway.peer().invite(body(lines, xml) if xml else offer(lines), headers=headers, content=content)
    assert answered.code == 200, answered.text
    await gateway.wait_for(Established)
    assert [line[:3] for line in streams(gateway)] == [
        (RTP_PORT, lines[0].label, 4000),
        (RTP_PORT + 2, lines[1].label, 4010),
    ]


async def test_a_re_invite_without_labels_after_one_with_them_ends_nothing(start: Start) -> None:
    """Ended the process in pjproject 2.17: label_attr was null in pjsua_media_channel_create_sdp."""
    gateway = await start()
    peer = gateway.peer()
    await peer.invite(body(LINES, CISCO), headers=REQUIRE, content=CONTENT)
    again = await peer.invite(offer([Line(4000), Line(4010)], version=2))
    assert again.code == 200, again.text
    assert (await peer.bye()).code == 200
    assert gateway.link.restarts == gateway.lost == 0


async def test_a_stream_is_added_paused_and_taken_out(start: Start) -> None:
    gateway = await start(accepts=False)
    peer = gateway.peer()
    inviting = asyncio.create_task(peer.invite(body(LINES, CISCO), headers=REQUIRE, content=CONTENT))
    number = (await gateway.wait_for(Incoming)).dialog
    gateway.link.send(Accept(number, "127.0.0.1", [RTP_PORT, RTP_PORT + 2]))
    gateway.link.send(Spare(number, [30000]))
    assert (await inviting).code == 200
    added = '<recording><datamode>partial</datamode><stream stream_id="s3"><label>3</label></stream></recording>'
    three = [*LINES, Line(4020, "3", payload_type=0)]
    answered = await peer.invite(body(three, added, version=2), content=CONTENT)
    assert answered.code == 200, answered.text
    assert "m=audio 30000 RTP/AVP 0\r\n" in answered.body
    await gateway.wait_for(Media, 2)
    assert streams(gateway)[2] == (30000, "3", 4020, False)
    assert (await gateway.wait_for(Metadata)).text == added
    paused = [Line(4000, "1", "inactive"), Line(0, "2"), three[2]]
    answered = await peer.invite(offer(paused, version=3))
    assert answered.code == 200
    assert [line.split()[1] for line in answered.body.split("\r\n") if line.startswith("m=")] == [
        *(str(RTP_PORT), "0", "30000"),
    ]
    await gateway.wait_for(Media, 3)
    assert streams(gateway) == [(RTP_PORT, "1", 4000, True), (30000, "3", 4020, False)]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
async def test_metadata_alone_changes_no_stream(start: Start, method: str) -> None:
    gateway = await start()
    peer = gateway.peer()
    first = await peer.invite(body(LINES, CISCO), headers=REQUIRE, content=CONTENT)
    await gateway.wait_for(Established)
    before = streams(gateway)
    new = CISCO.replace("Boris", "Bella")
    if method == "UPDATE":
        peer.send("UPDATE", body([], new), content=CONTENT)
        assert (await peer.final("UPDATE")).code == 200
    else:  # which makes the offer ours: the same streams again
        answered = await peer.invite(body([], new), content=CONTENT, ack=offer(LINES, version=2))
        assert answered.code == 200, answered.text
        assert answered.body.split("\r\n")[5:] == first.body.split("\r\n")[5:]
    assert (await gateway.wait_for(Metadata)).text.split() == new.split()
    assert (await peer.bye()).code == 200
    await gateway.wait_for(Ended)
    assert streams(gateway) == before


async def test_each_encrypted_stream_keeps_its_keys(start: Start) -> None:
    """A new key of ours for a stream that goes on would have its packets decrypted afresh, and in vain."""
    gateway = await start(peers=[{"name": "sbc", "networks": ["127.0.0.0/8"], "srtp": "required"}])
    peer = gateway.peer()
    lines = [Line(4000 + 10 * index, str(index), key=bytes([index] * 30)) for index in range(3)]
    assert (await peer.invite(body(lines, CISCO), headers=REQUIRE, content=CONTENT)).code == 200
    first = (await gateway.wait_for(Media)).streams
    assert [base64.b64decode(stream.srtp["remote"]) for stream in first] == [line.key for line in lines]
    assert len({stream.srtp["local"] for stream in first}) == 3, "each has a key of its own"
    fewer = [lines[0], replace(lines[1], port=0), lines[2]]
    answered = await peer.invite(offer(fewer, version=2))
    left = (await gateway.wait_for(Media, 2)).streams
    assert {stream.label: stream.srtp for stream in left} == {"0": first[0].srtp, "2": first[2].srtp}
    crypto = re.findall(r"a=crypto:1 \S+ inline:(\S+)", answered.body)
    assert crypto == [first[0].srtp["local"], first[2].srtp["local"]]
    assert (await peer.bye()).code == 200
