"""The machine in simulated time, with real utterances around it: what is delivered is what was said."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.asr.engine import Failure, Limits
from gateway.config import Asr
from tests.asr.simulated import SimEngine, World, idle_limits

SETTINGS = Asr(retry_first_seconds=0.2, retry_max_seconds=2, stall_seconds=3, finish_seconds=20, catch_up_seconds=60)
SENTENCES = [code for first in range(1, 49, 8) for code in (*range(first, first + 8), None)]


def palatine(world: World) -> SimEngine:
    return SimEngine(world)


def own_boundaries(world: World) -> SimEngine:
    return SimEngine(world, accumulates=False, limits=Limits())


def sleepy(world: World) -> SimEngine:
    """Its sessions are closed while nobody speaks."""
    return SimEngine(world, limits=idle_limits(4.0))


def limited(world: World) -> SimEngine:
    """Its sessions last 12 s."""
    return SimEngine(world, limits=Limits(seconds=12.0, block_ms=300))


@pytest.mark.parametrize("latency", [0.05, 0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("dies_at", [1.7, 2.3, 3.0, 3.6, 4.4, 5.5])
def test_words_that_the_engine_had_not_said_when_it_died_are_heard_again(latency: float, dies_at: float) -> None:
    world = World(SENTENCES, SETTINGS, palatine)
    world.engines[0].latency = latency
    world.speak(dies_at)
    world.engines[0].die()
    world.engines[0].latency = 0.05
    world.speak(3)
    world.engines[0].alive = True
    world.speak()
    summary = world.hang_up()
    assert world.delivered == world.said
    assert (summary.unrecognised, world.unrecognised, summary.failure) == (0, [], None)
    assert summary.sent == len(world.audio)


@pytest.mark.parametrize("latency", [0.05, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("silent_at", [1.7, 2.0, 2.9, 3.6, 4.4])
def test_words_taken_for_final_in_an_engines_silence_are_not_doubled(latency: float, silent_at: float) -> None:
    world = World(SENTENCES, SETTINGS, palatine)
    world.engines[0].latency = latency
    world.speak(silent_at)
    world.engines[0].hush()
    world.speak(1.6 + 1.5 + 2)  # the timer has made what was shown final
    world.engines[0].die()
    world.engines[0].silent, world.engines[0].alive = False, True
    world.speak()
    world.hang_up()
    assert world.delivered == world.said
    assert world.unrecognised == []


@pytest.mark.parametrize("latency", [0.05, 0.3, 1.0, 2.0, 3.0])
def test_an_utterance_is_final_when_its_last_word_is_out_however_slow_the_engine(latency: float) -> None:
    world = World(SENTENCES, SETTINGS, palatine)
    world.engines[0].latency = latency
    world.speak()
    world.hang_up()
    texts = [world.latest[number] for number in sorted(world.latest)]
    sentences = [" ".join(f"w{code}" for code in range(first, first + 8)) for first in range(1, 49, 8)]
    assert [update.text for update in texts] == sentences
    for update in texts:
        first, last = update.text.split()[0], update.text.split()[-1]
        assert abs(update.start - world.spans[first][0]) <= 800
        assert abs(update.end - world.spans[last][1]) <= 800


FAULTS = ["die", "silent", "full", "early-end", "slow"]


class Conversation(RuleBasedStateMachine):
    """Anything may happen to a leg; at its hang-up each word was delivered once, or its audio is reported."""

    @initialize(
        kinds=st.lists(st.sampled_from([palatine, own_boundaries, sleepy, limited]), min_size=1, max_size=2),
        dice=st.randoms(use_true_random=False),
        replay=st.sampled_from([5.0, 45.0]),
    )
    def begin(self, kinds: list[Callable[[World], SimEngine]], dice: Random, replay: float) -> None:
        codes: list[int | None] = []
        for code in range(1, 200):
            codes += [code, None] if dice.random() < 0.15 else [code]
        settings = SETTINGS.model_copy(update={"replay_seconds": replay, "failover_seconds": 4.0})
        self.world = World(codes, settings, *kinds)
        self.replay = int(replay * 8000)

    @rule(seconds=st.floats(0.1, 6.0))
    def speak(self, seconds: float) -> None:
        self.world.speak(seconds)

    @rule(which=st.integers(0, 1), latency=st.floats(0.0, 2.5))
    def lag(self, which: int, latency: float) -> None:
        self._engine(which).latency = latency

    @rule(which=st.integers(0, 1), fault=st.sampled_from(FAULTS))
    def fail(self, which: int, fault: str) -> None:
        engine = self._engine(which)
        match fault:
            case "die":
                engine.die()
            case "silent":
                engine.hush()
            case "full":
                engine.full = True
            case "early-end":
                engine.end_early()
            case _:
                engine.lose(Failure("INTERNAL", "told to", retryable=True))

    @rule(which=st.integers(0, 1))
    def mend(self, which: int) -> None:
        engine = self._engine(which)
        engine.alive, engine.silent, engine.full = True, False, False

    @rule(which=st.integers(0, 1), busy=st.booleans())
    def throttle(self, which: int, busy: bool) -> None:
        text = "too many requests"
        self._engine(which).refusal = Failure("HANDSHAKE", text, retryable=True, quota=True) if busy else None

    @invariant()
    def bounded(self) -> None:
        if hasattr(self, "world"):
            assert self.world.machine.buffer.held <= self.replay
            for engine in self.world.engines:
                assert engine.most <= 3

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        for engine in world.engines:
            engine.alive, engine.silent, engine.full, engine.refusal = True, False, False, None
        summary = world.hang_up()
        spans, lost = world.spans, world.unrecognised
        said = [word for word in world.said if spans[word][1] <= world.fed]
        got = world.delivered
        # a word whose audio was given up in part may be heard before that and after it
        whole = [
            word for word in got if not any(first < spans[word][1] and spans[word][0] < end for first, end in lost)
        ]
        assert len(whole) == len(set(whole)), f"doubled: {[word for word in whole if whole.count(word) > 1]}"
        assert got == sorted(got, key=lambda word: spans[word]), "out of order"
        for word in said:
            start, end = spans[word]
            assert word in got or any(first < end and start < stop for first, stop in lost), f"{word} vanished"
        # every sample is accounted for
        assert summary.unrecognised == sum(stop - first for first, stop in lost)
        assert all(0 <= first < stop <= world.fed for first, stop in lost)
        if summary.failure is None and not lost:
            assert summary.sent + summary.skipped == world.fed

    def _engine(self, which: int) -> SimEngine:
        return self.world.engines[which % len(self.world.engines)]


Conversation.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestConversation = Conversation.TestCase


def test_a_leg_that_is_told_to_come_later_waits_no_longer_than_it_may() -> None:
    world = World(SENTENCES, SETTINGS, palatine)
    engine = world.engines[0]
    world.speak(1.0)
    engine.refusal = Failure("HANDSHAKE", "429", retryable=True, quota=True)
    engine.lose(Failure("INTERNAL", "told to", retryable=True))
    world.speak(6.0)
    tries = len(engine.sessions)
    assert tries >= 4
    assert engine.gate.opened == 0
    engine.refusal = None
    world.speak(SETTINGS.retry_max_seconds + 0.2)
    assert world.recovered == 1
    world.speak()
    world.hang_up()
    assert world.delivered == world.said


def test_a_leg_keeps_to_the_time_that_a_refusal_asks_for() -> None:
    world = World(SENTENCES, SETTINGS, palatine)
    engine = world.engines[0]
    world.speak(1.0)
    engine.refusal = Failure("HANDSHAKE", "429", retryable=True, quota=True, retry_after=5.0)
    engine.lose(Failure("INTERNAL", "told to", retryable=True))
    world.speak(1.0)
    engine.refusal = None
    tries = len(engine.sessions)
    world.speak(3.5)
    assert len(engine.sessions) == tries == 2
    world.speak()
    world.hang_up()
    assert world.delivered == world.said


def test_a_quota_that_is_used_up_leads_to_the_next_engine_at_once() -> None:
    world = World(SENTENCES, SETTINGS, palatine, own_boundaries)
    world.engines[0].lose(Failure("QUOTA", "402", retryable=False, quota=True))
    world.speak(0.2)
    assert [len(engine.sessions) for engine in world.engines] == [1, 1]
    world.speak()
    world.hang_up()
    assert world.delivered == world.said


@pytest.mark.parametrize("silent_for", [5.0, 30.0])
def test_a_session_closed_in_a_long_pause_is_opened_again_with_what_came_before_the_first_word(
    silent_for: float,
) -> None:
    pause: list[int | None] = [None] * int(silent_for / 1.2)
    world = World([1, 2, 3, *pause, 4, 5, 6, *pause, 7, 8], SETTINGS, sleepy)
    world.engines[0].limits = idle_limits(4.0)
    world.speak()
    summary = world.hang_up()
    assert world.delivered == world.said
    closes = silent_for > SETTINGS.idle_close_seconds
    assert len(world.engines[0].sessions) == (3 if closes else 1)
    assert (summary.skipped > 0) == closes
    assert summary.sent + summary.skipped == len(world.audio)
    assert (summary.unrecognised, world.failures) == (0, [])
    if closes:  # with pre-roll: somewhat more than the words
        assert len(world.engines[0].sessions[1].audio) > 3 * 2080 + SETTINGS.preroll_ms * 8 / 2


@pytest.mark.parametrize("after", [0.2, 1.0, 1.8, 2.6, 3.4, 4.2, 5.0])
@pytest.mark.parametrize("latency", [0.05, 0.6, 1.5])
@pytest.mark.parametrize("more", [0, 1, 3])
def test_a_session_lost_soon_after_a_roll_over_in_mid_word_doubles_nothing(
    after: float, latency: float, more: int
) -> None:
    """The cut is in the 42nd word, and shortly after it somebody pauses: what is said then is the new session's."""
    spoken = 42 + more
    world = World([*range(1, spoken), None, *range(100, 112)], SETTINGS, limited)
    engine = world.engines[0]
    engine.latency = latency
    world.speak(10.8 + after)
    engine.lose(Failure("INTERNAL", "told to", retryable=True))
    world.speak()
    world.hang_up()
    assert world.delivered == world.said
    assert world.unrecognised == []
