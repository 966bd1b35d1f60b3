"""A scrape with a thousand legs, and what the log of a whole run holds."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from pathlib import Path

import pytest

from tests.peers.claims import Claim
from tests.peers.gateway import SECRET, GatewayProcess, call, free_port
from tests.prove.live.stage import palatine, recogniser, say
from tests.prove.live.test_latency import scraped

LEGS = 1000
SCRAPES, SECONDS = 20, 4.0
SCENARIO = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="hold the line">
  <send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:[call_number]@[local_ip]:[local_port]>;tag=[pid]sipp[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=sipp 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 9 RTP/AVP 8
a=sendonly
]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="200" rrs="true"/>
  <send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[last_From:]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
  <pause milliseconds="35000"/>
  <send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[last_From:]
[last_To:]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>
"""


def cpu(pid: int) -> float:
    """Returns the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.timeout(150)
async def test_a_scrape_with_a_thousand_legs(tmp_path: Path, claim: Claim) -> None:
    scenario = tmp_path / "hold.xml"
    await asyncio.to_thread(scenario.write_text, SCENARIO)
    async with recogniser() as port, GatewayProcess(tmp_path, asr=palatine(port), max_calls=LEGS + 10) as gateway:
        sipp = await asyncio.create_subprocess_exec(
            *("sipp", gateway.sip, "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(free_port()), "-m", str(LEGS)),
            *("-r", "80", "-l", str(LEGS), "-nostdin", "-nd"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=tmp_path,
        )
        try:
            up = 0.0
            async with asyncio.timeout(60):
                while up < LEGS:
                    await asyncio.sleep(1)
                    text = await asyncio.to_thread(scraped, gateway.metrics_port)
                    up = next(
                        float(line.split()[1]) for line in text.splitlines() if line.startswith("asr_gateway_legs ")
                    )
            begun = cpu(gateway.pid)
            await asyncio.sleep(SECONDS)
            idle = cpu(gateway.pid) - begun
            times = []
            begun, since = cpu(gateway.pid), time.monotonic()
            for number in range(SCRAPES):
                await asyncio.sleep(max(0.0, since + number * SECONDS / SCRAPES - time.monotonic()))
                asked = time.perf_counter()
                await asyncio.to_thread(scraped, gateway.metrics_port)
                times.append(time.perf_counter() - asked)
            await asyncio.sleep(max(0.0, since + SECONDS - time.monotonic()))
            each = (cpu(gateway.pid) - begun - idle) / SCRAPES
            middle = statistics.median(times)
            claim("metrics: CPU of a scrape with them, below 20 ms", f"{each * 1000:.1f} ms", each < 0.02)
            claim(f"metrics: a scrape with {up:.0f} legs, median below 20 ms", f"{middle * 1000:.1f} ms", middle < 0.02)
            series = sum(not line.startswith("#") for line in text.splitlines())
            claim("metrics: series do not grow with the legs", series, series < 600)
        finally:
            sipp.terminate()
            await sipp.wait()
        await gateway.stop()


async def test_no_secret_and_no_word_is_in_the_log(tmp_path: Path, claim: Claim) -> None:
    token, number = "a-token-of-the-wallboard", "74957654321"
    web = f'[[web.tokens]]\nname = "wallboard"\nrole = "view"\ntoken = "{token}"\n'
    async with recogniser() as port:
        quiet = GatewayProcess(tmp_path, asr=palatine(port), web=web)
        async with quiet as gateway:
            path = await say(tmp_path, "words", ["w311", "w312", "-", "w313"])
            await call(gateway.sip, "--audio", str(path), "--leg", "caller", "--from", number)
            (done,) = await gateway.completed()
        text = (tmp_path / "log").read_text(encoding="utf-8")
        secrets = [SECRET, token, "a-secret-of-the-recogniser"]
        found = [word for word in (*secrets, number, "w311", "w312", "w313") if word in text]
        said = done.text()
        claim("log: secrets, numbers and words of a call in it", found, not found and "w311" in said)
