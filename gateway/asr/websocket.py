"""A WebSocket client connection that costs little: the Sans-I/O core of ``websockets`` on an asyncio transport.

No task and no queue for a connection: what is sent is written at once, what arrives is handed to callbacks, and
back-pressure is the transport's own (``pause_writing``). Audio and results, whole messages several times a second for
each leg, go past the core (see ``frames.py``): it takes 11 µs to write a message and as long to read one, of the 300 µs
that a leg may take in a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Protocol, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from gateway.asr import frames

PING_SECONDS = 20.0  # proxies cut connections that are idle for 30 to 60 s
WRITE_HIGH_WATER = 256 * 1024  # bytes; 32 s of G.711
LONGEST = 1 << 20  # bytes of a message that is taken
LONGEST_HEAD = 16384  # bytes of the handshake's answer

# The library logs every frame and header at debug level, the token among them.
_silent = logging.getLogger("gateway.websocket")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
_silent.setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Closed:
    """How a connection ended.

    Attributes:
        code: WebSocket close code (RFC 6455, section 7.4); 1006 when there was no close frame.
        reason: The peer's reason, or what went wrong.
        status: HTTP status of a refused handshake, 0 otherwise.
        opened: Whether the handshake had succeeded.
        retry_after: Seconds that the refusal asks to wait (RFC 9110, section 10.2.3); None where it does not.
    """

    code: int
    reason: str
    status: int
    opened: bool
    retry_after: float | None = None


class Handler(Protocol):
    """What the owner of a connection is told."""

    def opened(self) -> None:
        """The handshake succeeded."""

    def text(self, message: str, times: int) -> None:
        """A text message arrived, so many times in a row where they came together."""

    def closed(self, closed: Closed) -> None:
        """The connection is over; told exactly once, unless ``abort`` was called."""


@cache
def tls_context() -> ssl.SSLContext:
    """Returns what all connections share: reading the system's authorities takes 10 ms and half a megabyte."""
    return ssl.create_default_context()


class WebSocket(asyncio.Protocol):
    """One client connection.

    Args:
        url: ``ws://`` or ``wss://``.
        headers: Added to the handshake request.
        handler: Told what happens.
        connect_seconds: How long name look-up, TCP, TLS and handshake may take together.
    """

    def __init__(self, url: str, headers: Mapping[str, str], handler: Handler, *, connect_seconds: float) -> None:
        self._uri = parse_uri(url)
        self._headers = headers
        self._handler: Handler | None = handler
        self._core = ClientProtocol(self._uri, max_size=LONGEST, logger=_silent)
        self._splitter: frames.Splitter | None = None  # of what comes after the handshake
        self._answer = b""  # to the handshake, as far as it has come
        self._transport: asyncio.Transport | None = None
        self._text: list[bytes] = []
        self._paused = False
        self._was_open = False
        self._pings = 0
        self._pongs = 0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._connecting = self._loop.create_task(self._connect(connect_seconds))

    @property
    def congested(self) -> bool:
        """True while the peer takes data more slowly than it is sent."""
        return self._paused

    def send_binary(self, payload: bytes) -> None:
        """Sends one binary message; does nothing on a connection that is not open."""
        if self._core.state is State.OPEN and self._transport is not None:
            self._transport.write(frames.masked(frames.BINARY, payload))

    def send_text(self, message: str) -> None:
        """Sends one text message; does nothing on a connection that is not open."""
        if self._core.state is State.OPEN and self._transport is not None:
            self._transport.write(frames.masked(frames.TEXT, message.encode()))

    def close(self) -> None:
        """Starts the closing handshake; ``closed`` follows."""
        if self._core.state is State.OPEN:
            self._core.send_close(1000)
            self._flush()
            self._arm(2.0, self._drop)

    def abort(self) -> None:
        """Drops the connection at once; the handler hears nothing more."""
        self._handler = None
        self._drop()

    async def _connect(self, seconds: float) -> None:
        context = tls_context() if self._uri.secure else None
        self._arm(seconds, lambda: self._fail(f"no WebSocket within {seconds:g} s"))
        try:
            await self._loop.create_connection(
                lambda: self,
                self._uri.host,
                self._uri.port,
                ssl=context,
                server_hostname=self._uri.host if context else None,
            )
        except OSError as error:
            self._fail(error.strerror or str(error))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP (and TLS) connection stands: starts the handshake."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, but not the base class
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        request = self._core.connect()
        request.headers.update(self._headers)
        self._core.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        splitter = self._splitter
        if splitter is None:
            splitter, data = self._take_handshake(data)
        said, times = b"", 0
        for first, frame, begin in splitter.feed(data) if splitter else ():
            if first == frames.TEXT and not self._text and self._core.state is State.OPEN:
                message = frame[begin:]
                if times and message != said:
                    self._deliver(said, times)
                    times = 0
                said = message
                times += 1
                continue
            if times:
                self._deliver(said, times)
                times = 0
            self._hand_to_core(frame)
        if times:
            self._deliver(said, times)

    def eof_received(self) -> None:
        """The peer closed its side."""
        self._core.receive_data(self._answer)
        self._core.receive_eof()
        self._flush()
        self._take_events()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._core.state is not State.CLOSED:
            self._core.receive_eof()
        self._take_events()
        close = self._core.close_rcvd
        if close is not None:
            self._report(Closed(close.code, close.reason, 0, self._was_open))
        elif isinstance(self._core.handshake_exc, InvalidStatus):
            response = self._core.handshake_exc.response
            wait = _seconds(response.headers.get("Retry-After"))
            self._report(Closed(1006, response.reason_phrase, response.status_code, False, wait))
        elif isinstance(self._core.handshake_exc, InvalidHandshake):
            self._report(Closed(1006, f"the handshake failed: {self._core.handshake_exc}", 0, False))
        else:
            self._report(Closed(1006, f"connection lost: {exc}" if exc else "connection lost", 0, self._was_open))

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """The transport's buffer has drained."""
        self._paused = False

    # inside

    def _take_handshake(self, data: bytes) -> tuple[frames.Splitter | None, bytes]:
        """Gives the core what belongs to the handshake; returns what splits the rest, and the rest."""
        self._answer += data
        head, end, rest = self._answer.partition(b"\r\n\r\n")
        accepted = head.startswith(b"HTTP/1.1 101 ")
        if accepted and not end and len(head) < LONGEST_HEAD:
            return None, b""
        # a refusal with its body, and what is no HTTP, is the core's alone
        self._splitter = frames.Splitter(LONGEST, unsplit=not (accepted and end))
        answer, self._answer = self._answer, b""
        self._hand_to_core(head + end if accepted and end else answer)
        return self._splitter, rest if accepted and end else b""

    def _hand_to_core(self, data: bytes) -> None:
        self._core.receive_data(data)
        self._flush()
        self._take_events()

    def _take_events(self) -> None:
        for event in self._core.events_received():
            if not isinstance(event, Frame):
                self._handshake_done()
            elif event.opcode is Opcode.TEXT or (event.opcode is Opcode.CONT and self._text):
                self._text.append(bytes(event.data))
                if event.fin:
                    message, self._text = b"".join(self._text), []
                    self._deliver(message)
            elif event.opcode is Opcode.PONG:
                self._pongs += 1
        if self._core.close_expected() and self._transport is not None and self._core.close_rcvd is not None:
            self._transport.close()

    def _handshake_done(self) -> None:
        if self._core.state is State.OPEN and not self._was_open and self._handler is not None:
            self._was_open = True
            self._arm(PING_SECONDS, self._ping)
            self._handler.opened()

    def _deliver(self, message: bytes, times: int = 1) -> None:
        if self._handler is None:
            return
        try:
            text = message.decode()
        except UnicodeDecodeError:
            text = ""  # not JSON either; the owner refuses it
        self._handler.text(text, times)

    def _ping(self) -> None:
        if self._core.state is not State.OPEN:
            return
        if self._pings > self._pongs:
            self._fail(f"no pong for {PING_SECONDS:g} s")
            return
        self._pings += 1
        self._core.send_ping(b"")
        self._flush()
        self._arm(PING_SECONDS, self._ping)

    def _flush(self) -> None:
        if self._transport is None:
            return
        for data in self._core.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
            else:  # TLS has no half-close
                self._transport.close()

    def _fail(self, reason: str) -> None:
        self._report(Closed(1006, reason, 0, self._was_open))
        self._drop()

    def _report(self, closed: Closed) -> None:
        handler, self._handler = self._handler, None
        self._disarm()
        if handler is not None:
            handler.closed(closed)

    def _drop(self) -> None:
        self._disarm()
        if not self._connecting.done() and self._connecting is not asyncio.current_task():
            self._connecting.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _arm(self, seconds: float, call: Callable[[], None]) -> None:
        self._disarm()
        self._timer = self._loop.call_later(seconds, call)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _seconds(retry_after: str | None) -> float | None:
    """Reads ``Retry-After``: seconds, or a date."""
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    with contextlib.suppress(ValueError):
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    return None
