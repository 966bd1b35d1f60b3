"""The embedded recogniser as a real server process, and a plain client of Palatine's protocol to talk to it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

TOKEN = "a-token-of-the-tests"
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "gateway.asr.embedded", "--listen=127.0.0.1:0"]


@dataclass
class AsrServer:
    """A running server."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def worker_pid(self) -> int:
        """Process id of the recogniser's process."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert len(children) == 1, children
        return int(children[0])


@contextmanager
def start(*arguments: str, log: Path, **options: Any) -> Iterator[AsrServer]:
    """Starts a server and waits until it is ready; ends it after the block where it still runs."""
    environment = {**os.environ, "ASR_SERVER_TOKEN": TOKEN}
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=errors, env=environment, cwd=ROOT, **options
        )
    try:
        line = process.stdout.readline().decode()
        assert line.startswith("asr-server ready at ws://"), (line, log.read_text())
        yield AsrServer(process, line.split()[3], log)
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@dataclass
class Outcome:
    """What a session brought."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    close_code: int | None = None

    @property
    def text(self) -> str:
        """The last full text."""
        texts = [message["full_text"] for message in self.messages if message["type"] == "partial"]
        return texts[-1] if texts else ""

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]

    @property
    def error(self) -> tuple[str, int | None]:
        """The error's code and the close code."""
        assert self.types[-1] == "error", self.messages
        return self.messages[-1]["code"], self.close_code


def open_session(url: str, auth: str | None = TOKEN, **query: Any) -> connect:
    """Connects; ``auth`` is the token for the header, None for no header."""
    headers = {"Authorization": f"Bearer {auth}"} if auth is not None else {}
    query = {"sample_rate": 8000, "codec": "alaw", **query}
    return connect(f"{url}?{urlencode(query)}", additional_headers=headers, compression=None, max_queue=None)


async def read_on(connection: ClientConnection, outcome: Outcome) -> Outcome:
    """Reads to the end of the session."""
    try:
        while True:
            outcome.messages.append(json.loads(await connection.recv()))
    except ConnectionClosed:
        outcome.close_code = connection.close_code
    return outcome


async def stream(url: str, messages: Iterable[bytes | str], *, auth: str | None = TOKEN, **query: Any) -> Outcome:
    """Runs a whole session: sends as fast as the server takes it, ends the stream, reads to the end."""
    outcome = Outcome()
    async with open_session(url, auth, **query) as connection:
        reader = asyncio.create_task(read_on(connection, outcome))
        try:
            for message in messages:
                await connection.send(message)
            await connection.send(b"")
        except ConnectionClosed:
            pass
        return await reader


def pieces(audio: bytes, size: int) -> list[bytes]:
    """Cuts audio into messages."""
    return [audio[first : first + size] for first in range(0, len(audio), size)]
