"""What the sessions over WebSocket that need no confirmed configuration have in common."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from typing import Any

from gateway.asr.engine import End, EngineEvent, Failure, Listener, Ready
from gateway.asr.heard import Heard
from gateway.asr.kinds import Context
from gateway.asr.websocket import Closed, WebSocket
from gateway.media.chunks import SAMPLE_RATE


class WebSocketSession(ABC):
    """One session; see ``EngineSession``.

    Args:
        url: ``ws://`` or ``wss://``.
        headers: Added to the handshake, the credentials among them.
        listener: Where the events go.
        context: The engine's.
    """

    def __init__(self, url: str, headers: dict[str, str], listener: Listener, context: Context) -> None:
        self._listener = listener
        self._finishing = False
        self._over = False
        self._heard = Heard(context.heard)
        self._socket = WebSocket(url, headers, self, connect_seconds=context.connect_seconds)

    @property
    def congested(self) -> bool:
        """True while the service takes audio more slowly than it is sent."""
        return self._socket.congested

    def silence(self, samples: int) -> None:
        """Never called: these engines do not ask for it (``Limits.idle``)."""
        raise NotImplementedError

    def abort(self) -> None:
        """Drops the session."""
        self._over = True
        self._socket.abort()

    # what the protocols are

    @abstractmethod
    def configure(self) -> None:
        """The connection stands: sends what comes before the audio."""

    @abstractmethod
    def message(self, fields: dict[str, Any]) -> None:
        """Takes a message of the server.

        Raises:
            KeyError: A field is missing. Such an error, a ``TypeError`` or a ``ValueError`` ends the session.
        """

    def ended(self, closed: Closed) -> None:
        """The connection is over, after a handshake that succeeded."""
        self._fail("CONNECTION_LOST", f"{closed.reason or 'closed'} ({closed.code})")

    # what the WebSocket tells

    def opened(self) -> None:
        """The handshake succeeded."""
        self.configure()
        self._tell(Ready())

    def text(self, message: str, times: int) -> None:
        """A message of the server, which came so many times."""
        for _ in range(times):
            if self._over:
                return
            try:
                self.message(json.loads(message))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                self._fail("PROTOCOL", f"the server sent a message that cannot be read: {error!r}")

    def closed(self, closed: Closed) -> None:
        """The connection is over."""
        if self._over:
            return
        if closed.status in (401, 403):
            text = f"the server refused the credentials with HTTP {closed.status}"
            self._fail("AUTH_ERROR", text, retryable=False)
        elif closed.status in (402, 429):
            text = f"the server answered HTTP {closed.status} {closed.reason}".rstrip()
            self._fail("QUOTA", text, retryable=closed.status == 429, quota=True, retry_after=closed.retry_after)
        elif closed.status:
            text = f"the server refused the connection with HTTP {closed.status} {closed.reason}".rstrip()
            self._fail("HANDSHAKE", text, retryable=closed.status >= 500, retry_after=closed.retry_after)
        elif not closed.opened:
            self._fail("CONNECTION_LOST", closed.reason)
        else:
            self.ended(closed)

    # for the protocols

    def _write(self, payload: bytes, samples: int) -> None:
        self._socket.send_binary(payload)
        self._heard.wrote(samples, time.monotonic())

    def _worked_through(self, position: int) -> None:
        self._heard.heard(position, time.monotonic())

    def _tell(self, event: EngineEvent) -> None:
        if not self._over:
            self._listener(event)

    def _end(self, seconds: float | None) -> None:
        if not self._over:
            self._over = True
            self._socket.close()
            self._listener(End(seconds))

    def _fail(
        self, code: str, text: str, *, retryable: bool = True, quota: bool = False, retry_after: float | None = None
    ) -> None:
        if not self._over:
            self._over = True
            self._socket.abort()
            self._listener(Failure(code, text, retryable, quota, retry_after))


def samples_of(seconds: float) -> int:
    """Returns seconds as samples."""
    return round(float(seconds) * SAMPLE_RATE)
