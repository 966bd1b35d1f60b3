"""The worker process as the server sees it; the process and the model are real."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from gateway.asr.embedded.dispatcher import DecodeFailed, Dispatcher, WorkerLost
from gateway.asr.embedded.jobs import Kind
from tests.peers import prompts, words

PROMPT = next(prompt for prompt in prompts.load() if prompt.id == "cannot-complete-as-dialed")
SPEECH = PROMPT.pcm()


class Losses:
    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1


@pytest.fixture
async def losses():
    return Losses()


@pytest.fixture
async def dispatcher(losses):
    dispatcher = Dispatcher(4, losses, decode_seconds=1.0)
    await dispatcher.start()
    yield dispatcher
    await dispatcher.stop()
    assert not dispatcher.ready


async def ready(dispatcher):
    async with asyncio.timeout(20):
        while not dispatcher.ready:  # noqa: ASYNC110 (a process is waited for)
            await asyncio.sleep(0.01)


async def test_words(dispatcher):
    text = await dispatcher.decode(1, Kind.FINAL, SPEECH, 8000)
    assert words.wer(PROMPT.text, text) == 0.0


async def test_finals_overtake_partials_that_wait(dispatcher):
    done = []

    async def decode(session, kind):
        text = await dispatcher.decode(session, kind, SPEECH, 8000)
        done.append((session, kind, text is not None))

    async with asyncio.TaskGroup() as tasks:
        for session, kind in ((1, Kind.PARTIAL), (2, Kind.PARTIAL), (3, Kind.FINAL), (2, Kind.PARTIAL)):
            tasks.create_task(decode(session, kind))
            await asyncio.sleep(0)
    assert done == [
        (2, Kind.PARTIAL, False),  # replaced by the newer one
        (1, Kind.PARTIAL, True),  # the worker was free
        (3, Kind.FINAL, True),
        (2, Kind.PARTIAL, True),
    ]
    assert dispatcher.dropped_partials == 1


async def test_an_overtaken_partial_is_dropped(dispatcher):
    first = asyncio.create_task(dispatcher.decode(1, Kind.FINAL, SPEECH, 8000))
    partial = asyncio.create_task(dispatcher.decode(2, Kind.PARTIAL, SPEECH, 8000))
    await asyncio.sleep(0)
    dispatcher.drop_partial(2)
    assert await partial is None
    assert await first


async def test_a_segment_that_cannot_be_decoded_leaves_the_worker_up(dispatcher, losses):
    with pytest.raises(DecodeFailed):
        await dispatcher.decode(1, Kind.FINAL, SPEECH, -8000)
    assert await dispatcher.decode(1, Kind.FINAL, SPEECH, 8000)
    assert losses.count == 0


async def test_too_many_segments_are_refused(dispatcher):
    tasks = [asyncio.create_task(dispatcher.decode(session, Kind.FINAL, SPEECH, 8000)) for session in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(WorkerLost, match="too many"):
        await dispatcher.decode(9, Kind.FINAL, SPEECH, 8000)
    assert all(await asyncio.gather(*tasks))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_worker_that_dies_or_hangs_is_replaced(dispatcher, losses, number):
    pid = dispatcher.worker_pid
    tasks = [asyncio.create_task(dispatcher.decode(session, Kind.FINAL, SPEECH, 8000)) for session in range(3)]
    await asyncio.sleep(0)
    os.kill(pid, number)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, WorkerLost) for result in results), results
    await ready(dispatcher)
    assert (losses.count, dispatcher.restarts) == (1, 1)
    assert dispatcher.worker_pid != pid
    assert await dispatcher.decode(1, Kind.FINAL, SPEECH, 8000)


async def test_while_the_worker_is_down_nothing_waits(dispatcher, losses):
    os.kill(dispatcher.worker_pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        while not losses.count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    with pytest.raises(WorkerLost, match="started again"):
        await dispatcher.decode(1, Kind.FINAL, SPEECH, 8000)
