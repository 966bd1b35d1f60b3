"""How much goes through, and what an outage costs; each part in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

from tests.peers.claims import Claim
from tests.peers.gateway import SECRET, free_port

ROOT = Path(__file__).parents[3]
RATE = 1000
SECONDS = int(os.environ.get("RATE_SECONDS", "60"))


async def python(*arguments: str, errors: Path) -> Process:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with errors.open("ab") as file:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-P", *arguments, stdin=PIPE, stdout=PIPE, stderr=file, env=environment, cwd=ROOT
        )


async def server(folder: Path, latency: float, port: int = 0) -> tuple[Process, int]:
    module = ("-m", "tests.peers.webhook_server", SECRET, str(latency), str(port))
    process = await python(*module, errors=folder / "errors")
    assert process.stdout is not None
    return process, int(await asyncio.wait_for(process.stdout.readline(), 20))


async def summary(process: Process) -> dict[str, Any]:
    assert process.stdin is not None
    process.stdin.close()  # its sign to end
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


async def test_a_thousand_events_a_second(tmp_path: Path, claim: Claim) -> None:
    consumer, port = await server(tmp_path, 0.02)
    script = str(Path(__file__).with_name("rate.py"))
    url = f"http://127.0.0.1:{port}/"
    load = await python(script, str(tmp_path), url, SECRET, str(RATE), str(SECONDS), errors=tmp_path / "errors")
    output, _ = await asyncio.wait_for(load.communicate(), SECONDS + 120)
    figures, got = json.loads(output.splitlines()[-1]), await summary(consumer)
    rate = figures["events"] / figures["seconds"]
    claim(f"rate: events a second for {SECONDS} s, at least {RATE} published", f"{rate:.0f}", rate > RATE * 0.98)
    all_there = figures["events"] == got["count"] == RATE * SECONDS
    claim("rate: delivered, each once", f"{got['count']} of {RATE * SECONDS}", all_there and not got["duplicates"])
    claim("rate: gaps, forgeries", f"{got['gaps']}, {got['forged']}", not (got["gaps"] or got["forged"]))
    claim("rate: CPU per event, below 1 ms (one core)", f"{figures['cpu_us']:.0f} µs", figures["cpu_us"] < 1000)
    p50, p99 = figures["p50_ms"], figures["p99_ms"]
    claim("rate: event to 2xx with 20 ms of latency, p99 < 250 ms", f"p50 {p50:.0f}, p99 {p99:.0f} ms", p99 < 250)


async def test_an_hour_of_outage(tmp_path: Path, claim: Claim) -> None:
    well, port = await server(tmp_path, 0.001)
    away_port = free_port(socket.SOCK_STREAM)
    script = str(Path(__file__).with_name("outage.py"))
    url = f"http://127.0.0.1:{port}/"
    gateway = await python(script, str(tmp_path), url, str(away_port), SECRET, errors=tmp_path / "errors")
    assert gateway.stdout is not None
    assert gateway.stdin is not None
    assert await asyncio.wait_for(gateway.stdout.readline(), 600) == b"away\n", (tmp_path / "errors").read_text()[
        -3000:
    ]
    away, _ = await server(tmp_path, 0.02, away_port)
    gateway.stdin.write(b"\n")
    await gateway.stdin.drain()
    output = await asyncio.wait_for(gateway.stdout.read(), 600)
    await gateway.wait()
    figures, got, others = json.loads(output), await summary(away), await summary(well)
    waited = figures["waiting"]
    claim("outage of an hour: events waiting", waited, waited == 100_000)
    claim("outage: memory for them, below 100 MB", f"{figures['grown_mb']:.0f} MB", figures["grown_mb"] < 100)
    claim("outage: requests to the endpoint that is away, below 150", figures["tried"], figures["tried"] < 150)
    p99 = figures["well_p99_ms"]
    claim(
        "outage: the other endpoint got all its events, p99 below 250 ms",
        f"{others['count']}, {p99:.0f} ms",
        others["count"] == 100_000 and p99 < 250 and not (others["gaps"] or others["duplicates"]),
    )
    back = figures["noticed_seconds"]
    claim("outage: its end is noticed within 75 s", f"{back:.0f} s", back <= 75)
    claim(
        "outage: drained in order, each once",
        f"{got['count']} in {figures['drained_seconds']:.0f} s",
        got["count"] == 100_000 and not (got["gaps"] or got["duplicates"] or got["forged"]) and not figures["dead"],
    )
    steps = got["first_open"]
    gentle = all(at_once <= number // 2 + 2 for number, at_once in enumerate(steps)) and got["most_open"] <= 32
    claim("outage: requests at once after it, by and by to 32", f"{steps[:12]} … {got['most_open']}", gentle)
