"""The signalling process's end of the link: lines in and out of a socket, without ever waiting."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

from gateway.sip.events import StackLog, Wire
from gateway.sip.messages import Message, parse

LONGEST_LINE = 1 << 20
LOG_BOUND = 1 << 18
"""Bytes not yet taken by the gateway beyond which log lines and copies of SIP messages are dropped, and counted."""
BOUND = 1 << 24
"""Bytes not yet taken beyond which the gateway counts as dead."""


class PipeClosedError(Exception):
    """The gateway is gone, or takes nothing any more."""


class Pipe:
    """Messages over a stream socket.

    Attributes:
        dropped: Log lines and copies of SIP messages that were not sent because the gateway was behind.
    """

    def __init__(self, stream: socket.socket) -> None:
        """Takes over a connected socket."""
        stream.setblocking(False)
        self._stream = stream
        self._in = bytearray()
        self._out = bytearray()
        self.dropped = 0

    def send(self, message: Message) -> None:
        """Queues a message and writes what the socket takes.

        Raises:
            PipeClosedError: The other end is closed, or ``BOUND`` is passed.
        """
        if isinstance(message, StackLog | Wire) and len(self._out) > LOG_BOUND:
            self.dropped += 1
            return
        self._out += message.line()
        self.flush()

    def flush(self) -> None:
        """Writes what the socket takes now.

        Raises:
            PipeClosedError: As ``send``.
        """
        try:
            while self._out:
                del self._out[: self._stream.send(self._out)]
        except BlockingIOError:
            if len(self._out) > BOUND:
                raise PipeClosedError(f"the gateway left {len(self._out)} bytes unread") from None
        except OSError as error:
            raise PipeClosedError(f"the gateway is gone: {error}") from error

    def wait(self) -> None:
        """Waits until there is something to receive."""
        select.select([self._stream], [], [])

    def receive(self) -> Iterator[Message]:
        """Yields the messages that came in; ends when there is none left.

        Raises:
            PipeClosedError: The other end is closed, or sends a line without end.
            MessageError: A line is not a message.
        """
        while True:
            end = self._in.find(b"\n")
            if end >= 0:
                line = bytes(self._in[:end])
                del self._in[: end + 1]
                yield parse(line)
                continue
            if len(self._in) > LONGEST_LINE:
                raise PipeClosedError("a line on the link has no end")
            try:
                data = self._stream.recv(65536)
            except BlockingIOError:
                return
            except OSError as error:
                raise PipeClosedError(f"the gateway is gone: {error}") from error
            if not data:
                raise PipeClosedError("the gateway closed the link")
            self._in += data
