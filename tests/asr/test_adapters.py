"""Every engine that says utterances itself, against its protocol's test server: one event model for all."""

from __future__ import annotations

import asyncio

import pytest

from gateway.asr.engine import End, Failure, Idle
from gateway.asr.fake.words import say
from gateway.media import g711
from tests.asr.drive import PROTOCOLS, Driven, engine_at, fake

WORDS = [1, 2, 3, None, 4, 5, None, None, 6]
TEXTS = ["w1 w2 w3", "w4 w5", "w6"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("codec", ["alaw", "mulaw"])
async def test_utterances_come_whole_and_in_order(protocol: str, codec: str) -> None:
    server, heard = fake(), []
    url = await server.serve(protocol)
    engine = engine_at(protocol, url, heard.append)
    driven = Driven(engine, codec)
    audio = say(WORDS, codec)
    await driven.ready()
    await driven.send(audio)
    driven.session.finish()
    assert await driven.end() == End(len(audio) / 8000)
    assert [final.text for final in driven.finals] == TEXTS
    assert [final.index for final in driven.finals] == [0, 1, 2]
    assert all(0 <= final.start <= final.end <= len(audio) for final in driven.finals)
    assert [final.end for final in driven.finals] == sorted(final.end for final in driven.finals)
    assert {partial.accumulates for partial in driven.partials} == {False}
    assert "w1 w2" in [partial.text for partial in driven.partials]
    (session,) = server.core.sessions
    assert session.text == " ".join(TEXTS)
    assert session.bytes == len(audio) * engine.limits.bytes_per_sample
    assert session.outcome == "completed"
    if protocol != "yandex-v2":  # the only one that has no word of how far it is
        assert heard
        assert all(0 <= seconds < 5 for seconds in heard)
    await server.stop()


@pytest.mark.parametrize("protocol", ["yandex-v3", "vosk", "deepgram"])
async def test_times_are_those_of_the_words_in_the_audio(protocol: str) -> None:
    server = fake()
    driven = Driven(engine_at(protocol, await server.serve(protocol)))
    await driven.ready()
    await driven.send(say([None, 1, 2, None, 3]))
    driven.session.finish()
    await driven.end()
    first, second = driven.finals
    # a pause of 1.2 s; words of 240 ms with 60 ms after each
    assert (first.start, first.end) == pytest.approx((9600, 9600 + 540 * 8), abs=160)
    assert second.start == pytest.approx(9600 + 600 * 8 + 9600, abs=160)
    assert [(word.text, word.start) for word in first.words] == [
        ("w1", pytest.approx(9600, abs=160)),
        ("w2", pytest.approx(9600 + 2400, abs=160)),
    ]
    await server.stop()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_utterance_ends_between_its_last_word_and_the_next(protocol: str) -> None:
    """What lies behind a final's end is replayed to another session: it must hold all words after it, and no other."""
    server = fake()
    driven = Driven(engine_at(protocol, await server.serve(protocol)))
    await driven.ready()
    await driven.send(say([1, 2, None]), pace=0.05)
    await driven.until(lambda: bool(driven.finals))
    final = driven.finals[0]
    end_of_words = (240 + 60 + 240) * 8
    assert end_of_words - 160 <= final.end <= end_of_words + (60 + 1200) * 8
    driven.session.abort()
    await server.stop()


FAILURES = [
    ("refuse=401@start", "AUTH_ERROR", "UNAUTHENTICATED", False, False),
    ("refuse=429@start", "QUOTA", "RESOURCE_EXHAUSTED", True, True),
    ("refuse=503@start", "HANDSHAKE", "UNAVAILABLE", True, False),
    ("close=1011@1.5s", "CONNECTION_LOST", "INTERNAL", True, False),
    ("drop@3w", "CONNECTION_LOST", "UNAVAILABLE", True, False),
    ("early-end@1s", "CONNECTION_LOST", "ENDED_EARLY", True, False),
    ("drop@end", "CONNECTION_LOST", "UNAVAILABLE", True, False),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("fault", "socket_code", "grpc_code", "retryable", "quota"), FAILURES)
async def test_every_loss_is_told_once_with_its_meaning(
    protocol: str, fault: str, socket_code: str, grpc_code: str, retryable: bool, quota: bool
) -> None:
    server = fake(fault)
    driven = Driven(engine_at(protocol, await server.serve(protocol)))
    await driven.ready()
    await driven.send(say([1, 2, 3, 4, 5, 6]), pace=0.01)
    if not driven.over:
        driven.session.finish()
    failure = await driven.end()
    assert isinstance(failure, Failure)
    if protocol.startswith("yandex") and failure.code == "CONNECTION_LOST":
        assert failure.retryable, "gRPC may lose the status of a call that is ended while it is written to"
    else:
        assert failure.code == (grpc_code if protocol.startswith("yandex") else socket_code)
        assert (failure.retryable, failure.quota) == (retryable, quota)
    assert "k3y" not in failure.text, "a credential in a log"
    await asyncio.sleep(0.05)
    assert driven.events[-1] is failure
    await server.stop()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_nobody_there_is_a_loss_that_may_pass(protocol: str) -> None:
    server = fake()
    url = await server.serve(protocol)
    await server.stop()
    failure = await Driven(engine_at(protocol, url)).end()
    assert isinstance(failure, Failure)
    assert failure.retryable


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_nothing_is_told_after_abort(protocol: str) -> None:
    server = fake()
    driven = Driven(engine_at(protocol, await server.serve(protocol)))
    await driven.ready()
    await driven.send(say([1, 2, 3]))
    await driven.until(lambda: any(session.bytes for session in server.core.sessions))
    driven.session.abort()
    told = len(driven.events)
    await asyncio.sleep(0.2)
    assert len(driven.events) == told
    if not protocol.startswith("yandex"):  # gRPC's server may take a cancelled call for one that came to its end
        assert server.core.sessions[0].outcome == "lost"
    await server.stop()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_abort_before_the_connection_stands(protocol: str) -> None:
    server = fake()
    driven = Driven(engine_at(protocol, await server.serve(protocol)))
    driven.session.abort()
    await asyncio.sleep(0.2)
    assert driven.events == []
    await server.stop()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_session_without_words_ends_in_good_order(protocol: str) -> None:
    server = fake()
    driven = Driven(engine_at(protocol, await server.serve(protocol)))
    await driven.ready()
    await driven.send(g711.SILENCE["alaw"] * 8000)
    driven.session.finish()
    assert await driven.end() == End(1.0)
    assert driven.finals == driven.partials == []
    await server.stop()


async def test_deepgram_keeps_a_connection_alive_through_a_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.asr import deepgram

    monkeypatch.setattr(deepgram, "KEEP_ALIVE_SECONDS", 0.2)
    server = fake(idle_seconds=0.5)
    engine = engine_at("deepgram", await server.serve("deepgram"))
    assert engine.limits.idle is Idle.KEEP
    driven = Driven(engine)
    await driven.ready()
    await driven.send(say([1, None]))
    await asyncio.sleep(1.2)
    await driven.send(say([2]))
    driven.session.finish()
    assert isinstance(await driven.end(), End)
    assert driven.words == ["w1", "w2"]
    assert int(server.core.sessions[0].details["keep_alives"]) >= 3
    await server.stop()


async def test_deepgram_is_asked_for_native_g711_with_the_key_in_a_header() -> None:
    server = fake(token="s3cret")
    url = await server.serve("deepgram")
    driven = Driven(engine_at("deepgram", url, api_key="s3cret", language="en", endpointing_ms=500), "mulaw")
    await driven.ready()
    assert driven.is_ready
    details = server.core.sessions[0].details
    expected = {"encoding": "mulaw", "sample_rate": "8000", "language": "en", "endpointing": "500", "channels": "1"}
    assert expected.items() <= details.items()
    assert "s3cret" not in str(details)
    driven.session.abort()
    refused = await Driven(engine_at("deepgram", url, api_key="wrong")).end()
    assert (refused.code, refused.retryable) == ("AUTH_ERROR", False)
    await server.stop()
