"""Events as lines of a file: whole lines only, whatever happens to the file and its disk."""

import asyncio
import json
import os

import pytest

from gateway.delivery import lines
from gateway.delivery.lines import LinesFile
from gateway.delivery.outlet import Message
from gateway.delivery.settings import LinesOutlet


@pytest.fixture
def outlet(tmp_path):
    return LinesOutlet(name="log", path=str(tmp_path / "sub" / "events.jsonl"), retry_seconds=[0.02] * 50)


def message(text: str) -> Message:
    return Message("id", "c1", "call.started", json.dumps({"text": text}).encode())


async def test_each_event_is_a_line_in_order_partials_too(deliverer_of, outlet, calls, tmp_path):
    deliver = await deliverer_of(lines=[outlet])
    sent = [calls.held(f"c{index % 3}") for index in range(60)]
    for event in sent:
        deliver.publish(event)
    assert await deliver.flush(5) == 0
    deliver.publish(calls.partial("c1", 1, "grüß"))
    assert await deliver.flush(5) == 0
    got = (tmp_path / "sub" / "events.jsonl").read_bytes().splitlines()
    assert sorted(got[:60]) == sorted(event.wire() for event in sent)
    for call in ("c0", "c1", "c2"):
        assert [json.loads(line)["seq"] for line in got[:60] if json.loads(line)["call"]["id"] == call] == [
            *range(1, 21)
        ]
    assert json.loads(got[60])["data"]["text"] == "grüß"


async def test_a_file_that_was_moved_away_is_begun_anew(outlet, tmp_path):
    path = tmp_path / "sub" / "events.jsonl"
    file = LinesFile(outlet)
    assert (await file.send(message("one"), 5)).result == "delivered"
    path.rename(path.with_suffix(".1"))
    assert (await file.send(message("two"), 5)).result == "delivered"
    await file.close()
    assert path.with_suffix(".1").read_text() == '{"text": "one"}\n'
    assert path.read_text() == '{"text": "two"}\n'


async def test_what_a_full_disk_cut_off_is_taken_back(outlet, tmp_path, monkeypatch):
    file = LinesFile(outlet)
    assert (await file.send(message("one"), 5)).result == "delivered"
    full = iter([True, False])

    def write(descriptor: int, data: bytes) -> int:
        if next(full, False):
            return os.pwrite(descriptor, data[:5], os.fstat(descriptor).st_size)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lines.os, "write", write)
    outcome = await file.send(message("two"), 5)
    assert (outcome.result, outcome.text) == ("unreachable", "No space left on device")
    monkeypatch.undo()
    assert (await file.send(message("three"), 5)).result == "delivered"
    await file.close()
    assert (tmp_path / "sub" / "events.jsonl").read_text() == '{"text": "one"}\n{"text": "three"}\n'


async def test_a_pipe_that_nobody_reads_holds_up_nobody_else(deliverer_of, outlet, consumer, endpoint, calls, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    stuck = LinesOutlet(name="stuck", path=str(pipe), timeout_seconds=0.1, retry_seconds=[60])
    url, _, received = await consumer()
    deliver = await deliverer_of(lines=[stuck, outlet], endpoints=[endpoint("a", url)])
    for _ in range(5):
        deliver.publish(calls.held("c1"))
    async with asyncio.timeout(5):
        while deliver.waiting != {"a": 0, "stuck": 5, "log": 0}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert received.seqs("c1") == [1, 2, 3, 4, 5]
    with pipe.open("rb"):  # lets the writer's thread go
        await asyncio.sleep(0.05)
