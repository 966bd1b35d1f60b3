"""A test server with Palatine's protocol whose words are in the audio itself, and which makes faults when told to.

A word is a byte value held for at least 100 ms; silence is any of ``SILENCE``. The server decodes the words from the
blocks that it receives, so that a word that is lost, doubled or cut shows in the text.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

BLOCK = 2400  # samples in 300 ms
SILENCE = {0xD5, 0x55, 0xFF, 0x7F}
Fault = Callable[["Session"], Awaitable[None]]


def word(value: int) -> str:
    return f"w{value}"


def spoken(values: list[int], *, word_ms: int = 300, gap_ms: int = 0, silence: int = 0xD5) -> bytes:
    """Returns the G.711 bytes in which these words are said."""
    gap = bytes([silence]) * (gap_ms * 8)
    return b"".join(bytes([value]) * (word_ms * 8) + gap for value in values)


@dataclass
class Session:
    """One connection, as the server sees it."""

    socket: ServerConnection
    query: dict[str, str]
    headers: dict[str, str]
    audio: bytearray = field(default_factory=bytearray)
    messages: list[int] = field(default_factory=list)
    ended: bool = False

    @property
    def words(self) -> list[str]:
        return decode(bytes(self.audio))


def decode(audio: bytes) -> list[str]:
    """Returns the words in whole blocks of audio."""
    words, run, last = [], 0, -1
    for value in audio:
        run = run + 1 if value == last else 1
        last = value
        if run == 800 and value not in SILENCE:
            words.append(word(value))
    return words


class PalatineServer:
    """Serves on a free loopback port.

    Attributes:
        sessions: All connections so far.
        on_open: Called with each session before its ``config`` is sent; may close it.
        on_audio: Called after each binary message.
        config: Overrides fields of the ``config`` message.
        duration_offset: Added to ``total_duration``.
    """

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.on_open: Fault | None = None
        self.on_audio: Fault | None = None
        self.config: dict[str, Any] = {}
        self.duration_offset = 0.0
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/v1/stream/asr"

    async def __aenter__(self) -> PalatineServer:
        self._server = await serve(self._serve, "127.0.0.1", self.port, max_size=None)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close(close_connections=True)
        await self._server.wait_closed()

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        query = {name: values[0] for name, values in parse_qs(urlsplit(socket.request.path).query).items()}
        session = Session(socket, query, dict(socket.request.headers.raw_items()))
        self.sessions.append(session)
        with contextlib.suppress(ConnectionClosed):  # a fault that it was told to make, or the client has gone
            await self._converse(session)

    async def _converse(self, session: Session) -> None:
        socket, query = session.socket, session.query
        if self.on_open is not None:
            await self.on_open(session)
        config = {
            "type": "config",
            "model": query.get("model"),
            "sample_rate": int(query.get("sample_rate", 48000)),
            "channels": 1,
            "format": query.get("codec", "linear16"),
            "language": query.get("language"),
        }
        await socket.send(json.dumps(config | self.config))
        async for message in socket:
            assert isinstance(message, bytes)
            if not message:
                session.ended = True
                break
            before = len(session.audio) // BLOCK
            session.audio += message
            session.messages.append(len(message))
            if self.on_audio is not None:
                await self.on_audio(session)
            if len(session.audio) // BLOCK > before:
                await self._partial(session, len(session.audio) // BLOCK * BLOCK)
        if session.ended:
            await self._partial(session, len(session.audio))
            seconds = len(session.audio) / 8000 + self.duration_offset
            await socket.send(json.dumps({"type": "final", "status": "completed", "total_duration": seconds}))

    async def _partial(self, session: Session, upto: int) -> None:
        text = " ".join(decode(bytes(session.audio[:upto])))
        await session.socket.send(json.dumps({"type": "partial", "chunk_text": "", "full_text": text}))


async def refuse(session: Session, code: str, close: int) -> None:
    """Sends an error and closes, as the service does."""
    await session.socket.send(json.dumps({"type": "error", "message": f"told to: {code}", "code": code}))
    await session.socket.close(close)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits for a condition.

    Raises:
        TimeoutError: It did not come true.
    """
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (conditions of many kinds, none of which tells of its change)
            await asyncio.sleep(0.005)
