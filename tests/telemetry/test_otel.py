"""Traces of calls: the spans of a real call as a collector gets them, a collector that is dead, and none at all."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from uuid_utils.compat import uuid7

from gateway import events
from gateway.delivery.consumer import Answer
from gateway.telemetry import otel, settings
from gateway.telemetry.settings import Otel
from gateway.telemetry.spans import sampled, trace_id
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, call, free_port
from tests.peers.otlp import Collector
from tests.prove.live.stage import Wire, palatine, recogniser, say

NUMBER = "74951234567"


@pytest.fixture
def mute() -> Iterator[str]:
    """A collector that takes connections and never answers; gives its address."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1/traces"


async def test_a_call_is_one_trace(tmp_path: Path, claim: Claim) -> None:
    away = True

    def answer(event: events.Event) -> Answer:
        return Answer(status=500) if away and isinstance(event.data, events.CallEnded) else Answer()

    (tmp_path / "headers").write_text("x-tenant=a%20b,Authorization=Bearer secretofotel", encoding="utf-8")
    speech = await say(tmp_path, "speech", ["w1", "w2", "-", "w3", "-", "w4", "-", "w5", "-"])
    async with Collector() as collector, recogniser() as port, Wire(port) as wire:
        export = (
            f'[telemetry.otel]\nendpoint = "{collector.endpoint}"\nheaders_file = "{tmp_path}/headers"\n'
            'service_name = "gateway-7"\n'
        )
        asr = palatine(wire.port)
        async with GatewayProcess(
            tmp_path, asr=asr, settings=export, answer=answer, retry_seconds=str([1] * 30)
        ) as gateway:
            speaking = asyncio.create_task(
                call(gateway.sip, "--audio", str(speech), "--leg", "caller", "--from", NUMBER)
            )
            await gateway.until(lambda calls: any(known.of(events.TranscriptFinal) for known in calls))
            wire.cut()  # the session is lost, and another takes over
            await speaking
            await collector.until(lambda: bool(collector.of("delivery", event_type="call.ended", attempt=1)))
            await gateway.drain()
            before = len(collector.spans)
            away = False
            await gateway.start()  # what was not delivered is, by another run
            (done,) = await gateway.completed()
            await collector.until(lambda: bool(collector.of("delivery", event_type="call.transcript.completed")))
            log = (tmp_path / "log").read_text(encoding="utf-8")
    about = done.events[-1].call
    times = {event.type: event.time.timestamp() for event in done.events}

    assert {span.trace for span in collector.spans} == {UUID(about.id).hex}
    assert len({span.id for span in collector.spans}) == len(collector.spans)
    assert {span.resource["service.name"] for span in collector.spans} == {"gateway-7"}
    assert {span.facts["asr_gateway.call_id"] for span in collector.spans} == {about.id}
    assert (collector.headers["x-tenant"], collector.headers["Authorization"]) == ("a b", "Bearer secretofotel")

    (root,), (setup,), (leg,) = (collector.of(name) for name in ("call", "setup", "leg"))
    assert root.parent == ""
    assert setup.parent == leg.parent == root.id
    assert setup.facts["asr_gateway.leg"] == leg.facts["asr_gateway.leg"] == "caller"
    assert leg.facts["asr_gateway.codec"] == "alaw"
    assert (root.facts["asr_gateway.end_reason"], root.facts["asr_gateway.complete"]) == (
        "bye",
        done.completed.complete,
    )
    assert root.start == setup.start < setup.end <= leg.start + 0.001
    assert leg.start == pytest.approx(times["call.started"], abs=1e-4)
    assert leg.end == pytest.approx(times["call.updated"], abs=1e-4)  # leg_ended, the last of them
    assert root.end == pytest.approx(times["call.transcript.completed"], abs=1e-4)

    sessions = collector.of("asr_session")
    assert {span.parent for span in sessions} == {leg.id}
    assert [span.facts["asr_gateway.cause"] for span in sessions] == ["first", "regained"]
    assert {span.facts["asr_gateway.engine"] for span in sessions} == {"palatine"}
    assert [span.failed for span in sessions] == [True, False]
    assert sessions[0].end == pytest.approx(times["asr.degraded"], abs=1e-4)
    assert all(one.end <= other.start + 0.001 for one, other in pairwise(sessions))
    assert leg.end < sessions[1].end <= root.end + 0.001, "the last words come after the hang-up"

    finals = {event.data.utterance: event for event in done.events if isinstance(event.data, events.TranscriptFinal)}
    utterances = {span.facts["asr_gateway.utterance"]: span for span in collector.of("utterance")}
    assert utterances.keys() == finals.keys()
    assert len(utterances) >= 3
    for number, span in utterances.items():
        said = finals[number].data
        assert span.parent == leg.id
        assert (span.facts["asr_gateway.start_ms"], span.facts["asr_gateway.end_ms"]) == (said.start_ms, said.end_ms)
        assert span.start == pytest.approx(said.time.timestamp(), abs=1e-4)
        assert span.end == pytest.approx(finals[number].time.timestamp(), abs=1e-4)
        assert span.events["speech_end"] - span.start == pytest.approx((said.end_ms - said.start_ms) / 1e3, abs=1e-4)
        assert span.start < span.events["first_partial"] <= span.end

    deliveries = collector.of("delivery")
    for span in deliveries:
        assert span.facts["asr_gateway.endpoint"] == "consumer"
        number = span.facts.get("asr_gateway.utterance")
        assert span.parent == (utterances[number].id if number else root.id)
        assert span.failed == (span.facts["http.response.status_code"] == 500)
        assert root.start < span.start < span.end
    told = Counter(span.facts["asr_gateway.event_type"] for span in deliveries if not span.failed)
    assert told == Counter(done.types), "each durable event once, of both runs"
    assert told["call.ended"] == 1
    ended = [span.facts["asr_gateway.attempt"] for span in collector.of("delivery", event_type="call.ended")]
    assert ended[0] == 1
    assert ended == sorted(ended)
    assert {span.facts["asr_gateway.event_type"] for span in collector.spans[before:]} >= {"call.ended"}

    sent = b"".join(collector.bodies)
    words = {word for said in done.of(events.Words) for word in said.text.split()}
    found = [secret for secret in (NUMBER, "secretofotel") if secret.encode() in sent]
    # words of two letters may stand in the bytes of a random id, but not as words in what is readable
    readable = " ".join(f"{span.name} {span.facts} {span.events}" for span in collector.spans)
    found += sorted(words & set(re.findall(r"\w+", readable)))
    assert words
    assert "secretofotel" not in log
    claim(
        "otel: spans of a call under one trace, over a restart, and words, numbers and secrets in them",
        f"{len(collector.spans)}, {len(found)}",
        not found,
    )


@pytest.mark.parametrize("kind", ["refuses", "mute"])
async def test_a_dead_collector_delays_nothing(tmp_path: Path, claim: Claim, mute: str, kind: str) -> None:
    endpoint = mute if kind == "mute" else f"http://127.0.0.1:{free_port(socket.SOCK_STREAM)}/v1/traces"
    speech = await say(tmp_path, "speech", ["w1", "-", "w2", "-"])
    async with recogniser() as port:
        export = f'[telemetry.otel]\nendpoint = "{endpoint}"\n'
        async with GatewayProcess(tmp_path, asr=palatine(port), settings=export) as gateway:
            report = await call(gateway.sip, "--audio", str(speech))
            (done,) = await gateway.completed()
            await _until_metric(gateway, 'asr_gateway_otel_spans_total{result="failed"}')
            began = time.monotonic()
            await gateway.drain()
            took = time.monotonic() - began
            warned = [line for line in gateway.log if line["event"] == "otel_unreachable"]
    assert report
    assert done.completed is not None
    assert done.completed.complete
    assert [said.text for said in done.of(events.TranscriptFinal)]
    assert len(warned) == 1, "once, not for each batch"
    claim(f"otel: seconds to stop with a collector that {kind}", f"{took:.1f}", took < 30)


async def _until_metric(gateway: GatewayProcess, start: str) -> None:
    async with asyncio.timeout(40), aiohttp.ClientSession() as client:
        while True:
            async with client.get(f"http://127.0.0.1:{gateway.metrics_port}/metrics") as answer:
                if any(line.startswith(start) for line in (await answer.text()).splitlines()):
                    return
            await asyncio.sleep(0.2)


async def test_what_waits_is_bounded_and_the_newest_is_dropped(monkeypatch: pytest.MonkeyPatch, mute: str) -> None:
    monkeypatch.setattr(otel, "BOUND", 3)
    monkeypatch.setattr(otel, "BATCH", 3)
    counted: Counter[str] = Counter()

    def count(result: str, spans: int) -> None:
        counted[result] += spans

    exporter = otel.Exporter(Otel(endpoint=mute), count)
    for _ in range(5):
        exporter.span("leg", trace=1, start=1, facts={}).end(2)
    assert counted == {"queue_full": 2}
    began = time.monotonic()
    await exporter.stop()
    assert time.monotonic() - began < otel.FLUSH_SECONDS + 3


async def test_without_an_endpoint_the_packages_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # each import is a line on standard error
    speech = await say(tmp_path, "speech", ["w1", "-"])
    async with recogniser() as port, GatewayProcess(tmp_path, asr=palatine(port)) as gateway:
        await call(gateway.sip, "--audio", str(speech))
        await gateway.completed()
    loaded = (tmp_path / "log").read_text(encoding="utf-8")
    assert "gateway.telemetry.deliveries" in loaded
    # the API alone is loaded by others, and does nothing
    assert [
        name for name in ("opentelemetry.sdk", "opentelemetry.exporter", "gateway.telemetry.otel") if name in loaded
    ] == []


def test_faults_of_the_settings_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for endpoint in ("collector:4318", "grpc://collector:4317", "http://user:pw@collector/v1/traces"):
        with pytest.raises(ValueError, match="endpoint"):
            Otel(endpoint=endpoint)
    for headers in ("secret", "a=b\n", "a b=c"):
        with pytest.raises(ValueError, match="name=value is wanted"):
            Otel.model_validate({"headers": headers})
    shown = Otel.model_validate({"headers": "a=secretofotel"})
    assert "secretofotel" not in str(shown.model_dump(mode="json"))
    assert Otel.model_validate({"headers": "a=b=c, d=%2C"}).pairs() == {"a": "b=c", "d": ","}

    def missing(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(settings, "version", missing)
    assert Otel().endpoint == ""
    with pytest.raises(ValueError, match=r"pip install asr-gateway\[otel\]"):
        Otel(endpoint="http://collector:4318/v1/traces")


def test_the_share_of_calls_is_kept_and_a_call_is_always_judged_alike() -> None:
    calls = [str(uuid7()) for _ in range(4000)]
    taken = [call for call in calls if sampled(call, 0.25)]
    assert 800 < len(taken) < 1200
    assert all(sampled(call, 0.25) for call in taken)
    assert all(sampled(call, 1.0) for call in calls)
    assert not any(sampled(call, 0.0) for call in calls)
    assert f"{trace_id(calls[0]):032x}" == calls[0].replace("-", "")
