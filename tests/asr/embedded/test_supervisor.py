"""The server as a child process of the gateway."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from gateway.asr.embedded.faults import ListenFailed
from gateway.asr.embedded.supervisor import EmbeddedServer, State
from gateway.asr.options import Embedded
from tests.peers.asr_server import stream


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


def command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


async def test_it_serves_with_a_token_of_its_own_and_comes_back_after_a_kill():
    states: asyncio.Queue[tuple[State, str]] = asyncio.Queue()
    settings = Embedded(listen=free_address(), max_sessions=1)
    server = EmbeddedServer(settings, lambda state, text: states.put_nowait((state, text)))
    await server.start()
    try:
        assert server.url == f"ws://{settings.listen}/api/v1/stream/asr"
        assert (await states.get())[0] is State.READY
        assert (await stream(server.url, [], auth=server.token)).types == ["config", "final"]
        assert (await stream(server.url, [], auth="")).error == ("AUTH_ERROR", 4001)
        killed = server.pid
        assert server.token.encode() not in command_line(killed)
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(30):
            state, text = await states.get()
            assert (state, text) == (State.LOST, "the embedded recogniser ended with status -9")
            assert (await states.get())[0] is State.READY
        assert server.restarts == 1
        assert server.pid != killed
        assert (await stream(server.url, [], auth=server.token)).types == ["config", "final"]
    finally:
        pid = server.pid
        await server.stop()
    assert server.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert states.empty()


async def test_a_taken_port_is_told_at_the_start():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        server = EmbeddedServer(Embedded(listen=listen), lambda state, text: pytest.fail(f"{state}: {text}"))
        with pytest.raises(ListenFailed, match=f"cannot listen at {listen}.*asr.embedded.listen"):
            await server.start()
    assert server.pid is None
    await server.stop()


def test_the_token_of_the_settings_is_kept():
    server = EmbeddedServer(Embedded(token="chosen"), lambda *_: None)
    assert server.token == "chosen"
    others = {EmbeddedServer(Embedded(), lambda *_: None).token for _ in range(3)}
    assert len(others) == 3
    assert all(len(token) >= 40 for token in others)
