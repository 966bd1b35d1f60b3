"""The server's side of a WebSocket connection, with its faults: the Sans-I/O core of ``websockets`` on a transport."""

from __future__ import annotations

import asyncio
import http
import logging
from abc import ABC, abstractmethod
from typing import cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

_silent = logging.getLogger("gateway.fake.websocket")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
_silent.setLevel(logging.CRITICAL)


class ServerSocket(asyncio.Protocol, ABC):
    """One connection. A front end is a subclass.

    Args:
        retry_after: Seconds that a refusal with 429 or 503 asks clients to wait; None for no word of it.
    """

    def __init__(self, retry_after: int | None) -> None:
        self.retry_after = retry_after
        self._core = ServerProtocol(max_size=None, logger=_silent)
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._rate = 0.0
        self._gone = False

    @abstractmethod
    def request(self, request: Request) -> int:
        """Takes the handshake; returns 101 to accept it, or the status that refuses it."""

    @abstractmethod
    def opened(self) -> None:
        """The handshake is done."""

    @abstractmethod
    def binary(self, payload: bytes) -> None:
        """Takes a binary message."""

    @abstractmethod
    def text(self, message: str) -> None:
        """Takes a text message."""

    @abstractmethod
    def gone(self) -> None:
        """The connection is over; called once."""

    def send_text(self, message: str) -> None:
        """Sends a text message; does nothing on a connection that is not open."""
        if self._core.state is State.OPEN:
            self._core.send_text(message.encode())
            self._flush()

    def close(self, code: int, reason: str = "") -> None:
        """Starts the closing handshake."""
        if self._core.state is State.OPEN:
            self._core.send_close(code, reason)
            self._flush()

    def drop(self) -> None:
        """Cuts the connection."""
        if self._transport is not None:
            self._transport.abort()

    def freeze(self) -> None:
        """Neither reads nor answers any more, not even pings."""
        if self._transport is not None:
            self._transport.pause_reading()
        self._rate = 0.0

    def slow(self, rate: float) -> None:
        """Reads no more than so many bytes a second."""
        self._rate = rate

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, but not the base class

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        self._core.receive_data(data)
        self._flush()
        for event in self._core.events_received():
            if isinstance(event, Request):
                self._handshake(event)
            elif isinstance(event, Frame):
                self._frame(event)
        if self._core.close_expected() and self._transport is not None:
            self._transport.close()
        if self._rate and self._transport is not None:
            self._transport.pause_reading()
            self._loop.call_later(len(data) / self._rate, self._resume)

    def eof_received(self) -> None:
        """The client closed its side."""
        self._core.receive_eof()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The connection is gone."""
        if not self._gone:
            self._gone = True
            self.gone()

    # inside

    def _handshake(self, request: Request) -> None:
        response = self._core.accept(request)
        if response.status_code == http.HTTPStatus.SWITCHING_PROTOCOLS:
            status = self.request(request)
            if status != http.HTTPStatus.SWITCHING_PROTOCOLS:
                response = self._core.reject(http.HTTPStatus(status), http.HTTPStatus(status).phrase)
                if self.retry_after is not None and status in (429, 503):
                    response.headers["Retry-After"] = str(self.retry_after)
        self._core.send_response(response)
        self._flush()
        if self._core.state is State.OPEN:
            self.opened()

    def _frame(self, frame: Frame) -> None:
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if frame.opcode is not Opcode.CONT:
            self._kind = frame.opcode
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return
        message, self._parts = b"".join(self._parts), []
        if self._kind is Opcode.BINARY:
            self.binary(message)
        else:
            self.text(message.decode())

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _flush(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        for data in self._core.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
