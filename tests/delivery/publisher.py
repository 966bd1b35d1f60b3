"""A process that publishes without end until it is killed; test_crash.py starts it.

It says on its standard output which events are on disk: one line ``CALL SEQ`` each.
"""

import asyncio
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

import structlog
import uuid_utils

from gateway.delivery.outbox import Outbox
from gateway.delivery.settings import Delivery, Endpoint
from gateway.delivery.webhooks import Deliverer
from gateway.events import CallInfo, CallUpdated, Event


class Telling(Outbox):
    """Says what is on disk."""

    def append(self, event, endpoints):
        row, written = super().append(event, endpoints)
        written.add_done_callback(lambda future: future.exception() or print(event.call.id, event.seq, flush=True))
        return row, written


async def main(path: Path, url: str, secret: str, run: str) -> None:
    draw = random.Random(run)
    endpoint = Endpoint(name="a", url=url, secret=secret, concurrency=4, retry_seconds=[0.01] * 100)
    deliver = Deliverer(Telling(path), Delivery(database=path, endpoints=[endpoint]))
    await deliver.start()
    seqs: dict[str, int] = {}
    while True:
        call = f"run{run}-{draw.randrange(12)}"
        seqs[call] = seqs.get(call, 0) + 1
        info = CallInfo(id=call, sip_call_ids=[], from_number="", to_number="", headers={})
        body = CallUpdated(leg="caller", change="held")
        deliver.publish(Event(id=str(uuid_utils.uuid7()), time=datetime.now(UTC), call=info, seq=seqs[call], data=body))
        if draw.random() < 0.2:
            await asyncio.sleep(draw.random() * 0.01)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
