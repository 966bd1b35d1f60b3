"""Yandex SpeechKit: what goes over the wire, what a status means, and connections for many streams."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
import structlog

from gateway.asr import yandex
from gateway.asr.engine import End, Failure, Final, Idle, Ready, Refinement
from gateway.asr.fake.server import FakeServer, Tls
from gateway.asr.fake.words import say
from gateway.asr.options import Yandex
from gateway.asr.yandex import YandexEngine, failure_of
from gateway.asr.yandex_v2 import config_of
from gateway.asr.yandex_v3 import options_of
from gateway.media import g711
from tests.asr.drive import Driven, engine_at, fake
from tests.peers.tls import certificate


def test_the_options_of_v3_are_those_of_the_document() -> None:
    settings = Yandex(
        languages=("ru-RU", "kk-KZ"), model="general:rc", eou="high", max_pause_ms=700, profanity_filter=True
    )
    options = options_of(settings)
    model = options.recognition_model
    raw = model.audio_format.raw_audio
    assert (model.model, list(model.language_restriction.language_code)) == ("general:rc", ["ru-RU", "kk-KZ"])
    assert model.language_restriction.restriction_type == model.language_restriction.WHITELIST
    assert (raw.audio_encoding, raw.sample_rate_hertz, raw.audio_channel_count) == (raw.LINEAR16_PCM, 8000, 1)
    assert model.audio_processing_type == model.REAL_TIME
    assert model.text_normalization.text_normalization == model.text_normalization.TEXT_NORMALIZATION_ENABLED
    assert model.text_normalization.profanity_filter
    classifier = options.eou_classifier.default_classifier
    assert (classifier.type, classifier.max_pause_between_words_hint_ms) == (classifier.HIGH, 700)
    assert not options.HasField("recognition_classifier")
    assert not options.HasField("speech_analysis")
    plain = options_of(Yandex(normalise=False))
    normalisation = plain.recognition_model.text_normalization
    assert normalisation.text_normalization == normalisation.TEXT_NORMALIZATION_DISABLED
    assert plain.eou_classifier.default_classifier.type == classifier.DEFAULT


def test_the_configuration_of_v2_is_that_of_the_document() -> None:
    config = config_of(Yandex(api="v2", folder_id="b1g", languages=("en-US",), normalise=False))
    spec = config.specification
    assert (config.folder_id, spec.language_code, spec.model) == ("b1g", "en-US", "general")
    assert (spec.audio_encoding, spec.sample_rate_hertz) == (spec.LINEAR16_PCM, 8000)
    assert (spec.partial_results, spec.single_utterance, spec.raw_results) == (True, False, True)


@pytest.mark.parametrize("api", ["v3", "v2"])
async def test_credentials_folder_and_request_id_go_as_metadata(api: str) -> None:
    server = fake(token="s3cret")
    url = await server.serve(f"yandex-{api}")
    with structlog.testing.capture_logs() as logs:
        for credentials in ({"api_key": "s3cret"}, {"api_key": "", "iam_token": "s3cret", "folder_id": "b1g"}):
            driven = Driven(engine_at(f"yandex-{api}", url, **credentials))
            await driven.ready()
            driven.session.finish()
            assert await driven.end() == End(0.0)
    plain, folder = (session.details for session in server.core.sessions)
    assert "x-folder-id" not in plain, "with a service account it is left out"
    assert folder["x-folder-id"] == "b1g"
    logged = [entry["request_id"] for entry in logs if entry["event"] == "asr_session"]
    assert logged == [plain["x-client-request-id"], folder["x-client-request-id"]], "the vendor's support asks for it"
    assert len(set(logged)) == 2
    assert "s3cret" not in str(logs)
    failure = await Driven(engine_at(f"yandex-{api}", url, api_key="wrong")).end()
    assert isinstance(failure, Failure)
    assert (failure.code, failure.retryable) == ("UNAUTHENTICATED", False)
    await server.stop()


async def test_refinements_name_their_finals() -> None:
    server = fake()
    url = await server.serve("yandex-v3")
    driven = Driven(engine_at("yandex-v3", url))
    await driven.ready()
    await driven.send(say([1, 2, None, 3, None, 4]))
    driven.session.finish()
    await driven.end()
    kinds = [event for event in driven.events if isinstance(event, Final | Refinement)]
    assert [(type(event).__name__, event.index) for event in kinds] == [
        (name, index) for index in range(3) for name in ("Final", "Refinement")
    ]
    assert [event.text for event in driven.refinements] == ["W1 w2.", "W3.", "W4."]
    plain = Driven(engine_at("yandex-v3", url, normalise=False))
    await plain.ready()
    await plain.send(say([1, 2]))
    plain.session.finish()
    await plain.end()
    assert (plain.words, plain.refinements) == (["w1", "w2"], [])
    await server.stop()


@pytest.mark.parametrize(("api", "announced", "sent"), [("v3", 32000, 0), ("v2", 0, 64000)])
async def test_a_hold_is_announced_and_counts_in_the_times(api: str, announced: int, sent: int) -> None:
    server = fake()
    driven = Driven(engine_at(f"yandex-{api}", await server.serve(f"yandex-{api}")))
    await driven.ready()
    before, after = say([1]), say([2])
    await driven.send(before)
    driven.session.silence(32000)
    await driven.send(after)
    driven.session.finish()
    assert await driven.end() == End((len(before) + 32000 + len(after)) / 8000)
    assert driven.words == ["w1", "w2"]
    (session,) = server.core.sessions
    assert session.announced == announced, "silence_chunk, no bytes"
    assert session.bytes == 2 * len(before + after) + sent
    if api == "v3":
        assert driven.finals[1].start == pytest.approx(len(before) + 32000, abs=160)
    await server.stop()


@pytest.mark.parametrize("api", ["v3", "v2"])
async def test_a_session_over_a_limit_may_be_followed_by_another(api: str) -> None:
    """A status that means a bad setting at the opening does not mean it in a session that worked."""
    server = fake(max_seconds=1.0)
    driven = Driven(engine_at(f"yandex-{api}", await server.serve(f"yandex-{api}")))
    await driven.ready()
    await driven.send(say([1, 2, 3, 4, 5, 6]), pace=0.02)
    failure = await driven.end()
    assert isinstance(failure, Failure)
    assert (failure.code, failure.retryable) == ("INVALID_ARGUMENT", True)
    server.core.options.max_seconds = None
    server.core.options.plan.faults.append(fault("wrong-config@start"))
    failure = await Driven(engine_at(f"yandex-{api}", server.urls[f"yandex-{api}"])).end()
    assert isinstance(failure, Failure)
    assert (failure.code, failure.retryable) == ("INVALID_ARGUMENT", False)
    await server.stop()


def fault(spec: str) -> object:
    from gateway.asr.fake.faults import parse

    return parse(spec)


async def test_the_service_ends_a_session_that_gets_nothing() -> None:
    server = fake(idle_seconds=0.3)
    driven = Driven(engine_at("yandex-v3", await server.serve("yandex-v3")))
    await driven.ready()
    await driven.send(say([1]))
    failure = await driven.end()
    assert isinstance(failure, Failure)
    assert (failure.code, failure.retryable) == ("DEADLINE_EXCEEDED", True)
    await server.stop()


@pytest.mark.parametrize(
    ("code", "answered", "retryable", "quota"),
    [
        ("UNAUTHENTICATED", False, False, False),
        ("UNAUTHENTICATED", True, False, False),
        ("PERMISSION_DENIED", True, False, False),
        ("RESOURCE_EXHAUSTED", False, True, True),
        ("UNAVAILABLE", False, True, False),
        ("INTERNAL", True, True, False),
        ("DEADLINE_EXCEEDED", True, True, False),
        ("ABORTED", True, True, False),
        ("UNKNOWN", True, True, False),
        ("CANCELLED", True, True, False),
        ("INVALID_ARGUMENT", False, False, False),
        ("INVALID_ARGUMENT", True, True, False),
        ("OUT_OF_RANGE", True, True, False),
        ("UNIMPLEMENTED", False, False, False),
        ("NOT_FOUND", False, False, False),
    ],
)
def test_what_a_status_means(code: str, answered: bool, retryable: bool, quota: bool) -> None:
    failure = failure_of(grpc.StatusCode[code], "because", answered=answered)
    assert failure == Failure(code, f"{code}: because", retryable, quota)


def test_a_status_that_grpc_lost_is_no_fault_of_the_service() -> None:
    failure = failure_of(grpc.StatusCode.INTERNAL, "Internal error from Core", answered=True)
    assert (failure.code, failure.retryable) == ("CONNECTION_LOST", True)


async def test_a_link_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yandex, "STALL_SECONDS", 0.5)
    server = fake("half-open@0.5s")
    driven = Driven(engine_at("yandex-v3", await server.serve("yandex-v3")))
    await driven.ready()

    async def talk() -> None:
        while not driven.over:
            if not driven.session.congested:
                driven.session.send(bytes(1600))
            await asyncio.sleep(0.001)

    talking = asyncio.create_task(talk())
    failure = await driven.end()
    await talking
    assert isinstance(failure, Failure)
    assert (failure.code, failure.retryable) == ("STALLED", True)
    assert driven.session._queued <= yandex.CONGESTED + 1600, "bounded by the congestion that it shows"
    await server.stop()


async def test_a_slow_reader_shows_as_congestion_and_loses_nothing() -> None:
    server = fake("slow=400000@start")
    driven = Driven(engine_at("yandex-v3", await server.serve("yandex-v3")))
    await driven.ready()
    audio = say(list(range(100)))
    congested = 0
    for first in range(0, len(audio), 1600):
        while driven.session.congested:
            congested += 1
            await asyncio.sleep(0.005)
        driven.session.send(audio[first : first + 1600])
    driven.session.finish()
    assert await driven.end() == End(len(audio) / 8000)
    assert congested > 0
    assert driven.words == [f"w{code}" for code in range(100)]
    await server.stop()


async def test_streams_get_as_many_connections_as_they_need_and_give_them_back() -> None:
    server = fake()
    engine = engine_at("yandex-v3", await server.serve("yandex-v3"), streams_per_connection=3)
    assert isinstance(engine, YandexEngine)
    all_driven = [Driven(engine) for _ in range(10)]
    for driven in all_driven:
        await driven.ready()
    assert len(engine._channels) == 4
    audio = say([1, 2])
    await asyncio.gather(*(driven.send(audio) for driven in all_driven))
    for driven in all_driven:
        driven.session.finish()
        assert await driven.end() == End(len(audio) / 8000)
        assert driven.words == ["w1", "w2"]
    await asyncio.sleep(0.1)
    assert len(engine._channels) == 1
    await engine.close()
    await server.stop()


async def test_tls_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    chain, key = certificate(tmp_path)
    server = FakeServer(fake().core, tls=Tls(chain, key))
    url = await server.serve("yandex-v3")
    driven = Driven(engine_at("yandex-v3", url, tls=True, ca_file=str(chain)))
    await driven.ready()
    await driven.send(say([1, 2]))
    driven.session.finish()
    assert isinstance(await driven.end(), End)
    assert driven.words == ["w1", "w2"]
    untrusted = await Driven(engine_at("yandex-v3", url, tls=True)).end()
    assert isinstance(untrusted, Failure)
    assert (untrusted.code, untrusted.retryable) == ("UNAVAILABLE", True)
    await server.stop()


def test_the_limits_that_the_session_layer_keeps() -> None:
    limits = engine_at("yandex-v3", "127.0.0.1:1").limits
    assert (limits.seconds, limits.bytes, limits.idle_seconds, limits.idle) == (300, 10_000_000, 5, Idle.SILENCE)
    assert (limits.bytes_per_sample, limits.message_ms, limits.replay_speed) == (2, 200, 2.0)
    assert engine_at("yandex-v3", "127.0.0.1:1", idle="close").limits.idle is Idle.CLOSE


async def test_g711_is_decoded_as_the_table_says() -> None:
    server = fake()
    driven = Driven(engine_at("yandex-v3", await server.serve("yandex-v3")), "mulaw")
    await driven.ready()
    assert isinstance(driven.events[0], Ready)
    driven.session.send(bytes(range(256)))
    await driven.until(lambda: any(session.bytes for session in server.core.sessions))
    assert bytes(server.core.sessions[0]._pending) == g711.to_linear16("mulaw", bytes(range(256)))
    driven.session.abort()
    await server.stop()
