import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.retry import retry_after_seconds, wait

schedules = st.lists(st.floats(0.01, 1e5), max_size=12)
draws = st.floats(0, 1)


@given(schedules, st.integers(1, 20), draws, st.none() | st.floats(0, 1e6))
def test_waits_keep_to_the_schedule_and_to_the_consumers_wish(schedule, attempts, draw, asked):
    seconds = wait(schedule, attempts, draw, asked)
    if attempts > len(schedule):
        assert seconds is None
        return
    planned = schedule[attempts - 1]
    assert seconds is not None
    if asked is None:
        assert planned * 0.8 - 1e-9 <= seconds <= planned * 1.2 + 1e-9
    else:
        wish = min(asked, 3600)
        assert seconds >= wish
        assert seconds <= max(planned, wish) * 1.2 + 1e-9


def test_jitter_spreads_both_ways():
    assert [wait([10], 1, draw) for draw in (0, 0.5, 1)] == [8, 10, 12]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120),
        (" 7 ", 7),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 59),
        ("Fri, 31 Dec 1999 23:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        ("9" * 5000, 1e18),
    ],
)
def test_both_forms_of_retry_after(value, seconds):
    assert retry_after_seconds(value, now=946684740) == seconds


@given(st.text())
def test_any_text_is_read_or_passed_over(value):
    seconds = retry_after_seconds(value, now=0)
    assert seconds is None or seconds >= 0
