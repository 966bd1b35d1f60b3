"""The operator's tools against a real web side, and the doctor on this machine."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path

from gateway import events
from tests.peers.gateway import GatewayProcess
from tests.peers.recogniser import Recogniser
from tests.web.desk import TOKENS, completed, site, words

CALL = "01a200da-b142-7304-a95f-bc583c0be9a3"


async def tool(*arguments: str, token: str = TOKENS["operate"]) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"ASR_GATEWAY_TOKEN": token},
    )
    output, errors = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, output.decode(), errors.decode()


async def test_calls_status_trace_and_tail(tmp_path: Path) -> None:
    async with site(tmp_path) as running:
        running.tell(CALL, events.CallStarted(leg="caller", codec="alaw"))
        where = ("--url", running.url)
        status, output, _ = await tool("calls", *where)
        assert status == 0
        assert output.split()[0] == CALL
        status, output, _ = await tool("status", *where)
        assert (status, CALL in output) == (0, True)
        status, output, _ = await tool("trace", CALL, *where, "--json")
        assert [json.loads(line)["what"] for line in output.splitlines()] == ["invite"]
        following = asyncio.create_task(tool("tail", CALL, *where))
        while not running.board.feed.viewers:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        said = words(events.TranscriptFinal, "hello there")
        for body in (said, events.CallEnded(reason="bye", seconds=1.0), completed(said)):
            running.tell(CALL, body)
        status, output, _ = await following
        assert (status, output.splitlines()) == (0, ["12:00:01 caller: hello there", "-- call.ended bye"])


async def test_the_status_of_a_gateway_that_has_no_calls(tmp_path: Path) -> None:
    async with Recogniser() as server:
        asr = f'[asr]\nengine = "palatine"\n[asr.palatine]\nurl = "{server.url}"\n'
        async with GatewayProcess(tmp_path, asr=asr) as gateway:
            status, output, errors = await tool("status", "--url", gateway.web, token="")
            assert (status, errors) == (0, "")
            assert "palatine" in output
            assert "consumer" in output
            status, output, errors = await tool("calls", "--url", gateway.web, token="")
            assert (status, output, errors) == (0, "", "")


async def test_a_refusal_says_what_to_do(tmp_path: Path) -> None:
    async with site(tmp_path) as running:
        status, _, errors = await tool("calls", "--url", running.url, token="")
        assert (status, "--token-file" in errors) == (1, True)
        status, _, errors = await tool("trace", CALL, "--url", running.url, token=TOKENS["view"])
        assert (status, "needs the role operate" in errors) == (1, True)
    status, _, errors = await tool("status", "--url", "http://127.0.0.1:9")
    assert (status, "does the gateway run" in errors) == (1, True)


async def test_the_doctor_finds_a_port_that_is_taken_and_a_consumer_that_is_gone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "gateway.toml"
        config.write_text(
            f'[web]\nlisten = "127.0.0.1:{port}"\n[[delivery.endpoints]]\nname = "crm"\n'
            f'url = "http://127.0.0.1:9/hooks?key=hidden"\nsecret = "whsec_{"QUJD" * 8}"\n'
        )
        status, output, errors = await tool("doctor", "--config", str(config))
    assert status == 1, errors
    assert f"fault  web.listen tcp:127.0.0.1:{port}: Address already in use\n       -> stop what uses it" in output
    assert "fault  consumer crm http://127.0.0.1:9/hooks" in output
    assert "hidden" not in output
