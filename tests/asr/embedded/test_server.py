"""The server as its clients see it: a real process, real sockets, recorded speech."""

from __future__ import annotations

import asyncio
import os
import signal
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.peers import asr_server, prompts, speech, words
from tests.peers.asr_server import Outcome, open_session, pieces, read_on, stream

PROMPT = next(prompt for prompt in prompts.load() if prompt.id == "agent-alreadyon")
SPEECH = PROMPT.pcm()
ALAW = speech.encode(SPEECH, "alaw")


async def test_config_is_the_first_message_and_an_empty_session_is_completed(server):
    outcome = await stream(server.url, [], codec="mulaw", sample_rate=16000, language="en")
    assert outcome.messages == [
        {
            "type": "config",
            "model": "moonshine-tiny-en",
            "sample_rate": 16000,
            "channels": 1,
            "format": "mulaw",
            "language": "en",
            "recommended_codec": "linear16",
            "supported_codecs": ["linear16", "alaw", "mulaw"],
            "supported_sample_rates": [8000, 16000],
        },
        {"type": "final", "status": "completed", "total_duration": 0.0},
    ]
    assert outcome.close_code == 1000


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("codec", ["alaw", "mulaw", "linear16"])
async def test_words_and_duration_in_every_format(server, codec, rate):
    linear = speech.pcm(PROMPT.path, rate)
    outcome = await stream(server.url, pieces(speech.encode(linear, codec), 4000), codec=codec, sample_rate=rate)
    assert words.wer(PROMPT.text, outcome.text) <= 0.08
    assert outcome.messages[-1] == {
        "type": "final",
        "status": "completed",
        "total_duration": len(linear) // 2 / rate,
    }
    assert outcome.close_code == 1000


async def test_partials_tell_what_is_new_in_them(server):
    outcome = await stream(server.url, pieces(ALAW, 2400))
    partials = [message for message in outcome.messages if message["type"] == "partial"]
    assert outcome.types == ["config", *["partial"] * len(partials), "final"]
    before: list[str] = []
    for message in partials:
        full, chunk = message["full_text"].split(), message["chunk_text"].split()
        kept = full[: len(full) - len(chunk)]
        assert full == kept + chunk
        assert full != before or not chunk
        assert kept == before[: len(kept)]
        before = full


async def test_speech_at_its_own_pace_is_shown_before_it_ends(server):
    outcome = Outcome()
    async with open_session(server.url) as connection:
        reader = asyncio.create_task(read_on(connection, outcome))
        for message in pieces(ALAW[:32_000], 800):
            await connection.send(message)
            await asyncio.sleep(0.1)
        early = outcome.text
        await connection.send(ALAW[32_000:])
        await connection.send(b"")
        await reader
    assert words.normalise(early).startswith("that agent is already logged on please enter")
    assert outcome.types.count("partial") >= 4
    assert words.wer(PROMPT.text, outcome.text) <= 0.08


async def test_a_long_recording_by_the_word(server):
    audio = speech.encode(speech.pcm(speech.asset("two_cities.wav")), "alaw")
    outcome = await stream(server.url, pieces(audio, 800))
    assert words.wer(speech.TWO_CITIES, outcome.text) < 0.13
    assert outcome.messages[-1]["total_duration"] == len(audio) / 8000


async def test_prompts_by_the_word(server):
    chosen = prompts.load()[::17]
    said, recognised = [], []
    for prompt in chosen:
        outcome = await stream(server.url, pieces(speech.encode(prompt.pcm(), "mulaw"), 8000), codec="mulaw")
        said.append(prompt.text)
        recognised.append(outcome.text)
    assert len(chosen) == 12
    assert words.wer(" ".join(said), " ".join(recognised)) < 0.10


async def test_the_size_of_messages_changes_nothing(server):
    audio = ALAW[:20_001]
    outcomes = await asyncio.gather(*(stream(server.url, pieces(audio, size)) for size in (1, 799, 8000, len(audio))))
    assert len({outcome.text for outcome in outcomes}) == 1
    assert words.normalise(outcomes[0].text).startswith("that agent is already logged on")
    assert {outcome.messages[-1]["total_duration"] for outcome in outcomes} == {20_001 / 8000}


async def test_the_end_in_the_middle_of_a_word_keeps_the_words_before(server):
    # "... please enter your agent num|ber"
    outcome = await stream(server.url, pieces(ALAW[: int(3.75 * 8000)], 800))
    assert words.normalise(outcome.text).startswith("that agent is already logged on please enter your")
    assert outcome.messages[-1]["total_duration"] == 3.75


async def test_silence_has_no_words(server):
    outcome = await stream(server.url, [b"\xd5" * 40_000])
    assert outcome.text == ""
    assert not any(message["chunk_text"] for message in outcome.messages if message["type"] == "partial")
    assert (outcome.types[0], outcome.types[-1]) == ("config", "final")
    assert outcome.messages[-1]["total_duration"] == 5.0


@pytest.mark.parametrize("place", ["header", "query"])
async def test_the_token_is_taken_from_either_place(server, place):
    query = {"token": asr_server.TOKEN} if place == "query" else {}
    outcome = await stream(server.url, [], auth=asr_server.TOKEN if place == "header" else None, **query)
    assert outcome.types == ["config", "final"]


async def refused(url, token=asr_server.TOKEN, **query):
    outcome = Outcome()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    tail = "&".join(f"{name}={value}" for name, value in query.items())
    async with connect(f"{url}?{tail}", additional_headers=headers) as connection:
        await read_on(connection, outcome)
    assert outcome.types == ["error"]
    return outcome


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"token": None}, ("AUTH_ERROR", 4001)),
        ({"token": "wrong"}, ("AUTH_ERROR", 4001)),
        ({"codec": "opus", "sample_rate": 8000}, ("UNSUPPORTED_CODEC", 4003)),
        ({"codec": "alaw"}, ("UNSUPPORTED_CODEC", 4003)),
        ({"codec": "alaw", "sample_rate": 48000}, ("UNSUPPORTED_CODEC", 4003)),
        ({"codec": "alaw", "sample_rate": 8000, "channels": 2}, ("UNSUPPORTED_CODEC", 4003)),
        ({"codec": "%ff"}, ("PROCESSING_ERROR", 4000)),
    ],
)
async def test_what_is_refused_after_the_handshake(server, query, error):
    assert (await refused(server.url, **query)).error == error


async def test_half_a_sample_at_the_end_is_a_decode_error(server):
    outcome = await stream(server.url, [SPEECH[:16_001]], codec="linear16")
    assert outcome.error == ("DECODE_ERROR", 4000)
    assert "final" not in outcome.types


async def test_a_text_message_is_an_error(server):
    outcome = await stream(server.url, ['{"type": "end"}'])
    assert outcome.error == ("PROCESSING_ERROR", 4000)
    assert "binary" in outcome.messages[-1]["message"]


async def test_other_paths_are_not_found(server):
    parts = urlsplit(server.url)
    with pytest.raises(InvalidStatus) as caught:
        async with connect(f"ws://{parts.netloc}/api/v1/stream"):
            pass
    assert caught.value.response.status_code == 404


async def test_a_session_too_many_is_refused_until_a_client_goes(own_server):
    async with open_session(own_server.url) as first, open_session(own_server.url) as second:
        await first.recv()
        await second.recv()
        await first.send(ALAW)
        third = await stream(own_server.url, [])
        assert third.error == ("ML_SERVICE_ERROR", 4002)
        assert "all 2 sessions are in use" in third.messages[-1]["message"]
        first.transport.abort()
        assert (await once_possible(own_server.url, [])).types == ["config", "final"]
        await second.send(b"")
        assert '"final"' in await second.recv()


async def test_the_worker_killed_in_the_middle(own_server):
    outcomes = [Outcome(), Outcome()]
    async with open_session(own_server.url) as talking, open_session(own_server.url) as silent:
        readers = [
            asyncio.create_task(read_on(connection, outcome))
            for connection, outcome in zip((talking, silent), outcomes, strict=True)
        ]
        await talking.send(ALAW[:24_000])
        await until(lambda: outcomes[0].text and outcomes[1].messages)
        os.kill(own_server.worker_pid(), signal.SIGKILL)
        await asyncio.gather(*readers)
    assert [outcome.error for outcome in outcomes] == [("ML_SERVICE_ERROR", 4002)] * 2
    outcome = await once_possible(own_server.url, [ALAW])
    assert words.wer(PROMPT.text, outcome.text) <= 0.08


async def test_a_flood_is_slowed_and_another_session_goes_on(own_server):
    flood = speech.encode(speech.pcm(speech.asset("two_cities.wav"), 16000), "linear16") * 40
    sent = 0

    async def send_all(connection):
        nonlocal sent
        for message in pieces(flood, 64_000):
            await connection.send(message)
            sent += len(message)

    outcome = Outcome()
    async with open_session(own_server.url, codec="linear16", sample_rate=16000) as connection:
        reader = asyncio.create_task(read_on(connection, outcome))
        sender = asyncio.create_task(send_all(connection))
        await until(lambda: outcome.text)
        other = await stream(own_server.url, [ALAW])
        assert not sender.done()
        assert sent < len(flood) / 2
        sender.cancel()
        connection.transport.abort()
        await reader
    assert words.wer(PROMPT.text, other.text) <= 0.08


async def test_sigterm_gives_the_last_words_and_exits_0(own_server):
    outcome = Outcome()
    async with open_session(own_server.url) as connection:
        reader = asyncio.create_task(read_on(connection, outcome))
        await connection.send(ALAW[: int(2.2 * 8000)])
        await until(lambda: outcome.text)
        own_server.process.terminate()
        await reader
    assert outcome.error == ("ML_SERVICE_ERROR", 4002)
    assert "shutting down" in outcome.messages[-1]["message"]
    assert words.normalise(outcome.text).startswith("that agent is already logged on")
    assert await asyncio.to_thread(own_server.process.wait, 10) == 0


async def test_no_token_in_the_log(own_server):
    outcome = Outcome()
    async with connect(f"{own_server.url}?token={asr_server.TOKEN}&codec=alaw&sample_rate=8000") as connection:
        await connection.send(b"")
        await read_on(connection, outcome)
    await refused(own_server.url, token="another-secret", codec="alaw")
    log = own_server.log.read_text()
    assert outcome.types == ["config", "final"]
    assert "session_opened" in log
    assert asr_server.TOKEN not in log
    assert "another-secret" not in log


async def once_possible(url, messages):
    """Runs a session as soon as the server takes one, which it must within 15 s."""
    async with asyncio.timeout(15):
        while (outcome := await stream(url, messages)).types == ["error"]:
            assert outcome.error == ("ML_SERVICE_ERROR", 4002)
    return outcome


async def until(condition):
    """Waits until something is true, which it must become within 10 s."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (what is waited for happens in another process)
            await asyncio.sleep(0.01)
