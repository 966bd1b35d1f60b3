import asyncio
import resource
import sqlite3
import threading

import pytest

from gateway.delivery import writer as module
from gateway.delivery.outbox import Outbox
from gateway.delivery.store import DELIVERED, PENDING, OutboxError, Store
from gateway.events import Event


class States(list):
    """The states told, and a way to wait for one."""

    def __init__(self, outbox):
        self.changed = asyncio.Event()
        outbox.on_state = self.note

    def note(self, ok, text):
        self.append((ok, text))
        self.changed.set()

    async def until(self, ok):
        async with asyncio.timeout(10):
            while not self or self[-1][0] is not ok:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def outbox(path):
    made = Outbox(path, busy_seconds=0.05, probe_seconds=0.05, stall_seconds=0.5)
    made.told = States(made)
    await made.start(["a", "b"])
    yield made
    await made.stop()


async def test_an_event_is_on_disk_when_its_future_is_done(outbox, path, calls):
    event = calls.held("c1")
    row, written = outbox.append(event, ["a"])
    await written
    other = sqlite3.connect(path)
    assert other.execute("SELECT number, id, call, seq, body FROM events").fetchall() == [
        (row.number, event.id, "c1", 1, event.wire())
    ]
    assert Event.from_wire(row.body) == event


async def test_one_commit_takes_what_gathered_meanwhile(outbox, calls):
    before = outbox.commits
    futures = [outbox.append(calls.held(f"c{index % 7}"), ["a", "b"])[1] for index in range(1000)]
    await asyncio.gather(*futures)
    assert outbox.committed == 1000
    assert outbox.commits - before <= 20
    pending = await outbox.pending("a", 0, outbox.newest, 2000)
    assert [item.call for item in pending] == [f"c{index % 7}" for index in range(1000)]
    assert pending == sorted(pending, key=lambda item: item.number)


async def test_a_read_sees_everything_that_was_appended_before_it(outbox, calls, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 10)
    futures = [outbox.append(calls.held("c1"), ["a"])[1] for _ in range(100)]
    assert len(await outbox.pending("a", 0, outbox.newest, 200)) == 100
    await asyncio.gather(*futures)


async def test_futures_are_done_in_order(outbox, calls):
    done = []
    futures = []
    for index in range(2000):
        _, future = outbox.append(calls.held("c"), ["a"])
        future.add_done_callback(lambda _, index=index: done.append(index))
        futures.append(future)
        if index % 100 == 0:
            await asyncio.sleep(0.001)
    await asyncio.gather(*futures)
    assert done == list(range(2000))


async def test_marks_are_seen_by_the_next_read_and_written_by_themselves(outbox, path, calls):
    row, written = outbox.append(calls.held("c1"), ["a", "b"])
    await written
    outbox.retry(row.number, "a", 3, 99.5)
    outbox.delivered(row.number, "b", 1, 50.0)
    assert [(item.attempts, item.due) for item in await outbox.pending("a", 0, outbox.newest, 9)] == [(3, 99.5)]
    assert await outbox.pending("b", 0, outbox.newest, 9) == []
    outbox.delivered(row.number, "a", 4, 100.0)
    other = sqlite3.connect(path)
    async with asyncio.timeout(5):
        while other.execute("SELECT count(*) FROM deliveries WHERE state = 1").fetchone() != (2,):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_numbers_grow_over_a_restart_even_when_the_clock_went_back(path, calls):
    store = Store(path)
    future = 4_000_000_000_000_000
    store._connection.execute("INSERT INTO events VALUES (?, 'x', 'c0', 1, 't', x'00')", (future,))
    store.close()
    outbox = Outbox(path)
    await outbox.start(["a"])
    row, written = outbox.append(calls.held("c1"), ["a"])
    await written
    assert row.number == future + 1
    await outbox.stop()


async def test_a_lock_of_another_process_degrades_and_passes(outbox, path, calls):
    row, written = outbox.append(calls.held("c1"), ["a"])
    await written
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OutboxError, match="locked"):
        await outbox.append(calls.held("c1"), ["a"])[1]
    await outbox.told.until(False)
    # the mark of the time without a file is not lost
    outbox.delivered(row.number, "a", 1, 1.0)
    _, refused = outbox.append(calls.held("c1"), ["a"])
    assert refused.done()
    with pytest.raises(OutboxError, match="locked"):
        await refused
    with pytest.raises(OutboxError, match="locked"):
        await outbox.pending("a", 0, outbox.newest, 9)
    other.execute("ROLLBACK")
    await outbox.told.until(True)
    assert outbox.error is None
    assert outbox.refused == 2
    await outbox.append(calls.held("c2"), ["a"])[1]
    assert [item.call for item in await outbox.pending("a", 0, outbox.newest, 9)] == ["c2"]


async def test_a_full_disk_degrades_and_passes(outbox, calls):
    await outbox.append(calls.held("c1"), ["a"])[1]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OutboxError, match="disk"):
            await outbox.append(calls.held("c1"), ["a"])[1]
        await outbox.told.until(False)
        await asyncio.sleep(0.15)
        assert outbox.error is not None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    await outbox.told.until(True)
    await outbox.append(calls.held("c2"), ["a"])[1]
    assert [item.call for item in await outbox.pending("a", 0, outbox.newest, 9)] == ["c1", "c2"]


async def fill(path, calls):
    outbox = Outbox(path)
    await outbox.start(["a"])
    written = [outbox.append(calls.held("c1"), ["a"]) for _ in range(500)]
    await asyncio.gather(*[future for _, future in written])
    await outbox.stop()
    return [row for row, _ in written]


async def test_a_file_found_damaged_is_replaced(path, calls):
    await fill(path, calls)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    outbox = Outbox(path)
    states = States(outbox)
    await outbox.start(["a"])
    await states.until(True)
    assert "damaged, and moved to outbox.db.damaged-" in states[-2][1]
    row, written = outbox.append(calls.held("c2"), ["a"])
    await written
    assert [item.number for item in await outbox.pending("a", 0, outbox.newest, 9)] == [row.number]
    (aside,) = path.parent.glob("outbox.db.damaged-*Z")
    assert aside.read_bytes()[4096:] == content[4096:]
    await outbox.stop()


async def test_damage_met_in_use_is_told_and_the_file_replaced(path, calls):
    victim = (await fill(path, calls))[100]
    content = bytearray(path.read_bytes())
    page = content.index(victim.body) // 4096 * 4096
    content[page : page + 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    outbox = Outbox(path)
    states = States(outbox)
    await outbox.start(["a"])
    await outbox.append(calls.held("c2"), ["a"])[1]
    with pytest.raises(OutboxError, match="malformed"):
        await outbox.events([victim.number])
    await states.until(False)
    await states.until(True)
    await outbox.append(calls.held("c3"), ["a"])[1]
    assert [item.call for item in await outbox.pending("a", 0, outbox.newest, 9)] == ["c3"]
    await outbox.stop()


async def test_a_path_that_cannot_be_a_file_is_told_and_stops_nothing(tmp_path, calls):
    (tmp_path / "file").write_text("in the way")
    outbox = Outbox(tmp_path / "file" / "outbox.db", probe_seconds=0.05)
    states = States(outbox)
    await outbox.start(["a"])
    await states.until(False)
    assert "outbox.db" in states[-1][1]
    with pytest.raises(OutboxError):
        await outbox.append(calls.held("c1"), ["a"])[1]
    (tmp_path / "file").unlink()
    await states.until(True)
    await outbox.append(calls.held("c1"), ["a"])[1]
    await outbox.stop()


async def test_a_disk_that_hangs_holds_nobody_up(outbox, calls, monkeypatch):
    go_on = threading.Event()
    commit = Store.commit

    def hang(self, rows, marks):
        assert go_on.wait(20)
        commit(self, rows, marks)

    monkeypatch.setattr(Store, "commit", hang)
    row, written = outbox.append(calls.held("c1"), ["a"])
    with pytest.raises(OutboxError, match="takes longer"):
        await asyncio.wait_for(written, 5)
    assert outbox.append(calls.held("c1"), ["a"])[1].done()
    # it was delivered from memory meanwhile: the mark finds its row when the commit ends after all
    outbox.delivered(row.number, "a", 1, 1.0)
    go_on.set()
    await outbox.told.until(True)
    assert await outbox.states() == {("a", DELIVERED): 1}


async def test_a_full_queue_refuses_the_newest(outbox, calls, monkeypatch):
    monkeypatch.setattr(module, "APPENDS_LIMIT", 3)
    with outbox._writer._changed:
        futures = [outbox.append(calls.held("c1"), ["a"])[1] for _ in range(5)]
    assert [future.done() for future in futures] == [False, False, False, True, True]
    for future in futures[3:]:
        with pytest.raises(OutboxError, match="3 events wait"):
            await future
    await asyncio.gather(*futures[:3])
    assert outbox.refused == 2
    assert len(await outbox.pending("a", 0, outbox.newest, 9)) == 3


async def test_stop_writes_what_is_left(path, calls):
    outbox = Outbox(path)
    await outbox.start(["a"])
    row, written = outbox.append(calls.held("c1"), ["a"])
    outbox.append(calls.held("c1"), ["a"])
    await written
    outbox.delivered(row.number, "a", 1, 1.0)
    await outbox.stop()
    store = Store(path)
    assert store.states() == {("a", DELIVERED): 1, ("a", PENDING): 1}
    with pytest.raises(OutboxError, match="stopped"):
        await outbox.append(calls.held("c1"), ["a"])[1]


async def test_old_events_are_swept(path, calls):
    store = Store(path)
    store._connection.execute("INSERT INTO events VALUES (1000000, 'x', 'c0', 1, 't', x'00')")
    store.close()
    outbox = Outbox(path, keep_days=1)
    await outbox.start(["a"])
    row, written = outbox.append(calls.held("c1"), ["a"])
    await written
    async with asyncio.timeout(5):
        while len(found := await outbox.events([1000000, row.number])) != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [item.number for item in found] == [row.number]
    await outbox.stop()
