"""The account of a leg's audio: each sample was written to a session, or skipped, or missed, by counts of their own.

``World.hang_up`` checks the sum; these are the ways that audio takes round a session.
"""

from __future__ import annotations

import pytest

from gateway.asr.engine import Failure
from tests.asr.simulated import SimEngine, World
from tests.asr.test_machine import SENTENCES, SETTINGS, palatine, sleepy


def sent(engine: SimEngine) -> int:
    return sum(len(session.audio) for session in engine.sessions)


def test_all_is_sent() -> None:
    world = World(SENTENCES, SETTINGS, palatine)
    world.speak()
    summary = world.hang_up()
    assert (summary.sent, summary.skipped, summary.missed) == (len(world.audio), 0, 0)


def test_what_an_engine_that_never_came_did_not_get_is_missed() -> None:
    world = World(SENTENCES, SETTINGS, palatine)
    world.engines[0].alive = False
    world.speak()
    summary = world.hang_up()
    assert (summary.sent, summary.skipped, summary.missed) == (0, 0, len(world.audio))
    assert summary.unrecognised == len(world.audio)


def test_what_a_refusal_for_good_left_unsent_is_missed() -> None:
    world = World(SENTENCES, SETTINGS, palatine)
    world.speak(4)
    world.engines[0].refusal = Failure("FORBIDDEN", "no", retryable=False)
    world.engines[0].lose(Failure("FORBIDDEN", "no", retryable=False))
    world.speak()
    summary = world.hang_up()
    assert summary.sent == sent(world.engines[0]) == 4 * 8000
    assert summary.missed == len(world.audio) - summary.sent


def test_what_did_not_fit_into_the_buffer_in_an_outage_is_missed() -> None:
    world = World(SENTENCES, SETTINGS.model_copy(update={"replay_seconds": 3}), palatine)
    world.speak(2)
    world.engines[0].die()
    world.speak(6)
    world.engines[0].alive = True
    world.speak()
    summary = world.hang_up()
    assert 0 < summary.missed <= 5 * 8000
    assert summary.skipped == 0


def test_a_backlog_that_is_given_up_is_missed() -> None:
    world = World(SENTENCES, SETTINGS.model_copy(update={"catch_up_seconds": 2, "stall_seconds": 60}), palatine)
    world.speak(2)
    world.engines[0].full = True
    world.speak(8)
    world.engines[0].full = False
    world.speak()
    summary = world.hang_up()
    assert summary.missed > 0
    assert summary.sent == sent(world.engines[0])


def test_silence_after_a_session_was_closed_is_skipped() -> None:
    world = World([1, 2, *[None] * 20, 3, None], SETTINGS.model_copy(update={"idle_close_seconds": 2}), sleepy)
    world.speak()
    summary = world.hang_up()
    assert summary.skipped > 8 * 8000
    assert summary.missed == 0
    assert summary.sent == sent(world.engines[0])


@pytest.mark.parametrize("deaf", [1600, 4000, 9600])
def test_a_session_that_ended_before_it_heard_all_is_followed_by_one_that_does(deaf: int) -> None:
    """The engine ended it by itself just when it was asked to; only its account tells."""
    world = World(SENTENCES, SETTINGS, palatine)
    world.speak()
    world.engines[0].deaf = deaf
    summary = world.hang_up()
    assert world.delivered == world.said
    assert [failure.code for failure in world.failures] == ["ENDED_EARLY"]
    assert (summary.unrecognised, summary.failure, len(world.engines[0].sessions)) == (0, None, 2)
    assert world.engines[0].gate.counts


def test_an_engine_that_counts_in_a_way_of_its_own_is_asked_again_once_and_believed_no_more() -> None:
    world = World(SENTENCES, SETTINGS, palatine)
    world.engines[0].miscount = 0.3
    world.speak()
    summary = world.hang_up()
    assert world.delivered == world.said
    assert len(world.engines[0].sessions) == 2
    assert summary.recognised_seconds is not None
    assert not world.engines[0].gate.counts
    other = World(SENTENCES, SETTINGS, lambda _: world.engines[0])
    world.engines[0].world = other
    other.speak()
    other.hang_up()
    assert other.delivered == other.said
    assert (len(world.engines[0].sessions), other.failures) == (3, [])
