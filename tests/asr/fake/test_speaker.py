"""Results come out in the order in which they were said, whatever latencies are drawn for them."""

from __future__ import annotations

import asyncio
import random
import time

from gateway.asr.fake.core import Latency
from gateway.asr.fake.speaker import Speaker
from tests.peers.waiting import until


class Dice(random.Random):
    """Draws one latency that is long, then none to speak of: all results are due when the first is."""

    def __init__(self) -> None:
        super().__init__()
        self._first = True

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        first, self._first = self._first, False
        return mu + 2 * sigma if first else mu - 1000 * sigma


async def test_results_that_are_due_at_once_keep_their_order() -> None:
    speaker, said = Speaker(Latency(0.02, 0.1), Dice()), []
    for number in range(50):
        speaker.say(lambda number=number: said.append(number))
    assert said == []
    await until(lambda: len(said) == 50)
    assert said == list(range(50))


async def test_nothing_overtakes_what_is_late() -> None:
    speaker, said = Speaker(Latency(0.001, 0.002), Dice()), []
    speaker.say(lambda: said.append("first"))
    time.sleep(0.02)  # noqa: ASYNC251 (the loop is busy while the first one becomes due)
    speaker.say(lambda: said.append("second"))
    await until(lambda: len(said) == 2)
    assert said == ["first", "second"]


async def test_what_is_silenced_says_nothing_of_what_was_under_way() -> None:
    speaker, said = Speaker(Latency(0.01, 0.01), random.Random()), []
    speaker.say(lambda: said.append("first"))
    speaker.silence()
    speaker.say(lambda: said.append("second"))
    await asyncio.sleep(0.05)
    assert said == []
