"""Which engine is asked next, and when."""

from gateway.asr.account import Account
from gateway.asr.preference import Preference
from gateway.config import Asr
from tests.asr.simulated import SimEngine, World

SETTINGS = Asr(retry_first_seconds=0.5, retry_max_seconds=4, failover_seconds=10)


def preference(count: int, *, ill: tuple[int, ...] = ()) -> tuple[Preference, list[SimEngine]]:
    world = World([], SETTINGS, SimEngine)
    engines = [SimEngine(world, name=f"e{number}") for number in range(count)]
    for number in ill:
        engines[number].gate.condemn(0.0, "AUTH_ERROR", "no")
    return Preference(engines, SETTINGS, 0.0, lambda _low, high: high), engines


def test_it_begins_with_the_first_engine_that_is_not_known_to_fail() -> None:
    assert preference(3, ill=(0,))[0].engine.name == "e1"
    assert preference(2, ill=(0, 1))[0].engine.name == "e0"


def test_an_engine_that_stays_away_is_replaced_after_the_budget() -> None:
    chosen, _ = preference(2)
    chosen.lost(100.0)
    assert not chosen.turn(109.9)
    assert chosen.turn(110.0)
    assert chosen.engine.name == "e1"
    assert not chosen.turn(119.0), "the next one has a budget of its own"
    assert chosen.turn(120.0)
    assert chosen.engine.name == "e0", "the first one may be back"


def test_an_outage_that_is_over_does_not_count() -> None:
    chosen, _ = preference(2)
    chosen.lost(100.0)
    chosen.opened()
    chosen.lost(109.0)
    assert not chosen.turn(111.0)


def test_an_engine_that_refused_for_good_is_not_asked_again() -> None:
    chosen, _ = preference(2)
    chosen.refused()
    assert chosen.turn(0.0, at_once=True)
    chosen.refused()
    assert chosen.exhausted
    assert not chosen.turn(1000.0, at_once=True)


def test_waits_double_up_to_the_longest_and_begin_anew() -> None:
    chosen, _ = preference(1)
    assert [chosen.back_off() for _ in range(5)] == [0.5, 1.0, 2.0, 4.0, 4.0]
    chosen.answered()
    assert chosen.back_off() == 0.5


def test_what_engines_say_they_processed_is_added_up() -> None:
    account = Account()
    account.ended(10.0, 80_000)
    account.ended(4.5, 40_000)  # half a second less than it got
    account.lost(8000, 24_000, high=16_000)  # half of it was never sent
    assert account.recognised(128_000) == 16.0 - 1.0 - 0.5
    account.ended(None, 8000)
    assert account.recognised(128_000) is None
