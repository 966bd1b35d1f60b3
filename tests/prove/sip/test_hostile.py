"""Hostile messages: the gateway goes on taking calls, and a call that is up loses no word."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tests.integration.test_asterisk import recogniser
from tests.peers.claims import Claim
from tests.peers.fuzz import Fuzzer
from tests.peers.gateway import GatewayProcess
from tests.peers.recogniser import Recogniser, spoken
from tests.peers.rtp_sender import RtpSender
from tests.peers.sip_peer import SipPeer, sdp
from tests.peers.torture import MESSAGES

COUNT = 30_000
NETWORKS = '["127.0.0.1/32", "127.0.0.2/32"]'
WORDS = [17, 18, 33, 34, 49, 50]
# the gate lets everything through to the stack, which is what is tried here
SETTINGS = """
[calls]
drain_seconds = 1
[sip.defence]
peer_messages_per_second = 100_000
calls_per_second = 100_000
scanners = []
"""


async def good_call(gateway: GatewayProcess, name: str, done: asyncio.Event) -> int:
    """Calls and says the same words over and over until it is told to stop; returns how often it said them."""
    peer = SipPeer(gateway.sip_port)
    answered = await peer.invite(sdp(), headers=f"X-Call-Id: {name}\r\n")
    assert answered.code == 200, answered.text
    found = re.search(r"m=audio (\d+) ", answered.body)
    assert found
    sender = RtpSender(int(found[1]), ssrc=7)
    rounds = 0
    try:
        while not done.is_set() or rounds == 0:
            await sender.play(spoken(WORDS))
            rounds += 1
        await peer.bye()
    finally:
        sender.close()
        peer.close()
    return rounds


async def test_torture_and_mutated_messages(tmp_path: Path, claim: Claim) -> None:
    await torture(tmp_path, claim, COUNT)


async def torture(folder: Path, claim: Claim, count: int) -> None:
    """Sends RFC 4475's messages and so many mutated ones while a call is up, and calls once more."""
    done = asyncio.Event()
    async with (
        Recogniser() as server,
        GatewayProcess(folder, asr=recogniser(server), settings=SETTINGS, max_calls=400, networks=NETWORKS) as gateway,
    ):
        calling = asyncio.create_task(good_call(gateway, "meanwhile", done))
        await gateway.until(bool)
        fuzzers = [Fuzzer(gateway.sip_port, seed=seed, inside=seed == 2) for seed in (1, 2)]
        fuzzers.append(Fuzzer(gateway.sip_port, seed=3, address="127.0.0.2"))
        try:
            for name, message in MESSAGES.items():
                await fuzzers[0].send([message])
                assert not crashes(gateway), name
            claim("RFC 4475: messages sent, the stack lives", len(MESSAGES), not crashes(gateway))
            for fuzzer in fuzzers:
                await fuzzer.run(count // len(fuzzers))
        finally:
            (folder / "last-messages").write_bytes(b"\n====\n".join(fuzzers[0].last))
            for fuzzer in fuzzers:
                fuzzer.close()
        stranger = Fuzzer(gateway.sip_port, seed=4, address="127.0.0.9")
        heard = await stranger.shout(count // 10)
        stranger.close()
        sent = sum(fuzzer.sent for fuzzer in fuzzers)
        answers = {code: sum(fuzzer.answers.get(code, 0) for fuzzer in fuzzers) for code in (200, 400, 488)}
        assert all(answers.values()), f"the messages do not get far: {answers}"
        done.set()
        rounds = await calling
        after = await good_call(gateway, "afterwards", done)
        calls = await gateway.until(lambda calls: sum(call.completed is not None for call in calls) >= 2, 60)
    claim(
        "mutated SIP and SDP: messages sent, crashes of the stack", f"{sent}, {crashes(gateway)}", sent > 0.95 * count
    )
    claim("… from a stranger: messages sent, answers", f"{stranger.sent}, {heard}", heard == 0)
    good = [call for call in calls if call.completed is not None and call.completed.utterances]
    words = [call.text().split() for call in good]
    said = [f"w{value}" for value in WORDS]
    whole = sorted(map(len, words)) == sorted((len(WORDS) * rounds, len(WORDS) * after))
    whole = whole and all(spoke == said * (len(spoke) // len(said)) for spoke in words)
    claim("mutated SIP and SDP: words of the call that was up, and of the next", [len(spoke) for spoke in words], whole)


def crashes(gateway: GatewayProcess) -> int:
    return sum(line["event"] == "signalling_exited" for line in gateway.log)
