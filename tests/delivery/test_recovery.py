"""Several runs on one file: what one leaves behind the next one finishes; two at once are refused."""

import asyncio
import sqlite3
import time

import pytest

from gateway.delivery.lock import LockedError
from gateway.delivery.outbox import Outbox
from gateway.events import CallEnded, CallStarted, TranscriptCompleted


async def test_calls_of_an_earlier_run_are_ended_with_what_is_known(deliverer, consumer, endpoint, calls, path):
    url, peer, received = await consumer()
    first = await deliverer(endpoint("a", url), path=path)
    for call in ("c1", "c2"):
        first.publish(calls.event(call, CallStarted(leg="caller", codec="alaw")))
        first.publish(calls.final(call, 1, f"words of {call}"))
    first.publish(calls.event("c2", CallEnded(reason="bye", seconds=1.0)))
    first.publish(calls.event("c2", TranscriptCompleted(utterances=[], legs=[], complete=True)))
    assert await first.flush(5) == 0
    await first.stop()
    began = time.time()
    second = await deliverer(endpoint("a", url), path=path)
    second.publish(calls.event("c3", CallStarted(leg="caller", codec="alaw")))
    assert await second.conclude_interrupted(began) == 1
    assert await second.conclude_interrupted(began) == 0, "the second time all are concluded"
    assert await second.flush(5) == 0
    assert received.seqs("c1") == [1, 2, 3, 4]
    assert received.seqs("c2") == [1, 2, 3, 4]
    assert received.seqs("c3") == [1]
    assert peer.summary.good
    (completed,) = [event.data for event in received if event.call.id == "c1" and event.seq == 4]
    assert [words.text for words in completed.utterances] == ["words of c1"]
    assert [(gap.cause, gap.from_ms) for gap in completed.missing] == [("gateway_stopped", 500)]


async def test_a_second_gateway_on_the_file_is_refused_and_told_by_whom(path):
    first, second = Outbox(path), Outbox(path)
    await first.start([])
    with pytest.raises(LockedError, match=r"another gateway \(process \d+\)"):
        await second.start([])
    await first.stop()
    await second.start([])
    assert second.error is None
    await second.stop()


async def test_a_file_that_grows_too_large_loses_its_oldest_events(
    deliverer, consumer, endpoint, calls, path, monkeypatch
):
    monkeypatch.setattr("gateway.delivery.upkeep.SWEEP_SECONDS", 0.05)
    monkeypatch.setattr("gateway.delivery.upkeep.SWEEP_ROWS", 20)
    limit = 400_000
    outbox = Outbox(path, keep_bytes=limit)
    url, _, _ = await consumer()
    deliver = await deliverer(
        endpoint("well", url, events=["call.*"]),
        endpoint("dead", "http://127.0.0.1:9/", events=["transcript.*"], retry_seconds=[60]),
        outbox=outbox,
    )
    for index in range(100):
        deliver.publish(calls.held(f"c{index % 7}"))
    await deliver.flush(0.3)
    for utterance in range(1, 301):
        deliver.publish(calls.final("dead", utterance, "x" * 1000))
        if utterance % 50 == 0:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    await outbox.flush()
    assert outbox.evicted > 0
    reader = sqlite3.connect(path)
    kinds = dict(reader.execute("SELECT type, count(*) FROM events GROUP BY type"))
    (lowest,) = reader.execute("SELECT min(seq) FROM events WHERE call = 'dead'").fetchone()
    pages, free, size = (reader.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS)
    assert (pages - free) * size <= limit
    assert kinds.get("call.updated", 0) == 0, "what nobody waits for goes first"
    assert 0 < kinds["transcript.final"] < 300
    assert kinds["transcript.final"] == 300 - lowest + 1, "the oldest go, and no others"


PRAGMAS = ("page_count", "freelist_count", "page_size")
