"""The SIP stack crashes with calls up: every word of them is in its transcript, and new calls are taken at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

from gateway import events
from tests.integration.test_asterisk import recogniser
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess
from tests.peers.recogniser import Recogniser
from tests.peers.sip_peer import SipPeer, sdp
from tests.peers.talkers import call_all, close_all, hang_up_all, talk_all, talkers

SETTINGS = "[calls]\nlost_seconds = 1.5\n"


async def killed(folder: Path, claim: Claim, *, calls: int, words: int) -> None:
    """Kills the signalling process with calls up, and compares with the same calls undisturbed."""
    undisturbed = await run(folder / "undisturbed", calls, words, kill_after=None)
    disturbed = await run(folder / "killed", calls, words, kill_after=words * 0.4 / 3)
    whole = sum(got == said for got, said in disturbed.transcripts)
    claim(f"kill -SEGV with {calls} calls up: transcripts whole, word by word", f"{whole}/{calls}", whole == calls)
    same = [got for got, _ in disturbed.transcripts] == [got for got, _ in undisturbed.transcripts]
    claim("… the same as those of an undisturbed run", same, same)
    claim("… bytes at the recogniser are those that were sent", disturbed.bytes_kept, disturbed.bytes_kept == calls)
    reasons = sorted(set(disturbed.reasons))
    claim("… end reason of the calls", ", ".join(reasons), reasons == ["signalling_lost"])
    back = disturbed.back
    claim("… the next call is answered after", f"{back:.2f} s", back < 2.0)
    assert undisturbed.reasons == ["bye"] * calls


class Outcome:
    """What became of the calls, in the order of their words.

    Attributes:
        transcripts: What came and what was said, for each.
        bytes_kept: Calls whose audio reached the recogniser byte for byte.
        reasons: Why they ended.
        back: Seconds from the kill to the next 200.
    """

    def __init__(self) -> None:
        self.transcripts: list[tuple[str, str]] = []
        self.bytes_kept = 0
        self.reasons: list[str] = []
        self.back = 0.0


async def run(folder: Path, calls: int, words: int, *, kill_after: float | None) -> Outcome:
    folder.mkdir()  # noqa: ASYNC240 (one folder, before anything runs)
    outcome = Outcome()
    async with (
        Recogniser() as server,
        GatewayProcess(folder, asr=recogniser(server), settings=SETTINGS, max_calls=calls + 10) as gateway,
    ):
        callers = talkers(gateway.sip_port, calls, words=words)
        await call_all(callers)
        talking = asyncio.create_task(talk_all(callers))
        if kill_after is not None:
            await asyncio.sleep(kill_after)
            (signalling,) = gateway.children("gateway.sip.process")
            os.kill(signalling, signal.SIGSEGV)
            outcome.back = await answered_again(gateway)
        await talking
        if kill_after is None:
            await hang_up_all(callers)
        done = await gateway.until(
            lambda found: sum(one.completed is not None and bool(one.text()) for one in found) >= calls
        )
        close_all(callers)
    by_text = {one.text(): one for one in done if one.completed is not None}
    for caller in callers:
        said = " ".join(caller.words)
        outcome.transcripts.append((said if said in by_text else "", said))
        if said in by_text:
            outcome.reasons += [ended.reason for ended in by_text[said].of(events.CallEnded)]
    sent = {caller.audio for caller in callers}
    outcome.bytes_kept = len(sent & {bytes(session.audio) for session in server.sessions})
    return outcome


async def answered_again(gateway: GatewayProcess) -> float:
    """Calls until a call is answered, and hangs up; returns the seconds that it took."""
    began = time.monotonic()
    while time.monotonic() - began < 10:
        peer = SipPeer(gateway.sip_port)
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(0.25):
                assert (await peer.invite(sdp())).code == 200
                seconds = time.monotonic() - began
                await peer.bye()
                return seconds
        peer.close()
        await asyncio.sleep(0.02)
    raise AssertionError("no call was answered for 10 s")


async def test_every_call_keeps_its_words(tmp_path: Path, claim: Claim) -> None:
    await killed(tmp_path, claim, calls=8, words=12)
