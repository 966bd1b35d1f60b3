"""Faults: how they are written, when they come, how often."""

import pytest

from gateway.asr.fake.core import Latency
from gateway.asr.fake.faults import Fault, FaultError, FaultPlan, Moment, parse


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("close=1011@2.5s", Fault("close", "1011", "s", 2.5, 1)),
        ("refuse=503@start*3", Fault("refuse", "503", "start", 0, 3)),
        ("drop@p0.01*0", Fault("drop", "", "p", 0.01, float("inf"))),
        ("error=ML_SERVICE_ERROR@7w", Fault("error", "ML_SERVICE_ERROR", "w", 7, 1)),
        ("half-open@9000b", Fault("half-open", "", "b", 9000, 1)),
        ("stall@end", Fault("stall", "", "end", 0, 1)),
    ],
)
def test_a_fault_is_read(spec: str, fault: Fault) -> None:
    assert parse(spec) == fault


@pytest.mark.parametrize("spec", ["", "close@start", "drop=1@start", "burn@start", "refuse=503@2s", "drop", "drop@2x"])
def test_a_fault_that_is_written_wrongly_is_refused_with_its_text(spec: str) -> None:
    with pytest.raises(FaultError, match=spec[:4] or "KIND"):
        parse(spec)


def test_a_fault_meets_as_many_sessions_as_it_says() -> None:
    plan = FaultPlan([parse("drop@1s*2")])
    early, late = Moment(seconds=0.5), Moment(seconds=1.0)
    assert [plan.due(moment) is not None for moment in (early, late, late, late)] == [False, True, True, False]


def test_a_probability_is_drawn_for_each_message_but_not_for_the_opening() -> None:
    plan = FaultPlan([parse("drop@p0.25*0")], seed=1)
    assert not any(plan.due(Moment(opening=True)) for _ in range(100))
    hits = sum(plan.due(Moment(seconds=1)) is not None for _ in range(4000))
    assert 900 < hits < 1100


def test_a_latency_has_its_median_and_tail() -> None:
    import random

    dice, latency = random.Random(1), Latency.parse("80/200")
    drawn = sorted(latency.draw(dice) for _ in range(5000))
    assert drawn[2500] == pytest.approx(0.08, rel=0.05)
    assert drawn[4950] == pytest.approx(0.2, rel=0.15)
    with pytest.raises(ValueError, match="MEDIAN"):
        Latency.parse("80/20")
