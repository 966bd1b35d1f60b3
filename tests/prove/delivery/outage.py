"""An hour's outage in a time of its own: 100,000 events wait for an endpoint that is away; figures as JSON.

``python outage.py FOLDER WELL_URL AWAY_PORT SECRET``. The clock is injected: the loop's and the gateway's time go on by
steps, while what is sent and received is real.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import structlog
from uuid_utils.compat import uuid7

from gateway.delivery.health import State
from gateway.delivery.observer import Observer
from gateway.delivery.outbox import Outbox
from gateway.delivery.settings import Delivery, Endpoint
from gateway.delivery.webhooks import Deliverer
from gateway.events import CallInfo, Event, TranscriptFinal

EVENTS, CALLS, STEP, HOUR = 100_000, 2000, 100, 3600.0
CONCURRENCY = 32


class Loop(asyncio.SelectorEventLoop):
    """A loop whose time can be put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class Figures(Observer):
    """Counts what happens to the endpoint that is away, and how long events took to the one that is well."""

    def __init__(self) -> None:
        self.attempts = 0
        self.dead = 0
        self.made: dict[str, float] = {}
        self.took: list[float] = []

    def attempted(self, endpoint, _type, _result, _seconds, _status):
        self.attempts += endpoint == "away"

    def dead_letter(self, _endpoint, _type):
        self.dead += 1

    def delivered(self, endpoint, event, _at):
        if endpoint == "well":
            self.took.append(time.monotonic() - self.made.pop(event.id))


def resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def main(loop: Loop, folder: Path, well: str, port: int, secret: str) -> None:
    wall = time.time() - HOUR - loop.time()
    path, figures = folder / "outbox.db", Figures()
    endpoints = [
        Endpoint(name="well", url=well, secret=secret, concurrency=CONCURRENCY),
        Endpoint(name="away", url=f"http://127.0.0.1:{port}/", secret=secret, concurrency=CONCURRENCY),
    ]
    outbox = Outbox(path, clock=lambda: wall + loop.time())
    deliver = Deliverer(outbox, Delivery(database=path, endpoints=endpoints), figures, clock=lambda: wall + loop.time())
    await deliver.start()
    before, began = resident(), loop.time()
    for number in range(EVENTS):
        call = number % CALLS
        info = CallInfo(id=f"call-{call}", sip_call_ids=[], from_number="1", to_number="2", headers={})
        seq, now = number // CALLS + 1, datetime.now(UTC)
        words = TranscriptFinal(
            leg="caller", utterance=seq, revision=1, text="as it was said " * 5, start_ms=0, end_ms=900, time=now
        )
        event = Event(id=str(uuid7()), time=now, call=info, seq=seq, data=words)
        figures.made[event.id] = time.monotonic()
        deliver.publish(event)
        if number % STEP == STEP - 1:
            while deliver.waiting["well"]:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            loop.ahead = began + (number + 1) * HOUR / EVENTS - asyncio.SelectorEventLoop.time(loop)
    grown, waiting = resident() - before, deliver.waiting["away"]
    tried = figures.attempts
    print("away", flush=True)  # now the endpoint is started
    await loop.run_in_executor(None, sys.stdin.readline)
    noticed = loop.time()
    away = next(worker for worker in deliver._workers if worker.name == "away")
    while away.state is State.DOWN:
        loop.ahead += 1.0
        await asyncio.sleep(0.02)
    noticed = loop.time() - noticed
    drained = time.monotonic()
    while deliver.waiting["away"]:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    drained = time.monotonic() - drained
    peak = resident() - before
    await deliver.stop()
    ordered = sorted(figures.took)
    result = {
        "waiting": waiting,
        "grown_mb": max(grown, peak),
        "tried": tried,
        "dead": figures.dead,
        "well": len(ordered),
        "well_p99_ms": ordered[len(ordered) * 99 // 100] * 1000,
        "noticed_seconds": noticed,
        "drained_seconds": drained,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    running = Loop()
    running.run_until_complete(main(running, Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]))
