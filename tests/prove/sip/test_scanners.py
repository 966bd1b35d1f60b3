"""Scanners at work while a trunk calls: they learn nothing, the limits hold, and the trunk's calls lose no word."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from pathlib import Path

import pytest

from gateway.sip.build import installed
from tests.integration.test_asterisk import recogniser
from tests.peers import load
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, free_port
from tests.peers.recogniser import Recogniser
from tests.peers.sip_peer import SipPeer, sdp
from tests.peers.sipvicious import Finding, scan
from tests.peers.talkers import call_all, close_all, hang_up_all, talk_all, talkers
from tests.prove.live.test_latency import scraped
from tests.sip.test_digest import credentials, nonce

pytestmark = pytest.mark.skipif(installed().name != "work", reason="the quick build has no gate")

TRUNK = "127.0.0.3"
CALLERS, WORDS, RATE, SECONDS = 20, 100, 10, 30
USER, PASSWORD = "100", "1234"
BRANCH = f'[[sip.peers]]\nname = "branch"\nusername = "{USER}"\npassword = "{PASSWORD}"\n'
EXTENSIONS = "95-145"


async def attack(port: int, passwords: Path) -> list[Finding]:
    """Runs all tools at once, with each method that they know."""
    guess = ("-u", USER, "-d", str(passwords))
    walk = ("-e", EXTENSIONS, "--force")
    return await asyncio.gather(
        scan("svmap", port),
        scan("svmap", port, "-m", "INVITE"),
        scan("svmap", port, "-m", "REGISTER"),
        scan("svwar", port, *walk),
        scan("svwar", port, *walk, "-m", "INVITE"),
        scan("svwar", port, *walk, "-m", "OPTIONS"),
        scan("svcrack", port, *guess),
        scan("svcrack", port, *guess, "-m", "INVITE"),
    )


async def guess_all(port: int, passwords: list[str]) -> Counter[int]:
    """Tries passwords as a client would that knows all of digest; returns the answers by status, 0 for none."""
    answers: Counter[int] = Counter()
    for password in passwords:
        peer = SipPeer(port, user=USER)
        try:
            async with asyncio.timeout(1):
                challenge = nonce((await peer.invite(sdp())).header("WWW-Authenticate"))
                proof = credentials(challenge, realm="asr-gateway", username=USER, password=password, uri=peer.uri)
                answers[(await peer.invite(sdp(), headers=f"Authorization: {proof}\r\n")).code] += 1
        except TimeoutError:
            answers[0] += 1
        finally:
            peer.close()
        if answers[0] >= 3:
            break
        await asyncio.sleep(0.5)  # four messages each: not so fast as to be dropped for that
    return answers


def dropped(metrics: str) -> dict[str, int]:
    found = re.findall(r'^asr_gateway_sip_dropped_messages_total\{cause="(\w+)"\} ([0-9.e+]+)', metrics, re.MULTILINE)
    return {cause: int(float(count)) for cause, count in found}


@pytest.mark.parametrize("stance", ["silent", "refuse", "digest from anywhere", "scanners' names"])
async def test_scanners(tmp_path: Path, claim: Claim, stance: str) -> None:
    strangers = "refuse" if stance == "refuse" else "silent"
    # all but the last disguised: their names alone would end it
    scanners = "" if stance == "scanners' names" else "scanners = []\n"
    networks = f'["{TRUNK}/32"]' if stance != "scanners' names" else '["127.0.0.0/8"]'
    passwords = tmp_path / "passwords"
    tried = [str(number) for number in range(1204, 1300)]  # the right one is the 31st
    passwords.write_text("\n".join(tried))
    async with (
        Recogniser() as server,
        GatewayProcess(
            tmp_path,
            asr=recogniser(server),
            settings=f'[sip.defence]\nstrangers = "{strangers}"\n{scanners}',
            networks=networks,
            peer=BRANCH if stance == "digest from anywhere" else "",
            max_calls=200,
        ) as gateway,
    ):
        callers = talkers(gateway.sip_port, CALLERS, words=WORDS, address=TRUNK)
        await call_all(callers)
        talking = asyncio.create_task(talk_all(callers))
        trunk = asyncio.create_task(
            load.run(
                gateway.sip,
                port=free_port(),
                rate=RATE,
                hold_ms=1000,
                seconds=SECONDS,
                pid=gateway.pid,
                address=TRUNK,
            )
        )
        began = time.monotonic()
        findings = await attack(gateway.sip_port, passwords)
        took = time.monotonic() - began
        up = not talking.done()
        answers = await guess_all(gateway.sip_port, tried) if stance == "digest from anywhere" else None
        counted = await trunk
        await talking
        await hang_up_all(callers)
        calls = await gateway.completed(CALLERS + counted.answered, 60)
        close_all(callers)
        metrics = dropped(await asyncio.to_thread(scraped, gateway.metrics_port))

    for finding in findings:
        nothing = finding.nothing
        if finding.tool.startswith("svmap") and stance in ("refuse", "digest from anywhere"):
            # that somebody is there shows in any answer, but not what
            nothing = nothing or [row[1] for row in finding.rows] == ["unknown"]
        tool = finding.tool.replace(f" -d {passwords}", "")
        claim(f"{stance}: {tool} finds", finding.figure, nothing)
    if answers is not None:
        figure = ", ".join(f"{code or 'silence'}: {count}" for code, count in answers.items())
        claim(f"{stance}: answers to guessed passwords", figure, answers == {401: 10, 0: 3})
    claim(f"{stance}: messages dropped by cause", metrics, sum(metrics.values()) >= len(findings))
    if stance == "refuse":
        # what was answered: 10 a second and 20 at once
        claim(f"{stance}: answers, in {took:.0f} s", metrics["stranger"], metrics["stranger"] <= 20 + 10 * (took + 1))
        claim(f"{stance}: messages beyond that", metrics["flood"], metrics["flood"] > 0)
    by_text = {call.text() for call in calls if call.completed is not None}
    whole = sum(" ".join(caller.words) in by_text for caller in callers)
    claim(f"{stance}: a trunk's calls meanwhile, word for word", f"{whole}/{CALLERS}", up and whole == CALLERS)
    sent = {caller.audio for caller in callers}
    kept = len(sent & {bytes(session.audio) for session in server.sessions})
    claim(f"{stance}: … byte for byte at the recogniser", f"{kept}/{CALLERS}", kept == CALLERS)
    figure = f"{counted.answered} answered, {counted.failed} failed, {counted.retransmissions} retransmissions"
    sound = (counted.answered, counted.failed, counted.retransmissions) == (RATE * SECONDS, 0, 0)
    claim(f"{stance}: new calls of the trunk meanwhile, by sipp", figure, sound)
    made = len(calls) - CALLERS - counted.answered
    claim(f"{stance}: calls that the scanners made", made, made == 0)
