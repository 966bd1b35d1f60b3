"""The load of the rate test, in a process of its own: so many durable events a second, then its figures as JSON.

``python rate.py FOLDER URL SECRET EVENTS_A_SECOND SECONDS``
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import structlog
import uvloop
from uuid_utils.compat import uuid7

from gateway.delivery.observer import Observer
from gateway.delivery.outbox import Outbox
from gateway.delivery.settings import Delivery, Endpoint
from gateway.delivery.webhooks import Deliverer
from gateway.events import CallInfo, Event, TranscriptFinal

CALLS = 500


class Clock(Observer):
    """Notes how long each event took, from its making to the 2xx."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def delivered(self, endpoint: str, event: Event, at: float) -> None:  # noqa: ARG002
        self.seconds.append(at - event.time.timestamp())


async def main(folder: Path, url: str, secret: str, rate: int, seconds: int) -> None:
    endpoint = Endpoint(name="a", url=url, secret=secret, concurrency=64)
    path = folder / "outbox.db"
    clock = Clock()
    deliver = Deliverer(Outbox(path), Delivery(database=path, endpoints=[endpoint]), clock)
    await deliver.start()
    seqs = dict.fromkeys(range(CALLS), 0)
    used, began = time.process_time(), time.monotonic()
    for number in range(rate * seconds):
        wait = began + number / rate - time.monotonic()
        if wait > 0.002:
            await asyncio.sleep(wait)
        call = number % CALLS
        seqs[call] += 1
        now = datetime.now(UTC)
        info = CallInfo(id=f"call-{call}", sip_call_ids=[f"{call}@pbx"], from_number="1", to_number="2", headers={})
        text = "so it is settled and the rest of it will follow by post within the week"
        words = TranscriptFinal(
            leg="caller", utterance=seqs[call], revision=1, text=text, start_ms=0, end_ms=4000, time=now
        )
        deliver.publish(Event(id=str(uuid7()), time=now, call=info, seq=seqs[call], data=words))
    published = time.monotonic() - began
    left = await deliver.flush(60)
    used = time.process_time() - used
    took = time.monotonic() - began
    await deliver.stop()
    ordered = sorted(clock.seconds)
    print(
        json.dumps(
            {
                "events": len(ordered),
                "left": left,
                "published_seconds": published,
                "seconds": took,
                "cpu_us": used / len(ordered) * 1e6,
                "p50_ms": ordered[len(ordered) // 2] * 1000,
                "p99_ms": ordered[len(ordered) * 99 // 100] * 1000,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
