"""What goes wrong in production: each fault gives a clear result, and the next call works."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway import events
from gateway.delivery.consumer import Answer
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, call, free_port
from tests.peers.sip_peer import SipPeer, sdp
from tests.peers.speech import TWO_CITIES, asset
from tests.peers.words import normalise, wer

SPEECH = asset("two_cities.wav")
# What is said in the first seconds, to the end of each sentence's audio.
FIRST_WORDS = "it was the best of times it was the worst of times"


async def short_call(gateway: GatewayProcess, *arguments: str, seconds: float = 5.0) -> dict[str, Any]:
    report = await call(gateway.sip, "--audio", str(SPEECH), "--hangup-after", str(seconds), *arguments)
    assert report["result"] == "hung_up", report
    return report


async def the_next_call_works(gateway: GatewayProcess) -> bool:
    before = len(gateway.calls)
    await short_call(gateway)
    done = await gateway.until(lambda calls: len(calls) > before and calls[-1].completed is not None)
    return normalise(done[-1].text()).startswith(FIRST_WORDS) and done[-1].completed.complete


async def test_words_before_a_hang_up_in_mid_word_are_in_the_transcript(tmp_path: Path, claim: Claim) -> None:
    async with GatewayProcess(tmp_path) as gateway:
        # 3.95 s into the audio the speaker is in the middle of "times" for the second time
        report = await short_call(gateway, seconds=3.95)
        (done,) = await gateway.completed()
    said = normalise(done.text())
    words_before = FIRST_WORDS.rsplit(" ", 1)[0]
    claim("BYE in mid-word: the words before it are there", repr(said), said.startswith(words_before))
    assert done.completed is not None
    (leg,) = done.completed.legs
    assert leg.received == report["payload_bytes"]
    assert done.completed.complete


async def test_the_recogniser_is_killed_in_mid_call(tmp_path: Path, claim: Claim) -> None:
    async with GatewayProcess(tmp_path) as gateway:
        calling = asyncio.create_task(short_call(gateway, seconds=16))
        await gateway.until(lambda calls: bool(calls) and bool(calls[0].of(events.TranscriptFinal)))
        await asyncio.sleep(1.5)
        for pid in gateway.children("gateway.asr.embedded"):
            os.kill(pid, signal.SIGKILL)
        report = await calling
        (done,) = await gateway.completed()
        assert done.completed is not None
        (degraded,) = done.of(events.AsrDegraded)
        (recovered,) = done.of(events.AsrRecovered)
        assert (degraded.code, degraded.retrying, recovered.lost_ms) == ("CONNECTION_LOST", True, 0)
        (leg,) = done.completed.legs
        claim("recogniser killed in mid-call: audio not recognised", leg.unrecognised, leg.unrecognised == 0)
        assert leg.received == report["payload_bytes"]
        reference = normalise(TWO_CITIES).partition(" darkness")[0]  # which 16 s of the recording hold
        rate = wer(reference, done.text())
        claim("recogniser killed in mid-call: word error rate", f"{rate:.1%}", rate < 0.15)
        works = await the_next_call_works(gateway)
        claim("recogniser killed in mid-call: the next call works", works, works)


async def test_a_wrong_token(tmp_path: Path, claim: Claim) -> None:
    port = free_port(socket.SOCK_STREAM)
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "asr-server", "--listen", f"127.0.0.1:{port}"),
        env={**os.environ, "ASR_SERVER_TOKEN": "s3cret-right"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert server.stdout is not None
        await asyncio.wait_for(server.stdout.readline(), 60)
        for token, known in (("s3cret-wrong", False), ("s3cret-right", True)):
            folder = tmp_path / str(known)
            folder.mkdir()
            asr = (
                f'[asr]\nengine = "palatine"\n[asr.palatine]\nurl = "ws://127.0.0.1:{port}/api/v1/stream/asr"\n'
                f'language = "en"\ntoken = "{token}"\n'
            )
            async with GatewayProcess(folder, asr=asr) as gateway:
                if known:
                    works = await the_next_call_works(gateway)
                    claim("wrong token: with the right one the next call works", works, works)
                    continue
                report = await short_call(gateway)
                (done,) = await gateway.completed()
            assert done.completed is not None
            (leg,) = done.completed.legs
            (degraded,) = done.of(events.AsrDegraded)
            clear = (degraded.code, degraded.retrying) == ("AUTH_ERROR", False)
            claim("wrong token: asr.degraded says", f"{degraded.code}, no retry", clear)
            assert not done.completed.complete
            assert (leg.sent, leg.unrecognised) == (0, leg.received)
            assert leg.received == report["payload_bytes"], "the call itself is not disturbed"
            assert token not in (folder / "log").read_text()
    finally:
        server.terminate()
        await server.wait()


async def test_a_consumer_that_answers_500_twice(tmp_path: Path, claim: Claim) -> None:
    refused: list[tuple[str, int]] = []

    def answer(event: events.Event) -> Answer:
        if event.type == "call.started" and len(refused) < 2:
            refused.append((event.id, event.seq))
            return Answer(status=500)
        return Answer()

    async with GatewayProcess(tmp_path, answer=answer) as gateway:
        await short_call(gateway)
        (done,) = await gateway.completed()
        summary = gateway.consumer.summary
        in_order = summary.good and summary.duplicates == 0 and summary.refused == 2
        claim("webhook 500 twice, then 200: events lost, doubled, out of order", "0, 0, 0", in_order)
        assert refused == [(done.events[0].id, 1)] * 2, "the same event again, and nothing overtakes it"
        assert [event.seq for event in done.events if event.durable] == list(range(1, len(done.types) + 1))
        works = await the_next_call_works(gateway)
        claim("webhook 500 twice, then 200: the next call works", works, works)


G729 = sdp("m=audio 4000 RTP/AVP 18\r\na=rtpmap:18 G729/8000\r\n")


@pytest.mark.parametrize(
    ("what", "body", "codes"),
    [("an INVITE with only G.729", G729, {488}), ("an SDP that does not parse", "v=0\r\nm=audio\r\nx\r\n", {400, 488})],
)
async def test_an_invite_that_cannot_be_answered(
    tmp_path: Path, claim: Claim, what: str, body: str, codes: set[int]
) -> None:
    async with GatewayProcess(tmp_path) as gateway:
        status = await invite(gateway, body)
        claim(f"{what} is answered", status, status in codes)
        works = await the_next_call_works(gateway)
        claim(f"{what}: the next call works", works, works)
        assert len(gateway.calls) == 1, "a refused INVITE makes no events"


async def test_an_unknown_peer(tmp_path: Path, claim: Claim) -> None:
    settings = '[sip.defence]\nstrangers = "refuse"\n'
    async with GatewayProcess(tmp_path, networks='["127.0.0.1/32"]', settings=settings) as gateway:
        status = await invite(gateway, sdp(), address="127.0.0.2")
        claim("an INVITE from an unknown peer is answered", status, status == 403)
        works = await the_next_call_works(gateway)
        claim("an unknown peer: the next call of a known one works", works, works)
        (told,) = [line["text"] for line in gateway.log if line["event"] == "sip_offence"]
        assert re.fullmatch(r"peer=127\.0\.0\.2:\d+ cause=(stranger|unknown_peer) count=1 agent=-", told)


async def test_a_full_gateway(tmp_path: Path, claim: Claim) -> None:
    async with GatewayProcess(tmp_path, max_calls=1) as gateway:
        calling = asyncio.create_task(short_call(gateway))
        await gateway.until(bool)
        refused = await call(gateway.sip, "--audio", str(SPEECH))
        claim("a call beyond max_calls is answered", refused["code"], refused["code"] == 503)
        await calling
        works = await the_next_call_works(gateway)
        claim("a full gateway: the next call works", works, works)


async def invite(gateway: GatewayProcess, body: str, *, address: str = "127.0.0.1") -> int:
    """Sends an INVITE; returns the status of its final response."""
    peer = SipPeer(gateway.sip_port, address=address)
    try:
        return (await peer.invite(body)).code
    finally:
        peer.close()


async def test_a_configuration_with_three_faults(tmp_path: Path, claim: Claim) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[sip]\nlisten = ["127.0.0.1:5060"]\n[media]\nport_min = 99999\n[asr]\nengin = "palatine"\n')
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "check-config", "--config", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    lines = errors.decode().splitlines()
    found = [line.strip().partition(":")[0] for line in lines[1:]]
    claim(
        "a configuration with three faults: paths named",
        ", ".join(found),
        set(found) == {"sip.listen[0]", "media.port_min", "asr.engin"},
    )
    assert (process.returncode, output) == (2, b"")


async def test_two_legs_of_one_call_and_a_stop_in_mid_call(tmp_path: Path) -> None:
    async with GatewayProcess(tmp_path, settings="[calls]\ndrain_seconds = 0.5\n") as gateway:
        legs = [
            asyncio.create_task(
                call(gateway.sip, "--audio", str(SPEECH), "--call-id", "c1", "--leg", leg, "--codec", codec)
            )
            for leg, codec in (("caller", "alaw"), ("agent", "mulaw"))
        ]
        await gateway.until(lambda calls: bool(calls) and len(calls[0].of(events.TranscriptFinal)) >= 2, 30)
        assert await gateway.stop() == 0
        reports = await asyncio.gather(*legs)
        (done,) = gateway.calls.values()
    assert {report["result"] for report in reports} == {"ended_by_peer"}
    assert done.completed is not None, "the words up to the stop are out before the gateway ends"
    assert {leg.leg for leg in done.completed.legs} == {"caller", "agent"}
    assert [event.data.reason for event in done.events if event.type == "call.ended"] == ["drained"]
    for leg in ("caller", "agent"):
        assert normalise(done.text(leg)).startswith(FIRST_WORDS)


def test_the_demo_holds_what_it_claims(claim: Claim) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "demo", "--json"],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    claim("demo: word error rate below 15 %", f"{result['word_error_rate']:.1%}", result["word_error_rate"] < 0.15)
    claim(
        "demo: samples sent = received",
        result["samples_received"],
        result["samples_sent"] == result["samples_received"],
    )
    claim(
        "demo: webhooks verified",
        f"{result['verified']}/{result['received']}",
        result["verified"] == result["received"],
    )
    latency = f"p50 {result['latency_p50']} s, p95 {result['latency_p95']} s"
    claim("demo: end of speech to webhook", latency, result["latency_p95"] is not None)
    assert result["faults"] == []
