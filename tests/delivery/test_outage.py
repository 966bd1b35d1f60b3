"""An endpoint that is away: others notice nothing, little is tried, and its return is noticed and gentle."""

import asyncio

from structlog.testing import capture_logs

from gateway.delivery import health
from gateway.delivery.consumer import Answer
from gateway.delivery.health import State
from gateway.delivery.store import DEAD, DELIVERED


async def test_all_calls_go_on_when_the_endpoint_is_back_however_long_their_own_waits(
    deliverer, consumer, endpoint, calls, recorder, monkeypatch
):
    monkeypatch.setattr(health, "PROBE_FIRST", 0.05)
    away = True
    at_once, most = 0, []

    def answer(_):
        return Answer(503) if away else Answer(204, delay=0.02)

    url, peer, received = await consumer(answer)
    deliver = await deliverer(endpoint("a", url, retry_seconds=[3600], concurrency=8))
    with capture_logs() as logs:
        for index in range(120):
            deliver.publish(calls.held(f"c{index % 40}"))
        await asyncio.sleep(0.4)
        worker = deliver._workers[0]
        assert worker.state is State.DOWN
        tried = peer.summary.received
        assert tried < 24, "ten or so, then one now and then"
        away = False
        while worker.waiting:
            at_once = worker._queue.in_flight
            most.append(at_once)
            await asyncio.sleep(0.005)
    assert worker.state is State.UP
    for index in range(40):
        assert received.seqs(f"c{index}") == [1, 2, 3]
    assert recorder.dead_letters == []
    assert max(most) <= 8
    assert most.index(max(most)) > 3, "it gets more at once by and by"
    texts = [entry["event"] for entry in logs]
    assert texts.count("the endpoint is down; it is tried now and then") == 1
    assert texts.count("the endpoint is back") == 1
    assert len([text for text in texts if "not taken" in text]) < 10, "a log is no place for every attempt"


async def test_retry_after_of_one_call_is_kept_when_the_endpoint_is_back(
    deliverer, consumer, endpoint, calls, monkeypatch
):
    monkeypatch.setattr(health, "PROBE_FIRST", 0.05)
    away = True
    asked = []

    def answer(event):
        asked.append(event.call.id)
        if event.call.id == "later":
            return Answer(429, {"retry-after": "3600"})
        return Answer(503) if away else Answer(204)

    url, _, received = await consumer(answer)
    deliver = await deliverer(endpoint("a", url, retry_seconds=[3600], concurrency=20))
    deliver.publish(calls.held("later"))
    await asyncio.sleep(0.1)
    for index in range(15):
        deliver.publish(calls.held(f"c{index}"))
    await asyncio.sleep(0.2)
    away = False
    async with asyncio.timeout(5):
        while len(received) < 15 or deliver.waiting != {"a": 1}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert asked.count("later") == 1


async def test_what_waits_for_an_endpoint_that_never_comes_back_is_bounded_in_time(
    deliverer, endpoint, calls, recorder, monkeypatch, path, stored
):
    monkeypatch.setattr(health, "PROBE_FIRST", 0.05)
    monkeypatch.setattr(health, "PROBE_MAX", 0.05)
    deliver = await deliverer(endpoint("a", "http://127.0.0.1:9/", retry_seconds=[0.5, 0.5]), path=path)
    for index in range(60):
        deliver.publish(calls.held(f"c{index % 20}"))
    async with asyncio.timeout(10):
        while deliver.waiting["a"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert recorder.dead_letters == [("a", "call.updated")] * 60
    assert len(recorder.attempts) < 60, "most of them were never tried"
    await deliver.stop()
    assert stored(path) == {("a", DEAD): 60}


async def test_behind_a_dead_letter_little_is_tried_until_one_is_taken(
    deliverer, consumer, endpoint, calls, recorder, path, stored
):
    refused = {1, 2, 3}
    url, peer, received = await consumer(lambda event: Answer(400 if event.seq in refused else 204))
    deliver = await deliverer(endpoint("a", url, retry_seconds=[0.01] * 6), path=path)
    for _ in range(5):
        deliver.publish(calls.held("c1"))
    assert await deliver.flush(10) == 0
    assert received.seqs("c1") == [4, 5]
    assert peer.summary.refused == 7 + 2 + 2
    assert len(recorder.dead_letters) == 3
    await deliver.stop()
    assert stored(path) == {("a", DEAD): 3, ("a", DELIVERED): 2}
