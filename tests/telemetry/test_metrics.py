"""What metrics make of what they are told: nothing unmeasurable is recorded, no counter falls."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from gateway import events
from gateway.media.stats import Totals
from gateway.media.timeline import wall_clock
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.reception import Reception

SECOND = 1_000_000_000


def final(number: int, *, ago: float = 0.0) -> events.Event:
    """An event that a final was made so many seconds ago; its speech lasted from 2 s to 1 s before it."""
    made = wall_clock(time.monotonic_ns()) - timedelta(seconds=ago)
    said = events.TranscriptFinal(
        leg="caller", utterance=1, revision=1, text="one", start_ms=0, end_ms=1000, time=made - timedelta(seconds=2)
    )
    call = events.CallInfo(id="c" * 36, sip_call_ids=[], from_number="", to_number="", headers={})
    return events.Event(id=str(number), time=made, call=call, seq=number, data=said)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"asr_gateway_{name}", labels) or 0.0


def missed(metrics: Metrics, name: str, reason: str) -> float:
    return value(metrics, "latency_unmeasurable_total", latency=f"asr_gateway_{name}", reason=reason)


@pytest.mark.parametrize(
    ("spoken", "located", "reason"), [(None, True, "no_anchor"), (0, False, "no_speech_found"), (0, True, "")]
)
def test_a_final_whose_speech_is_unknown_is_counted_and_not_recorded(
    spoken: int | None, located: bool, reason: str
) -> None:
    metrics = Metrics()
    event = final(1)
    begun = None if spoken is None else time.monotonic_ns() - SECOND
    metrics.words_begun(event, begun, located=located)
    metrics.words_settled(event, begun, located=located)
    metrics.webhook_delivered("crm", event)
    recorded = [
        value(metrics, "speech_start_to_partial_seconds_count"),
        value(metrics, "speech_end_to_final_seconds_count"),
        value(metrics, "speech_end_to_webhook_seconds_count", endpoint="crm"),
    ]
    assert recorded == ([0, 0, 0] if reason else [1, 1, 1])
    names = ("speech_start_to_partial", "speech_end_to_final", "speech_end_to_webhook")
    assert [missed(metrics, name, reason) for name in names] == ([1, 1, 1] if reason else [0, 0, 0])
    assert value(metrics, "final_to_webhook_seconds_count", endpoint="crm") == 1, "that is known in any case"


def test_delivery_latencies_are_those_of_the_event() -> None:
    metrics = Metrics()
    metrics.webhook_delivered("crm", final(1))
    assert value(metrics, "final_to_webhook_seconds_sum", endpoint="crm") < 0.5
    assert 1 <= value(metrics, "speech_end_to_webhook_seconds_sum", endpoint="crm") < 1.5


def test_a_final_of_an_earlier_run_is_not_measured_by_this_runs_clock() -> None:
    metrics = Metrics()
    metrics.webhook_delivered("crm", final(1, ago=60))
    assert missed(metrics, "final_to_webhook", "earlier_run") == 1
    assert missed(metrics, "speech_end_to_webhook", "earlier_run") == 1
    assert value(metrics, "final_to_webhook_seconds_count", endpoint="crm") == 0


def test_bytes_written_are_told_once_while_a_leg_is_up_and_after() -> None:
    metrics = Metrics()
    seen = []
    for live, ended in ((800, 0), (1600, 0), (0, 2400), (500, 0)):
        if ended:
            metrics.asr_written("palatine", ended)
        metrics.surveyed({"palatine": live}, 0.0, 0.0)
        seen.append(value(metrics, "asr_written_bytes_total", engine="palatine"))
    assert seen == [800, 1600, 2400, 2900]


def totals(**changed: float) -> Totals:
    return Totals(**dict.fromkeys(Totals._fields, 0) | changed)  # type: ignore[arg-type]


def test_lost_packets_that_came_after_all_do_not_make_a_counter_fall() -> None:
    metrics = Metrics()
    now = [totals(packets=10, lost=3)]
    metrics.collect(Reception(lambda: now[0]))
    assert value(metrics, "rtp_packets_total", what="lost") == 3
    now[0] = totals(packets=11, lost=2, late=1, jitter=16, worst_jitter=80, waiting=5, backlog=100)
    assert value(metrics, "rtp_packets_total", what="lost") == 3
    assert value(metrics, "rtp_packets_total", what="received") == 11
    assert value(metrics, "rtp_jitter_seconds", of="worst") == pytest.approx(0.01)
    assert value(metrics, "receiver_waiting_items") == 5


def test_a_scrape_after_the_receiver_was_closed_lacks_its_sums_alone() -> None:
    metrics = Metrics()

    def closed() -> Totals:
        raise ValueError("the receiver is closed")

    metrics.collect(Reception(closed))
    metrics.leg_up()
    assert value(metrics, "legs_answered_total") == 1
    assert metrics.registry.get_sample_value("asr_gateway_rtp_payload_bytes_total") is None
