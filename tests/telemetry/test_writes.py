"""The histogram that is entered many values at a time, beside the library's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from gateway.telemetry.latency import PACKET_TO_WRITE
from gateway.telemetry.writes import Writes


def lines(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


@given(st.lists(st.lists(st.floats(0, 10) | st.sampled_from(PACKET_TO_WRITE.buckets))))
def test_a_scrape_reads_as_one_of_the_librarys_histogram(batches: list[list[float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    writes = Writes()
    ours.register(writes)
    what = PACKET_TO_WRITE
    library = Histogram(what.name, what.meaning, unit="seconds", buckets=what.buckets, registry=theirs)
    for batch in batches:
        writes.add([("call", seconds) for seconds in batch])
        for seconds in batch:
            library.observe(seconds)
    assert lines(ours) == lines(theirs)


def test_a_late_write_names_its_call_to_those_who_ask() -> None:
    registry, writes = CollectorRegistry(), Writes()
    registry.register(writes)
    writes.add([("quick", 0.004), ("late", 0.0375)])
    named = [line for line in openmetrics(registry).decode().splitlines() if "# {" in line]
    assert len(named) == 1
    assert named[0].startswith('asr_gateway_packet_to_asr_write_seconds_bucket{le="0.05"} 2.0 # {call="late"} 0.0375 ')
