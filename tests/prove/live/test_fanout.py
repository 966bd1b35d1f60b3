"""Fifty viewers follow two hundred calls: what each gets, how late, and what it costs the gateway's process."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from gateway import events
from tests.peers.claims import Claim
from tests.web.desk import site, words


async def test_fifty_viewers_of_two_hundred_calls(tmp_path: Path, claim: Claim) -> None:
    """The viewers run in a process of their own; its CPU does not count."""
    viewer = Path(__file__).with_name("viewers.py")
    async with site(tmp_path, tokens=False) as running:
        calls = [f"{number:08x}-0000-7000-8000-000000000000" for number in range(200)]
        for name in calls:
            running.tell(name, events.CallStarted(leg="caller", codec="alaw"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(viewer), f"{running.url}api/v1/stream", "50", "10"), stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(20):
            while running.board.feed.viewers < 50:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        begun, cpu, told = time.monotonic(), time.process_time(), 0
        while time.monotonic() - begun < 8:
            for name in calls[told % 2 :: 2]:  # two events a second of each call
                running.tell(name, words(events.TranscriptPartial, f"w{told}", revision=told + 1))
            told += 1
            await asyncio.sleep(0.25)
        used = (time.process_time() - cpu) / (time.monotonic() - begun)
        output, _ = await asyncio.wait_for(process.communicate(), 30)
        report = json.loads(output)
        each = report["events"]
        whole = told * 100
        claim("fan-out: 50 viewers × 200 calls, events for each", min(each), min(each) == max(each) == whole)
        claim("fan-out: events a second in all", round(sum(each) / 8), sum(each) > 0)
        claim("fan-out: CPU of the gateway's process below half a core", f"{used:.0%}", used < 0.5)
        claim("fan-out: from event to viewer, p95 below 300 ms", f"{report['p95']:.0f} ms", report["p95"] < 300)
