"""How far an engine without cursors has come."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.asr.hearing import LONGEST_LAG, Hearing

BLOCK = 2400


def test_an_engine_that_speaks_after_each_block_is_as_far_as_it_spoke() -> None:
    hearing = Hearing(BLOCK)
    assert [hearing.spoke(got, now) for now, got in enumerate((4000, 9000, 20_000))] == [2400, 4800, 7200]


def test_the_last_block_of_the_audio_may_be_a_short_one() -> None:
    hearing = Hearing(BLOCK)
    hearing.spoke(3000, 0.0)
    assert hearing.spoke(3000, 0.0) == 3000


def test_an_engine_that_speaks_more_often_is_taken_to_be_one_word_behind() -> None:
    hearing = Hearing(BLOCK)
    for got in range(800, 3200, 800):
        hearing.spoke(got, got / 8000)
    assert hearing.spoke(4000, 0.5) == 2400
    assert hearing.spoke(4800, 0.6) == 4000


def test_an_engine_that_speaks_only_of_words_is_found_out() -> None:
    hearing = Hearing(BLOCK)
    for second in range(0, 41, 4):
        hearing.spoke(second * 8000, float(second))
    assert hearing.heard == 36 * 8000


def test_cursors_are_better_than_habits() -> None:
    hearing = Hearing(None)
    assert hearing.spoke(8000, 1.0, cursor=5000) == 5000
    assert hearing.spoke(16_000, 2.0, cursor=20_000) == 16_000, "never more than it has"


@given(
    st.lists(st.tuples(st.integers(20, 400), st.floats(0.0, 3.0)), min_size=1, max_size=60),
    st.booleans(),
)
def test_it_never_claims_more_than_was_worked_through(messages: list[tuple[int, float]], known: bool) -> None:
    """Against an engine with blocks and any latency below the longest, in the order of time."""
    got, now, due, said = 0, 0.0, 0.0, 0
    happenings: list[tuple[float, int, int]] = []  # when, what was got, what was worked through
    sent: list[tuple[float, int]] = []
    for milliseconds, latency in messages:
        got, now = got + milliseconds * 8, now + milliseconds / 1000
        sent.append((now, got))
        while said + BLOCK <= got:
            said += BLOCK
            due = max(due, now + latency)
            happenings.append((due, 0, said))
    hearing, before = Hearing(BLOCK if known else None), 0
    for at, _, worked in happenings:
        got = max(samples for when, samples in sent if when <= at)
        heard = hearing.spoke(got, at)
        assert before <= heard <= got
        if known and at < LONGEST_LAG:
            assert heard == worked
        before = heard
