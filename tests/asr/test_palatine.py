"""The Palatine client against a real server with the documented protocol."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request

from gateway.asr.engine import End, EngineEvent, Failure, Partial, Ready
from gateway.asr.options import Palatine
from gateway.asr.palatine import PalatineEngine, PalatineSession, address_of
from tests.peers.recogniser import Recogniser, spoken
from tests.peers.waiting import until

TOKEN = "tok-Secret-1"
CONFIG = {"type": "config", "sample_rate": 8000, "channels": 1, "format": "alaw", "model": "m", "language": "ru"}


class Heard(list[EngineEvent]):
    def __call__(self, event: EngineEvent) -> None:
        self.append(event)

    @property
    def failure(self) -> Failure | None:
        return next((event for event in self if isinstance(event, Failure)), None)


def engine(server: Recogniser | Raw, **settings: object) -> PalatineEngine:
    values = {"url": server.url, "token": TOKEN, **settings}
    return PalatineEngine(Palatine.model_validate(values), connect_seconds=2)


async def failure_of(server: Recogniser | Raw, **settings: object) -> Failure:
    heard = Heard()
    engine(server, **settings).open("alaw", heard)
    await until(lambda: heard.failure is not None)
    assert heard.failure is not None
    return heard.failure


class Raw:
    """A server that says one thing to everybody, which may be wrong, and keeps the requests."""

    def __init__(self, message: str) -> None:
        self.requests: list[Request] = []
        self.url = ""
        self._message = message

    async def __aenter__(self) -> Raw:
        self._server = await serve(self._serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.requests.append(socket.request)
        await socket.send(self._message)
        await socket.wait_closed()


@pytest.mark.parametrize("codec", ["alaw", "mulaw"])
async def test_a_session_sends_the_bytes_as_they_are_and_reads_on_to_final(codec: str) -> None:
    audio = spoken([1, 2, 3], codec=codec)
    async with Recogniser() as server:
        heard = Heard()
        session = engine(server).open(codec, heard)
        await until(lambda: Ready() in heard)
        for start in range(0, len(audio), 800):
            session.send(audio[start : start + 800])
        session.finish()
        await until(lambda: any(isinstance(event, End) for event in heard))
        (seen,) = server.sessions
    assert bytes(seen.audio) == audio
    assert set(seen.sizes) == {800}
    assert seen.details == {
        "model": "palatine_stream", "language": "ru", "sample_rate": "8000", "codec": codec, "channels": "1"
    }  # fmt: skip
    assert heard[-2:] == [Partial("w1 w2 w3", accumulates=True), End(0.9)]


async def test_the_token_goes_in_the_header_unless_the_query_is_asked_for() -> None:
    async with Raw(json.dumps(CONFIG)) as server:
        for auth in ("header", "query"):
            heard = Heard()
            session = engine(server, auth=auth).open("alaw", heard)
            await until(lambda heard=heard: Ready() in heard)
            session.abort()
        in_header, in_query = server.requests
    assert in_header.headers["Authorization"] == f"Bearer {TOKEN}"
    assert "token" not in in_header.path
    assert f"&token={TOKEN}" in in_query.path
    assert "Authorization" not in in_query.headers


async def test_a_server_that_wants_the_token_gets_it() -> None:
    async with Recogniser(token=TOKEN) as server:
        for auth in ("header", "query"):
            heard = Heard()
            session = engine(server, auth=auth).open("alaw", heard)
            await until(lambda heard=heard: Ready() in heard)
            session.abort()
        assert (await failure_of(server, token="another")).code == "AUTH_ERROR"


async def test_linear16_is_decoded_before_it_is_sent() -> None:
    async with Recogniser() as server:
        heard = Heard()
        session = engine(server, codec="linear16").open("alaw", heard)
        await until(lambda: Ready() in heard)
        session.send(b"\xd5\x55\x00")
        await until(lambda: bool(server.sessions[0].audio))
        (seen,) = server.sessions
    assert seen.codec == "linear16"
    # ITU-T G.711: 0xD5 and 0x55 are the smallest steps, 0x00 is -5504
    assert bytes(seen.audio) == b"".join(value.to_bytes(2, "little", signed=True) for value in (8, -8, -5504))


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        ("AUTH_ERROR", False),
        ("ML_SERVICE_ERROR", True),
        ("PROCESSING_ERROR", True),
        ("INTERNAL_ERROR", True),
        ("DECODE_ERROR", False),
    ],
)
async def test_an_error_is_told_once_with_what_can_be_done(code: str, retryable: bool) -> None:
    async with Recogniser(f"error={code}@start") as server:
        assert await failure_of(server) == Failure(code, f"told to: {code}", retryable)


@pytest.mark.parametrize(
    ("close", "code", "retryable"),
    [(4000, "INTERNAL_ERROR", True), (4001, "AUTH_ERROR", False), (4002, "ML_SERVICE_ERROR", True),
     (1011, "CONNECTION_LOST", True)],
)  # fmt: skip
async def test_a_bare_close_code_is_understood(close: int, code: str, retryable: bool) -> None:
    async with Recogniser(f"close={close}@start") as server:
        failure = await failure_of(server)
    assert (failure.code, failure.retryable) == (code, retryable)


async def test_a_refused_codec_falls_back_to_linear16_once() -> None:
    async with Recogniser("error=UNSUPPORTED_CODEC@start") as server:
        palatine = engine(server)
        first, second = Heard(), Heard()
        palatine.open("mulaw", first)
        await until(lambda: first.failure is not None)
        palatine.open("mulaw", second)
        await until(lambda: Ready() in second)
        server.fail("error=UNSUPPORTED_CODEC@start")
        third = Heard()
        palatine.open("mulaw", third)
        await until(lambda: third.failure is not None)
    assert [session.codec for session in server.sessions] == ["mulaw", "linear16", "linear16"]
    assert first.failure is not None
    assert first.failure.retryable
    assert third.failure is not None
    assert not third.failure.retryable


@pytest.mark.parametrize("wrong", [{"sample_rate": 48000}, {"format": "linear16"}, {"channels": 2}])
async def test_a_configuration_that_was_not_asked_for_is_an_error(wrong: dict[str, object]) -> None:
    async with Raw(json.dumps(CONFIG | wrong)) as server:
        failure = await failure_of(server)
    assert failure.code == "WRONG_CONFIG"
    assert not failure.retryable
    assert str(wrong) in failure.text


async def test_a_server_that_is_not_there_or_says_nothing_is_a_failure_in_time() -> None:
    async with Recogniser("stall@start") as server:
        settings = Palatine.model_validate({"url": server.url})
        heard = Heard()
        PalatineEngine(settings, connect_seconds=0.2).open("alaw", heard)
        await until(lambda: heard.failure is not None, 2)
        assert heard.failure is not None
        assert heard.failure.retryable
    gone = Heard()
    PalatineEngine(settings, connect_seconds=2).open("alaw", gone)
    await until(lambda: gone.failure is not None)
    assert gone.failure is not None
    assert gone.failure.code == "CONNECTION_LOST"


@pytest.mark.parametrize("message", ["no json", "[1]", json.dumps({"type": "partial"}), json.dumps({"type": 1})])
async def test_a_broken_message_costs_one_session_at_most(message: str) -> None:
    async with Raw(message) as server:
        heard = Heard()
        engine(server).open("alaw", heard)
        await until(lambda: bool(heard))
    assert heard[0] == Ready() or isinstance(heard[0], Failure)


async def test_an_empty_chunk_never_reaches_the_wire() -> None:
    async with Recogniser() as server:
        heard = Heard()
        session = engine(server).open("alaw", heard)
        with pytest.raises(ValueError, match="empty message"):
            session.send(b"")
        session.abort()


def test_a_url_keeps_its_own_parameters() -> None:
    settings = Palatine.model_validate({"url": "wss://asr.example/x?tenant=7", "token": TOKEN})
    url, headers = address_of(settings, "alaw")
    assert url.startswith("wss://asr.example/x?tenant=7&model=palatine_stream&")
    assert TOKEN not in url
    assert headers == {"Authorization": f"Bearer {TOKEN}"}


async def test_a_refusal_says_how_long_to_wait() -> None:
    async with Recogniser("refuse=429@start", retry_after=7) as server:
        failure = await failure_of(server)
    assert (failure.retryable, failure.quota, failure.retry_after) == (True, True, 7.0)


def test_a_server_that_says_how_much_its_text_covers_is_believed() -> None:
    heard: list[EngineEvent] = []
    session = object.__new__(PalatineSession)
    session._over, session._listener, session._said = False, heard.append, ""
    session.text(json.dumps({"type": "partial", "chunk_text": "", "full_text": "one", "processed_ms": 900}), 1)
    session.text(json.dumps({"type": "partial", "chunk_text": "", "full_text": "one"}), 1)
    session.text(json.dumps({"type": "partial", "chunk_text": "", "full_text": "one"}), 1)
    assert heard == [Partial("one", accumulates=True, heard=7200)] + 2 * [Partial("one", accumulates=True)]


def test_what_is_said_again_at_once_is_told_once_with_its_count() -> None:
    heard: list[EngineEvent] = []
    session = object.__new__(PalatineSession)
    session._over, session._listener, session._said = False, heard.append, ""
    said = json.dumps({"type": "partial", "chunk_text": "", "full_text": "one"})
    session.text(said, 3)
    session.text(said, 1)
    session.text(said, 3)
    one = Partial("one", accumulates=True)
    # words that are new are told by themselves: that they came again is what settles them
    assert heard == [one, replace(one, times=2), one, replace(one, times=3)]
