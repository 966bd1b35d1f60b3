"""``kill -9`` of a gateway with calls up, again and again, at random moments; nothing that was accepted is lost."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from pathlib import Path

from gateway import events
from gateway.delivery.consumer import Answer
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess
from tests.peers.recogniser import Recogniser, spoken
from tests.prove.delivery.load import asr, calling, scenario

KILLS = int(os.environ.get("KILLS", "200"))
SEED = int(os.environ.get("SEED", "6"))
WORDS = [11, 22]


def accepted(database: Path) -> dict[tuple[str, int], str]:
    """Returns the events on disk: call and seq to id."""
    with sqlite3.connect(database, timeout=10) as connection:
        rows = connection.execute("SELECT call, seq, id FROM events").fetchall()
    return {(call, seq): event for call, seq, event in rows}


def waiting(database: Path) -> int:
    with sqlite3.connect(database, timeout=10) as connection:
        return int(connection.execute("SELECT count(*) FROM deliveries WHERE state = 0").fetchone()[0])


def interrupted(completed: events.TranscriptCompleted) -> bool:
    return any(gap.cause == "gateway_stopped" for gap in completed.missing) or not completed.legs


async def test_kill_9_at_random_moments(tmp_path: Path, claim: Claim) -> None:
    draw = random.Random(SEED)

    def answer(_: events.Event) -> Answer:
        chance = draw.random()
        return Answer(500 if chance < 0.15 else 204, delay=draw.random() * 0.3 if chance > 0.9 else 0.0)

    path = scenario(tmp_path, spoken(WORDS, word_ms=200, gap_ms=500), tail_ms=200)
    stored: dict[tuple[str, int], str] = {}
    kills = 0
    async with Recogniser() as server:
        gateway = GatewayProcess(
            tmp_path, asr=asr(server.port), answer=answer, max_calls=50, retry_seconds=str([0.1] * 60)
        )
        async with gateway:
            for _ in range(KILLS):
                async with calling(gateway.sip, path, rate=8, at_once=12):
                    await asyncio.sleep(0.3 + draw.random() * 2.2)
                    await gateway.kill()
                kills += 1
                now_stored = accepted(tmp_path / "outbox.db")
                assert stored.items() <= now_stored.items(), "what was accepted stays"
                stored = now_stored
                await gateway.start()
            patience = time.monotonic() + 120
            while waiting(tmp_path / "outbox.db") and time.monotonic() < patience:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            stored = accepted(tmp_path / "outbox.db")
            got = gateway.calls
            summary = gateway.consumer.summary

    arrived = {(event.call.id, event.seq): event.id for call in got.values() for event in call.events if event.durable}
    missing = stored.items() - arrived.items()
    claim(
        f"kill -9, {kills} times (seed {SEED}): accepted events that arrived",
        f"{len(stored) - len(missing)}/{len(stored)}",
        not missing and len(stored) > kills,
    )
    claim(
        "kill -9: events that arrived without being on disk", len(arrived.items() - stored.items()), arrived == stored
    )
    orders = {name: [event.seq for event in call.events if event.durable] for name, call in got.items()}
    good = sum(seqs == list(range(1, len(seqs) + 1)) for seqs in orders.values())
    claim("kill -9: calls in order, seq without a gap", f"{good}/{len(orders)}", good == len(orders))
    claim("kill -9: out of order as the consumer counts", summary.out_of_order, summary.out_of_order == 0)
    ends = [call.completed for call in got.values()]
    claim("kill -9: calls with their completed event", f"{sum(map(bool, ends))}/{len(ends)}", all(ends))
    cut = [
        call for call in got.values() if any(ended.reason == "gateway_stopped" for ended in call.of(events.CallEnded))
    ]
    telling = [
        call
        for call in cut
        if call.completed is not None
        and not call.completed.complete
        and {gap.leg for gap in call.completed.missing} == {started.leg for started in call.of(events.CallStarted)}
    ]
    claim("kill -9: interrupted calls that say what is missing", f"{len(telling)}/{len(cut)}", telling == cut)
    assert len(cut) > kills / 2, "the kills did not come in the midst of calls"
    fit = summary.verified - len(gateway.misfits)
    claim("schema: events really sent that fit it", f"{fit}/{summary.verified}", not gateway.misfits)
    claim("kill -9: repeats the consumer could ignore by id", summary.duplicates, True)
