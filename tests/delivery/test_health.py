"""An endpoint is down when it refuses many events of several calls in a row, and comes back by steps."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.health import FAILURES, PROBE_FIRST, PROBE_MAX, Health, State


def fail(health: Health, count: int, now: float = 0.0, calls: int = 3, **settings) -> list[bool]:
    return [health.failure(f"c{index % calls}", now, 0.0, **settings) for index in range(count)]


def test_it_takes_many_failures_in_a_row_of_several_calls():
    health = Health(16)
    assert not any(fail(health, FAILURES - 1))
    health.success()
    assert not any(fail(health, FAILURES - 1)), "a success between them counts anew"
    assert health.room(0.0) == 16
    assert fail(health, 1) == [True]
    assert health.state is State.DOWN


def test_one_call_that_is_refused_for_ever_brings_no_endpoint_down():
    health = Health(16)
    assert not any(fail(health, 1000, calls=2))
    assert health.state is State.UP


def test_while_it_is_down_one_request_goes_after_growing_waits():
    health = Health(16)
    fail(health, FAILURES, now=100.0)
    waits, now = [], 100.0
    for _ in range(9):
        assert health.room(health.probe_at - 0.001) == 0
        assert health.room(health.probe_at) == 1
        waits.append(health.probe_at - now)
        now = health.probe_at
        assert not health.failure("c1", now, 0.0)
    assert waits == [PROBE_FIRST, 2.0, 4.0, 8.0, 16.0, 32.0, PROBE_MAX, PROBE_MAX, PROBE_MAX]


def test_requests_that_were_under_way_when_it_fell_lengthen_no_wait():
    health = Health(16)
    fail(health, FAILURES, now=100.0)
    fail(health, 10, now=100.2)
    assert health.probe_at == 100.0 + PROBE_FIRST


def test_retry_after_is_not_undercut():
    health = Health(4)
    fail(health, FAILURES, now=0.0, retry_after=30.0)
    assert health.room(29.9) == 0
    assert health.room(30.0) == 1


def test_it_comes_back_with_one_more_request_for_each_that_it_took():
    health = Health(5)
    fail(health, FAILURES)
    assert health.success() is True
    rooms = []
    while health.state is State.RECOVERING:
        rooms.append(health.room(0.0))
        assert health.success() is False
    assert rooms == [1, 2, 3, 4]
    assert (health.state, health.room(0.0)) == (State.UP, 5)


def test_a_failure_on_the_way_back_means_down_again():
    health = Health(5)
    fail(health, FAILURES)
    health.success()
    assert health.failure("c1", 50.0, 0.0) is True
    assert health.room(50.0) == 0


@given(st.lists(st.one_of(st.just("ok"), st.tuples(st.integers(0, 5), st.floats(0, 100))), max_size=200))
def test_there_is_always_a_time_at_which_a_request_may_go(steps):
    health, now = Health(8), 0.0
    for step in steps:
        if step == "ok":
            health.success()
        else:
            now += step[1]
            health.failure(f"c{step[0]}", now, 0.5)
        assert 0 <= health.room(now) <= 8
        assert health.room(max(now, health.probe_at)) >= 1
        assert health.probe_at <= now + PROBE_MAX * 1.2
