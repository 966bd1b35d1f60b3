"""The test server speaks Palatine's protocol as its documentation has it, to a client that is not ours."""

import asyncio
import json
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from gateway.asr.fake.core import Core, Latency, Options
from gateway.asr.fake.faults import FaultPlan, parse
from gateway.asr.fake.server import FakeServer, Tls
from gateway.asr.fake.words import say
from tests.peers.asr_server import Outcome, open_session, pieces, read_on, stream
from tests.peers.tls import certificate


def fake(**options: object) -> FakeServer:
    faults = options.pop("faults", ())
    return FakeServer(Core(Options(plan=FaultPlan([parse(fault) for fault in faults]), **options), seed=1))


async def run(server: FakeServer, audio: bytes, **query: object) -> Outcome:
    url = await server.serve("palatine")
    try:
        return await asyncio.wait_for(stream(url, pieces(audio, 800), **query), 10)
    finally:
        await server.stop()


async def test_a_session_ends_with_final_and_all_words() -> None:
    audio = say([1, 2, 3])
    outcome = await run(fake(), audio, model="m", language="ru")
    config, *partials, final = outcome.messages
    assert (config["type"], config["format"], config["sample_rate"]) == ("config", "alaw", 8000)
    assert [partial["full_text"] for partial in partials] == ["w1", "w1 w2", "w1 w2 w3", "w1 w2 w3"]
    assert [partial["chunk_text"] for partial in partials] == ["w1", "w2", "w3", ""]
    assert final == {"type": "final", "status": "completed", "total_duration": 0.9}


async def test_results_keep_their_order_under_a_latency() -> None:
    outcome = await run(fake(latency=Latency(0.02, 0.2)), say(list(range(20))))
    sizes = [len(message["full_text"].split()) for message in outcome.messages if message["type"] == "partial"]
    assert sizes == sorted(sizes)
    assert outcome.types[-1] == "final"


@pytest.mark.parametrize(
    ("fault", "code", "error"),
    [
        ("close=4002@0.5s", 4002, None),
        ("error=PROCESSING_ERROR@start", 4000, "PROCESSING_ERROR"),
        ("error=AUTH_ERROR@end", 4001, "AUTH_ERROR"),
        ("drop@1w", 1006, None),
    ],
)
async def test_a_fault_ends_the_session_its_own_way(fault: str, code: int, error: str | None) -> None:
    outcome = await run(fake(faults=[fault]), say([1, 2, 3]))
    assert outcome.close_code == code
    assert [message["code"] for message in outcome.messages if message["type"] == "error"] == ([error] if error else [])


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_a_refused_handshake(status: int) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await run(fake(faults=[f"refuse={status}@start"]), say([1]))
    assert caught.value.response.status_code == status


async def test_the_limits_of_a_service_are_enforced() -> None:
    assert (await run(fake(max_seconds=0.5), say([1, 2, 3]))).close_code == 4000
    server = fake(idle_seconds=0.2)
    url = await server.serve("palatine")
    async with open_session(url) as connection:
        assert (await asyncio.wait_for(read_on(connection, Outcome()), 2)).close_code == 4000
    await server.stop()
    server = fake(starts_per_second=2)
    url = await server.serve("palatine")
    for _ in range(2):
        (await connect(url + "?sample_rate=8000")).transport.abort()
    with pytest.raises(InvalidStatus):
        await connect(url + "?sample_rate=8000")
    assert server.core.refused == 1
    await server.stop()


@pytest.mark.parametrize("fault", ["stall@0.3s", "half-open@0.3s"])
async def test_a_server_that_says_nothing_any_more(fault: str) -> None:
    server = fake(faults=[fault])
    url = await server.serve("palatine")
    async with open_session(url) as connection:
        for piece in pieces(say([1, 2, 3]), 800):
            await connection.send(piece)
        await connection.send(b"")
        outcome = Outcome()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read_on(connection, outcome), 0.3)
        connection.transport.abort()
    assert set(outcome.types) <= {"config", "partial"}
    await server.stop()


async def send_much(connection: ClientConnection) -> None:
    for _ in range(1000):
        await connection.send(bytes(16_000))


async def test_a_slow_reader_is_felt_by_the_sender() -> None:
    server = fake(faults=["slow=8000@start"])
    url = await server.serve("palatine")
    async with open_session(url) as connection:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(send_much(connection), 0.5)
        connection.transport.abort()
    assert server.core.sessions[0].bytes < 2_000_000
    await server.stop()


async def test_a_tls_handshake_that_fails_once(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    server = FakeServer(Core(Options(plan=FaultPlan([parse("tls@start")]))), tls=Tls(cert, key))
    url = await server.serve("palatine")
    trusting = ssl.create_default_context(cafile=cert)
    with pytest.raises(OSError):  # noqa: PT011 (an alert, or a reset: both are a handshake that failed)
        await connect(url + "?sample_rate=8000", ssl=trusting)
    async with connect(url + "?sample_rate=8000", ssl=trusting) as connection:
        assert json.loads(await connection.recv())["type"] == "config"
    await server.stop()


async def test_a_token_is_checked_and_never_reported() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "fake-asr", "--palatine", "0", "--token", "s3cret"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().split()[-1]
    for token in ("s3cret", "wrong"):
        outcome = await asyncio.wait_for(stream(url, pieces(say([4]), 800), auth=None, token=token), 10)
        assert outcome.types[-1] == ("final" if token == "s3cret" else "error")
    process.terminate()
    output = (await process.stdout.read()).decode()
    assert await process.wait() == 0
    first = json.loads(output.splitlines()[0])
    assert (first["outcome"], first["text"], first["seconds"]) == ("completed", "w4", 0.3)
    assert "s3cret" not in output


def test_words_are_written_to_a_sound_file(tmp_path: Path) -> None:
    from tests.asr.fake.test_words import heard
    from tests.peers.speech import pcm

    path = tmp_path / "words.wav"
    command = [sys.executable, "-m", "gateway.cli", "fake-asr", "--write", str(path), "w1", "-", "w2"]
    assert subprocess.run(command, check=False).returncode == 0
    assert heard(pcm(path), "linear16") == ["w1", "w2"]
