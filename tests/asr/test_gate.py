"""Starts at an endpoint: the rate, the breaker, and nobody storming."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.asr.gate import CONDEMNED_SECONDS, FAILURES_TO_OPEN, TRY_SECONDS, Breaker, Gate


def test_starts_keep_to_the_rate() -> None:
    gate = Gate(starts_per_second=40)
    started, asks, now = [], dict.fromkeys(range(500), 0.0), 0.0
    while asks:
        for leg in [leg for leg, at in asks.items() if at <= now]:
            wait = gate.ask(now)
            if wait == 0.0:
                started.append(now)
                del asks[leg]
            else:
                asks[leg] = now + wait
        now += 0.001
    assert all(sum(at <= other < at + 1 for other in started) <= 40 for at in started)
    assert now < 500 / 40 * 1.3, "and hardly slower than it allows"


def test_a_breaker_opens_lets_one_try_and_closes() -> None:
    gate = Gate(uniform=lambda _low, high: high)
    for _ in range(FAILURES_TO_OPEN):
        assert gate.ask(0.0) == 0.0
        gate.failed(0.0)
    assert gate.state is Breaker.OPEN
    assert gate.opened == 1
    assert gate.ask(0.1) > 0
    assert gate.ask(0.3) == 0.0, "the first to ask after the pause tries"
    assert gate.ask(0.3) > 0, "and nobody else"
    gate.failed(0.4)
    assert gate.wait(0.5) > 0.25, "a longer pause after a try that failed"
    assert gate.ask(1.0) == 0.0
    gate.succeeded()
    assert [gate.ask(1.0) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_a_try_that_is_given_up_lets_another_leg_try_at_once() -> None:
    gate = Gate()
    for _ in range(FAILURES_TO_OPEN):
        gate.ask(0.0)
        gate.failed(0.0)
    assert gate.ask(5.0) == 0.0
    gate.cancelled()
    assert gate.ask(5.0) == 0.0


def test_a_refusal_for_good_is_told_to_all_and_tried_again_by_one() -> None:
    gate = Gate()
    gate.ask(0.0)
    gate.condemn(0.0, "AUTH_ERROR", "wrong token")
    assert gate.verdict == ("AUTH_ERROR", "wrong token")
    assert gate.wait(1.0) > 0
    assert gate.ask(CONDEMNED_SECONDS) == 0.0
    gate.succeeded()
    assert gate.verdict is None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["ask", "succeed", "fail", "cancel"]), st.floats(0, 3)), max_size=60))
def test_while_it_fails_no_more_than_one_tries_and_it_never_stays_shut(steps: list[tuple[str, float]]) -> None:
    gate, now, trying = Gate(), 0.0, 0
    for step, wait in steps:
        now += wait
        if step == "ask":
            shut = gate.state is not Breaker.CLOSED
            if gate.ask(now) == 0.0 and shut:
                trying += 1
        elif step == "succeed":
            gate.succeeded()
        elif step == "fail":
            gate.failed(now)
        else:
            gate.cancelled()
        assert gate.wait(now) <= TRY_SECONDS + 1e-6
    assert gate.wait(now + TRY_SECONDS + 1e-6) == 0.0


def test_too_many_sessions_are_no_illness_of_the_endpoint() -> None:
    gate = Gate(uniform=lambda low, _high: low)
    for attempt in range(20):
        assert gate.ask(float(attempt)) == 0.0
        gate.throttled(float(attempt), None)
    assert (gate.state, gate.opened) == (Breaker.CLOSED, 0)


def test_an_endpoint_that_asks_for_patience_is_left_alone_by_all_its_legs() -> None:
    gate = Gate(uniform=lambda low, _high: low)
    assert gate.ask(0.0) == 0.0
    gate.throttled(0.0, 7.0)
    assert gate.ask(1.0) == 6.0
    assert gate.ask(7.0) == 0.0


def test_a_try_that_is_told_to_come_later_closes_the_breaker() -> None:
    gate = Gate(uniform=lambda low, _high: low)
    for _ in range(5):
        gate.failed(0.0)
    assert gate.state is Breaker.OPEN
    assert gate.ask(60.0) == 0.0
    gate.throttled(60.0, 2.0)
    assert gate.state is Breaker.CLOSED
