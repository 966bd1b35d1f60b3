import asyncio
import random
import sqlite3

import pytest
from structlog.testing import capture_logs

from gateway.delivery import worker as worker_module
from gateway.delivery.consumer import Answer
from gateway.delivery.outbox import Outbox
from gateway.delivery.store import DELIVERED


async def test_memory_holds_so_many_events_and_the_rest_is_read_from_disk(
    deliverer, gate, endpoint, calls, monkeypatch
):
    monkeypatch.setattr(worker_module, "BODIES_LIMIT", 20)
    deliver = await deliverer(endpoint("a", gate.url, concurrency=4, timeout_seconds=30))
    for index in range(600):
        deliver.publish(calls.held(f"c{index % 6}"))
    await gate.requests(4)
    worker = deliver._workers[0]
    await deliver._outbox.flush()
    assert worker.held <= 24
    assert worker.waiting == 600
    gate.open.set()
    most = 0
    while worker.waiting:
        most = max(most, worker.held)
        await asyncio.sleep(0.005)
    assert most <= 24
    for call in range(6):
        assert [event.seq for event in gate.bodies if event.call.id == f"c{call}"] == list(range(1, 101))


@pytest.mark.parametrize("seed", range(3))
async def test_an_endpoint_that_is_far_behind_catches_up_in_order(
    deliverer, consumer, endpoint, calls, recorder, monkeypatch, seed
):
    # more waits than the index holds, while events go on coming and the consumer fails at random
    draw = random.Random(seed)
    init = worker_module.Worker.__init__

    def small(self, *arguments, **settings):
        init(self, *arguments, **settings, index_limit=40)

    monkeypatch.setattr(worker_module.Worker, "__init__", small)
    url, peer, received = await consumer(lambda _: Answer(500 if draw.random() < 0.1 else 200))
    deliver = await deliverer(endpoint("a", url, concurrency=3, retry_seconds=[0.005] * 50))
    with capture_logs() as logs:
        for _ in range(30):
            for _ in range(draw.randrange(60)):
                deliver.publish(calls.held(f"c{draw.randrange(8)}"))
            await asyncio.sleep(draw.random() * 0.02)
            assert deliver.waiting["a"] <= 40
        assert await deliver.flush(20) == 0
    assert any("far behind" in entry["event"] for entry in logs)
    for call, last in calls.seqs.items():
        assert received.seqs(call) == list(range(1, last + 1))
    assert peer.summary.duplicates == peer.summary.out_of_order == 0
    assert recorder.dead_letters == []


async def test_what_is_published_while_the_last_page_is_read_is_not_passed_over(
    deliverer, consumer, endpoint, calls, monkeypatch, path
):
    class Busy(Outbox):
        """Publishes in the very moment in which the endpoint has read all there was."""

        async def pending(self, *arguments):
            page = await super().pending(*arguments)
            if 0 < calls.seqs.get("c1", 0) < 100:
                for _ in range(8):
                    deliver.publish(calls.held("c1"))
                if calls.seqs["c1"] % 4:
                    await self.flush()
            return page

    init = worker_module.Worker.__init__
    monkeypatch.setattr(worker_module.Worker, "__init__", lambda *a, **s: init(*a, **s, index_limit=10))
    url, _, received = await consumer()
    deliver = await deliverer(endpoint("a", url), outbox=Busy(path))
    for _ in range(14):
        deliver.publish(calls.held("c1"))
    while len(received) < 100:
        assert deliver.waiting["a"] <= 10
        await asyncio.sleep(0)
    assert await deliver.flush(10) == 0
    assert received.seqs("c1") == list(range(1, calls.seqs["c1"] + 1))


async def test_events_that_wait_for_a_retry_make_room_in_memory(deliverer, endpoint, calls, monkeypatch):
    monkeypatch.setattr(worker_module, "BODIES_LIMIT", 10)
    deliver = await deliverer(endpoint("a", "http://127.0.0.1:9/", retry_seconds=[60]))
    for index in range(10):
        deliver.publish(calls.held(f"c{index}"))
    assert await deliver.flush(5) == 10
    assert deliver._workers[0].held == 5


async def test_what_cannot_be_read_now_is_sent_when_it_can(
    deliverer, gate, endpoint, calls, path, recorder, monkeypatch
):
    monkeypatch.setattr(worker_module, "BODIES_LIMIT", 0)
    monkeypatch.setattr(worker_module, "UNREADABLE_SECONDS", 0.05)
    deliver = await deliverer(endpoint("a", gate.url))
    for _ in range(20):
        deliver.publish(calls.held("c1"))
    await gate.requests(1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    deliver.publish(calls.held("c2"))
    async with asyncio.timeout(5):
        while deliver._outbox.error is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    gate.open.set()
    await asyncio.sleep(0.2)
    # those that were read together with the first one, and the one that is in memory only
    assert [event.call.id for event in gate.bodies].count("c2") == 1
    assert len(gate.bodies) < 20
    other.execute("ROLLBACK")
    async with asyncio.timeout(5):
        while deliver.waiting["a"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [event.seq for event in gate.bodies if event.call.id == "c1"] == list(range(1, 21))
    assert {attempt[2] for attempt in recorder.attempts} == {"delivered"}


async def test_an_event_whose_row_is_gone_is_counted_and_holds_nobody_up(
    deliverer, gate, endpoint, calls, path, recorder, monkeypatch
):
    monkeypatch.setattr(worker_module, "BODIES_LIMIT", 0)
    monkeypatch.setattr(worker_module, "PREFETCH", 1)
    deliver = await deliverer(endpoint("a", gate.url))
    for _ in range(4):
        deliver.publish(calls.held("c1"))
    await gate.requests(1)
    other = sqlite3.connect(path)
    other.execute("DELETE FROM events WHERE seq IN (2, 3)")
    other.commit()
    gate.open.set()
    assert await deliver.flush(5) == 0
    assert [event.seq for event in gate.bodies] == [1, 4]
    assert recorder.drops == [("a", "", "lost")] * 2


async def test_410_for_a_partial_disables_too_and_undurable_events_are_counted(
    deliverer, consumer, endpoint, calls, recorder, tmp_path
):
    (tmp_path / "file").write_text("in the way")
    url, peer, _ = await consumer(lambda _: Answer(410))
    deliver = await deliverer(endpoint("a", url), path=tmp_path / "file" / "outbox.db")
    deliver.publish(calls.partial("c1", 1, "gone"))
    assert await deliver.flush(5) == 0
    deliver.publish(calls.held("c1"))
    deliver.publish(calls.partial("c1", 2, "gone"))
    assert await deliver.flush(5) == 0
    assert peer.summary.received == 1
    assert recorder.disabled_endpoints == ["a"]
    await asyncio.sleep(0)
    assert recorder.drops == [("a", "call.updated", "disabled")]


async def test_without_a_disk_events_are_delivered_from_memory_and_counted(
    deliverer, consumer, endpoint, calls, recorder, path, stored
):
    url, peer, received = await consumer()
    deliver = await deliverer(endpoint("a", url))
    for _ in range(5):
        deliver.publish(calls.held("c1"))
    assert await deliver.flush(5) == 0
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for _ in range(20):
        deliver.publish(calls.held("c1"))
    assert await deliver.flush(5) == 0
    assert received.seqs("c1") == list(range(1, 26))
    assert recorder.undurables == ["call.updated"] * 20
    assert recorder.storages[-1][0] is False
    assert "locked" in recorder.storages[-1][1]
    other.execute("ROLLBACK")
    async with asyncio.timeout(5):
        while not recorder.storages[-1][0]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    for _ in range(5):
        deliver.publish(calls.held("c1"))
    assert await deliver.flush(5) == 0
    assert received.seqs("c1") == list(range(1, 31))
    assert peer.summary.duplicates == 0
    await deliver.stop()
    assert stored(path) == {("a", DELIVERED): 10}


async def test_events_without_a_disk_are_bounded(deliverer, endpoint, calls, recorder, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_module, "LOOSE_LIMIT", 10)
    (tmp_path / "file").write_text("in the way")
    deliver = await deliverer(
        endpoint("a", "http://127.0.0.1:9/", retry_seconds=[60]), path=tmp_path / "file" / "outbox.db"
    )
    with capture_logs() as logs:
        for _ in range(25):
            deliver.publish(calls.held("c1"))
        assert await deliver.flush(0.3) == 10
        await deliver.stop()
    assert recorder.drops == [("a", "call.updated", "memory_full")] * 15
    assert [entry["events"] for entry in logs if "never on disk" in entry["event"]] == [10]
