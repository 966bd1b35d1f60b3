"""What the proofs of the live side share: tones, a recogniser that knows them, a wire to delay or cut."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


async def say(folder: Path, name: str, words: list[str]) -> Path:
    """Writes words as tones into a sound file."""
    path = folder / f"{name}.wav"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "fake-asr", "--write", str(path), *words),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    return path


@asynccontextmanager
async def recogniser(latency_ms: int = 0, protocol: str = "palatine") -> AsyncIterator[int]:
    """Runs fake-asr; yields its port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "fake-asr", f"--{protocol}", "0", "--latency-ms", str(latency_ms)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found, line
        yield int(found[1])
    finally:
        process.terminate()
        await process.communicate()


class Wire:
    """A TCP connection in between: delays what goes through it, or is cut.

    Attributes:
        port: Where it listens.
        connections: So many were made.
    """

    def __init__(self, target: int, delay: float = 0.0) -> None:
        self._target = target
        self._delay = delay
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.connections = 0
        self.down = False

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Ends all connections at once."""
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.down:
            writer.transport.abort()
            return
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        await asyncio.gather(self._carry(reader, far_writer, self._delay), self._carry(far_reader, writer, 0.0))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if delay:
                    loop.call_later(delay, writer.write, data)
                else:
                    writer.write(data)
        loop.call_later(delay, writer.close)


def palatine(port: int) -> str:
    """Returns the ``[asr]`` table for a recogniser at a port."""
    return (
        f'[asr]\nengine = "palatine"\n[asr.palatine]\nurl = "ws://127.0.0.1:{port}/api/v1/stream/asr"\n'
        'token = "a-secret-of-the-recogniser"\n'
    )
