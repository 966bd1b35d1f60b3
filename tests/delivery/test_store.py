import sqlite3
import time

import pytest

from gateway.delivery import store as module
from gateway.delivery.store import DEAD, DELIVERED, PENDING, Mark, OutboxError, Pending, Row, Store

NOW = 1_700_000_000.0


def row(number, call="c1", endpoints=("a", "b")):
    return Row(int(NOW * 1e6) + number, f"id{number}", call, number, "call.updated", b'{"n": %d}' % number, endpoints)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "outbox.db"


def test_what_is_committed_is_there_after_opening_again(path):
    first = Store(path)
    rows = [row(1), row(2, call="c2", endpoints=("b",)), row(3)]
    first.commit(rows, [])
    first.commit([], [(rows[0].number, "a", Mark(DELIVERED, 1, NOW)), (rows[2].number, "a", Mark(PENDING, 2, NOW + 5))])
    first.close()
    second = Store(path)
    assert second.newest() == rows[2].number
    assert second.pending("a", 0, 2**62, 10) == [Pending(rows[2].number, "c1", 2, NOW + 5)]
    assert [item.number for item in second.pending("b", 0, 2**62, 10)] == [item.number for item in rows]
    assert [item.number for item in second.pending("b", rows[0].number, rows[1].number, 10)] == [rows[1].number]
    assert second.events([rows[2].number, rows[1].number, 5]) == [
        Row(item.number, item.id, item.call, item.seq, item.type, item.body) for item in rows[1:]
    ]
    assert second.states() == {("a", DELIVERED): 1, ("a", PENDING): 1, ("b", PENDING): 3}


def test_it_writes_ahead_and_waits_for_the_disk(path):
    opened = Store(path)
    assert opened._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert opened._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert opened._connection.execute("PRAGMA user_version").fetchone() == (len(module.MIGRATIONS),)


def test_a_batch_is_written_whole_or_not_at_all(path):
    opened = Store(path)
    opened.commit([row(1)], [])
    with pytest.raises(sqlite3.IntegrityError):
        opened.commit([row(2), row(1)], [])
    assert [item.number for item in opened.events([row(1).number, row(2).number])] == [row(1).number]
    opened.commit([row(2)], [])


def test_old_events_go_when_no_endpoint_waits_for_them(path):
    opened = Store(path)
    old, waiting, orphan, dead, new = row(1), row(2), row(3, endpoints=("gone",)), row(4), row(5_000_000)
    opened.commit([old, waiting, orphan, dead, new], [])
    done = Mark(DELIVERED, 1, NOW)
    opened.commit(
        [],
        [
            (old.number, "a", done),
            (old.number, "b", done),
            (waiting.number, "a", done),
            (dead.number, "a", Mark(DEAD, 9, NOW)),
            (dead.number, "b", done),
        ],
    )
    assert opened.sweep(NOW + 1, ["a", "b"], 2) == 2
    assert opened.sweep(NOW + 1, ["a", "b"], 2) == 1
    assert opened.sweep(NOW + 1, ["a", "b"], 2) == 0
    assert opened.events([item.number for item in (old, waiting, orphan, dead, new)]) == [
        Row(item.number, item.id, item.call, item.seq, item.type, item.body) for item in (waiting, new)
    ]
    assert opened._connection.execute("SELECT count(DISTINCT number) FROM deliveries").fetchone() == (2,)


def test_a_damaged_file_is_moved_aside_and_a_new_one_begun(path):
    path.parent.mkdir()
    path.write_bytes(b"this has never been a database" * 200)
    opened = Store(path)
    opened.commit([row(1)], [])
    assert opened.set_aside is not None
    assert opened.set_aside.read_bytes().startswith(b"this has never been")
    assert opened.set_aside.name.startswith("outbox.db.damaged-")
    assert opened.newest() == row(1).number


def test_a_newer_file_is_left_alone(path):
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(OutboxError, match="newer version"):
        Store(path)
    assert list(path.parent.glob("*damaged*")) == []


def test_an_older_schema_is_migrated_and_keeps_its_events(path, monkeypatch):
    old = Store(path)
    old.commit([row(1)], [])
    old.close()
    monkeypatch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, "ALTER TABLE events ADD COLUMN note TEXT;"))
    new = Store(path)
    assert new._connection.execute("SELECT number, note FROM events").fetchall() == [(row(1).number, None)]
    assert new._connection.execute("PRAGMA user_version").fetchone() == (len(module.MIGRATIONS),)


def test_a_migration_that_fails_leaves_the_file_as_it_was(path, monkeypatch):
    Store(path).close()
    step = "ALTER TABLE events ADD COLUMN note TEXT; ALTER TABLE nothing ADD COLUMN x TEXT;"
    monkeypatch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, step))
    with pytest.raises(OutboxError, match="nothing"):
        Store(path)
    monkeypatch.undo()
    columns = Store(path)._connection.execute("PRAGMA table_info(events)").fetchall()
    assert "note" not in [column[1] for column in columns]


def test_a_locked_file_is_an_error_and_not_damage(path):
    Store(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    opened = Store(path, busy_seconds=0.01)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        opened.commit([row(1)], [])
    other.execute("ROLLBACK")
    opened.commit([row(1)], [])


def test_pending_events_are_found_by_an_index(path):
    opened = Store(path)
    plan = opened._connection.execute(
        "EXPLAIN QUERY PLAN SELECT number FROM deliveries"
        " WHERE endpoint = ? AND state = 0 AND number > ? ORDER BY number",
        ("a", time.time()),
    ).fetchall()
    (step,) = plan
    # newer SQLite knows that this index covers the query
    using = step[3].replace("COVERING ", "")
    assert using == "SEARCH deliveries USING INDEX deliveries_pending (endpoint=? AND number>?)"
