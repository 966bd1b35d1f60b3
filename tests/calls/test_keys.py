"""Keys that come in RTP and by SIP INFO are told once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.keys import WINDOW, Keys, Way
from gateway.media.chunks import Digit


def digit(key: str, first: int) -> Digit:
    return Digit(1, key, first, 800)


def test_a_key_that_comes_both_ways_is_one_press() -> None:
    keys = Keys()
    assert keys.fresh(digit("*", 8000), Way.RTP)
    assert not keys.fresh(digit("*", 8100), Way.INFO)
    assert keys.fresh(digit("9", 12000), Way.INFO)
    assert not keys.fresh(digit("9", 11900), Way.RTP)


def test_the_same_key_again_is_another_press() -> None:
    keys = Keys()
    told = [keys.fresh(digit("1", at), way) for at in (0, 2000, 4000) for way in (Way.RTP, Way.INFO)]
    assert told == [True, False] * 3
    keys = Keys()
    ways = [Way.RTP, Way.RTP, Way.INFO, Way.INFO, Way.RTP]
    assert [keys.fresh(digit("1", at), way) for at, way in enumerate(ways)] == [True, True, False, False, True]


def test_keys_far_apart_have_nothing_to_do_with_each_other() -> None:
    keys = Keys()
    assert keys.fresh(digit("1", 0), Way.RTP)
    assert keys.fresh(digit("1", WINDOW + 1), Way.INFO)


@given(st.lists(st.tuples(st.sampled_from("12*"), st.integers(1, 4000)), max_size=40))
def test_one_way_alone_loses_nothing(presses: list[tuple[str, int]]) -> None:
    keys = Keys()
    assert all(keys.fresh(digit(key, at), Way.INFO) for key, at in presses)


@given(st.lists(st.sampled_from("0123456789*#"), max_size=40))
def test_both_ways_give_each_press_once(pressed: list[str]) -> None:
    keys = Keys()
    presses = [(digit(key, number * 1600), way) for number, key in enumerate(pressed) for way in ways(number)]
    assert [one.key for one, way in presses if keys.fresh(one, way)] == pressed


def ways(number: int) -> list[Way]:
    """Which way is the faster one changes from key to key."""
    return list(Way)[:: -1 if number % 2 else 1]
