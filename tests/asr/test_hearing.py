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


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), max_size=30))
def test_what_is_said_several_times_at_once_counts_as_often(steps: list[tuple[int, int]]) -> None:
    """An engine that keeps to its blocks: so many at once, some of which wait for the next message."""
    one_by_one, together = Hearing(BLOCK), Hearing(BLOCK)
    sent = said = 0
    for at, (blocks, behind) in enumerate(steps):
        sent += blocks
        times = max(0, sent - behind - said)
        said += times
        for _ in range(times):
            one_by_one.spoke(sent * BLOCK, at * 0.3)
        if times:
            together.spoke(sent * BLOCK, at * 0.3, times=times)
        assert together.heard == one_by_one.heard == said * BLOCK


@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 5), st.floats(0, 5)), max_size=30))
def test_of_an_engine_of_any_habit_no_more_is_believed(steps: list[tuple[int, int, float]]) -> None:
    one_by_one, together = Hearing(BLOCK), Hearing(BLOCK)
    got, now = 0, 0.0
    for more, times, pause in steps:
        got, now = got + more, now + pause
        for _ in range(times):
            one_by_one.spoke(got, now)
        together.spoke(got, now, times=times)
        assert together.heard <= one_by_one.heard
