from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.asr.embedded.jobs import Job, JobQueue, Kind, QueueFull

FINAL, PARTIAL, BACKLOG = Kind.FINAL, Kind.PARTIAL, Kind.BACKLOG


def filled(*jobs, capacity=100):
    queue = JobQueue(capacity)
    for session, kind, item in jobs:
        queue.put(Job(session, kind, item))
    return queue


def drain(queue):
    taken = []
    while job := queue.take():
        taken.append(job.item)
    return taken


def test_finals_go_before_partials():
    assert drain(filled((1, PARTIAL, "p1"), (2, FINAL, "f2"), (3, PARTIAL, "p3"), (4, FINAL, "f4"))) == [
        "f2",
        "f4",
        "p1",
        "p3",
    ]


def test_partials_and_the_backlog_take_turns():
    queue = filled((1, BACKLOG, "b1"), (2, BACKLOG, "b2"), (3, BACKLOG, "b3"), (4, PARTIAL, "p4"), (5, PARTIAL, "p5"))
    assert drain(queue) == ["p4", "b1", "p5", "b2", "b3"]


def test_a_newer_partial_takes_the_place_of_the_waiting_one():
    queue = filled((1, PARTIAL, "old"), (2, PARTIAL, "p2"))
    replaced = queue.put(Job(1, PARTIAL, "new"))
    assert replaced is not None
    assert replaced.item == "old"
    assert queue.dropped_partials == 1
    assert drain(queue) == ["new", "p2"]


def test_an_overtaken_partial_is_dropped_and_only_it():
    queue = filled((1, PARTIAL, "p1"), (1, FINAL, "f1"), (2, PARTIAL, "p2"))
    dropped = queue.drop_partial(1)
    assert dropped is not None
    assert dropped.item == "p1"
    assert queue.drop_partial(1) is None
    assert queue.dropped_partials == 1
    assert drain(queue) == ["f1", "p2"]


def test_a_full_queue_refuses_and_still_replaces():
    queue = filled((1, PARTIAL, "p1"), (2, FINAL, "f2"), capacity=2)
    with pytest.raises(QueueFull):
        queue.put(Job(3, FINAL, "f3"))
    queue.put(Job(1, PARTIAL, "new"))
    assert len(queue) == 2
    assert [job.item for job in queue.clear()] == ["f2", "new"]
    assert queue.take() is None


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(Kind)), max_size=60))
def test_no_final_is_ever_lost_and_each_session_keeps_its_order(jobs):
    queue = JobQueue(1000)
    for item, (session, kind) in enumerate(jobs):
        queue.put(Job(session, kind, item))
    taken = []
    while job := queue.take():
        taken.append(job)
    for kind in (FINAL, BACKLOG):
        put = [item for item, (_, k) in enumerate(jobs) if k is kind]
        assert [job.item for job in taken if job.kind is kind] == put
    sessions = [job.session for job in taken if job.kind is PARTIAL]
    assert len(sessions) == len(set(sessions))
    last = {session: item for item, (session, k) in enumerate(jobs) if k is PARTIAL}
    assert {job.session: job.item for job in taken if job.kind is PARTIAL} == last
    assert queue.dropped_partials == sum(k is PARTIAL for _, k in jobs) - len(last)
