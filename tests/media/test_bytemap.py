"""Bytes of a session and samples of the leg's clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media.bytemap import ByteMap


@given(st.lists(st.tuples(st.sampled_from([0, 0, 0, 160, 4000]), st.integers(1, 2400)), min_size=1, max_size=30))
def test_every_byte_is_the_sample_that_was_sent(parts: list[tuple[int, int]]) -> None:
    sent, clock, samples = ByteMap(), 800, []
    for hole, length in parts:
        clock += hole
        sent.add(clock, length)
        samples += range(clock, clock + length)
        clock += length
    assert sent.sent == len(samples)
    for position in range(0, len(samples), 97):
        assert sent.sample(position) == samples[position]
        assert sent.position(samples[position]) == position
    assert sent.sample(len(samples)) == samples[-1] + 1


def test_a_hole_is_the_byte_after_it_and_before_the_first_is_the_first() -> None:
    sent = ByteMap()
    sent.add(1000, 100)
    sent.add(5000, 100)
    assert [sent.position(sample) for sample in (0, 1000, 1099, 1100, 3000, 5000, 5050)] == [
        0,
        0,
        99,
        100,
        100,
        100,
        150,
    ]


def test_audio_is_not_sent_twice_in_one_session() -> None:
    sent = ByteMap()
    for ask in (sent.sample, sent.position):
        with pytest.raises(ValueError, match="nothing was sent"):
            ask(0)
    sent.add(0, 100)
    with pytest.raises(ValueError, match="sample 99 was sent before: the session has got as far as 100"):
        sent.add(99, 10)
