"""Palatine's streaming recognition over WebSocket, and every server with its protocol (the embedded one among them).

Follows "Потоковый API" of Palatine's documentation. One mono session a leg: how stereo is attributed is not documented.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from gateway.asr.engine import End, Failure, Idle, Limits, Listener, Partial, Ready
from gateway.asr.gate import Gate
from gateway.asr.options import Palatine
from gateway.asr.websocket import Closed, WebSocket
from gateway.media import g711
from gateway.media.chunks import SAMPLE_RATE

# What each close code means: a name, and whether trying again can help.
CLOSE_CODES = {
    4000: ("INTERNAL_ERROR", True),
    4001: ("AUTH_ERROR", False),
    4002: ("ML_SERVICE_ERROR", True),
    4003: ("UNSUPPORTED_CODEC", False),
}
# The server works through so much audio at a time, and speaks up after it.
BLOCK_MS = 300
# Of a hold, where sessions are to be closed meanwhile (seconds).
IDLE_SECONDS = 20.0
RETRYABLE_ERRORS = {"ML_SERVICE_ERROR", "PROCESSING_ERROR", "INTERNAL_ERROR"}


class PalatineEngine:
    """Opens sessions at one Palatine server.

    Args:
        settings: Where it is and how to ask; the token is read at each opening.
        connect_seconds: How long a session may take until its configuration is confirmed.
        name: The name in logs, metrics and events.
        gate: The endpoint's; one of its own when None.
    """

    def __init__(
        self, settings: Palatine, *, connect_seconds: float, name: str = "palatine", gate: Gate | None = None
    ) -> None:
        self.name = name
        self.gate = gate or Gate()
        sample = 2 if settings.codec == "linear16" else 1
        self.limits = Limits(
            seconds=settings.session_seconds or None,
            bytes_per_sample=sample,
            idle=Idle(settings.idle),
            idle_seconds=IDLE_SECONDS if settings.idle == "close" else None,
            message_ms=settings.message_ms,
            silence_ms=settings.silence_ms,
            block_ms=BLOCK_MS,
        )
        self._settings = settings
        self._connect_seconds = connect_seconds
        self._linear_only = settings.codec == "linear16"

    def open(self, codec: str, listener: Listener) -> PalatineSession:
        """Starts a session; ``Ready`` or ``Failure`` follows.

        Args:
            codec: ``"alaw"`` or ``"mulaw"``.
            listener: Where the events go.
        """
        sent_as = "linear16" if self._linear_only else codec
        return PalatineSession(
            self._settings, codec, sent_as, listener, self._connect_seconds, fall_back=self._fall_back
        )

    def _fall_back(self) -> None:
        """Sends linear16 from the next session on: the service does not take G.711."""
        self._linear_only = True


def address_of(settings: Palatine, sent_as: str) -> tuple[str, dict[str, str]]:
    """Returns the URL and the headers of the handshake.

    Args:
        settings: The service's settings.
        sent_as: The codec on the wire.
    """
    query = {
        "model": settings.model,
        "language": settings.language,
        "sample_rate": str(SAMPLE_RATE),  # the service's own default is 48000
        "codec": sent_as,
        "channels": "1",
    }
    headers = {}
    token = settings.token.get_secret_value()
    if settings.auth == "query":
        query["token"] = token
    elif token:
        headers["Authorization"] = f"Bearer {token}"
    parts = urlsplit(settings.url)
    joined = "&".join(filter(None, [parts.query, urlencode(query)]))
    return urlunsplit(parts._replace(query=joined)), headers


class PalatineSession:
    """One session. See ``EngineSession``."""

    def __init__(
        self,
        settings: Palatine,
        codec: str,
        sent_as: str,
        listener: Listener,
        connect_seconds: float,
        *,
        fall_back: Callable[[], None],
    ) -> None:
        self._codec = codec
        self._sent_as = sent_as
        self._listener = listener
        self._fall_back = fall_back
        self._ready = False
        self._finishing = False
        self._over = False
        self._said, self._partial_said = "", Partial("", accumulates=True)  # the newest partial as it came, and read
        text = f"the server confirmed no configuration within {connect_seconds:g} s"
        self._config_timer = asyncio.get_running_loop().call_later(
            connect_seconds, lambda: self._fail("NO_CONFIG", text, retryable=True)
        )
        url, headers = address_of(settings, sent_as)
        self._socket = WebSocket(url, headers, self, connect_seconds=connect_seconds)

    @property
    def congested(self) -> bool:
        """True while the service takes audio more slowly than it is sent."""
        return self._socket.congested

    def send(self, payload: bytes) -> None:
        """Sends G.711 audio as one message, decoded where the session is in linear16.

        Raises:
            ValueError: The payload is empty, which would end the session.
        """
        if not payload:
            raise ValueError("an empty message ends a Palatine session")
        self._socket.send_binary(payload if self._sent_as == self._codec else g711.to_linear16(self._codec, payload))

    def silence(self, samples: int) -> None:
        """Sends silence as audio: the protocol has no shorter way to say it."""
        self.send(g711.SILENCE[self._codec] * samples)

    def finish(self) -> None:
        """Sends the empty message that ends the stream; the last words and ``final`` follow."""
        self._finishing = True
        self._socket.send_binary(b"")

    def abort(self) -> None:
        """Drops the session."""
        self._over = True
        self._config_timer.cancel()
        self._socket.abort()

    # what the WebSocket tells

    def opened(self) -> None:
        """The handshake succeeded; the server's ``config`` comes next."""

    def text(self, message: str, times: int) -> None:
        """A message of the server, which came so many times."""
        if self._over:
            return
        if message == self._said:
            # where nobody speaks, the same text comes again for each block
            self._repeat(times)
            return
        try:
            fields = json.loads(message)
            kind = fields["type"]
        except (ValueError, KeyError, TypeError):
            self._fail("PROTOCOL", "the server sent a message that is not a JSON object with a type", retryable=True)
            return
        match kind:
            case "config":
                self._check_config(fields)
            case "partial":
                self._partial(fields, message)
                if times > 1 and not self._over:
                    self._repeat(times - 1)
            case "final":
                self._final(fields)
            case "error":
                code = str(fields.get("code", "PROCESSING_ERROR"))
                self._error(code, str(fields.get("message", "no reason given")))
            # other types are extensions of the protocol that this client does not know

    def closed(self, closed: Closed) -> None:
        """The connection is over."""
        if self._over:
            return
        if closed.status in (401, 403):
            self._fail("AUTH_ERROR", f"the server refused the token with HTTP {closed.status}", retryable=False)
        elif closed.status:
            text = f"the server refused the connection with HTTP {closed.status} {closed.reason}"
            quota, wait = closed.status == 429, closed.retry_after
            self._fail("HANDSHAKE", text, retryable=closed.status >= 500 or quota, quota=quota, retry_after=wait)
        elif closed.code == 4003:
            self._error("UNSUPPORTED_CODEC", closed.reason)
        elif closed.code in CLOSE_CODES:
            code, retryable = CLOSE_CODES[closed.code]
            self._fail(code, f"the server closed with {closed.code} {closed.reason}".rstrip(), retryable=retryable)
        else:
            self._fail("CONNECTION_LOST", f"{closed.reason or 'closed'} ({closed.code})", retryable=True)

    # inside

    def _check_config(self, fields: dict[str, Any]) -> None:
        asked = {"format": self._sent_as, "sample_rate": SAMPLE_RATE, "channels": 1}
        wrong = {name: fields[name] for name, value in asked.items() if fields.get(name, value) != value}
        if wrong:
            self._fail("WRONG_CONFIG", f"asked for {asked}, the server confirmed {wrong}", retryable=False)
        elif not self._ready:
            self._ready = True
            self._config_timer.cancel()
            self._listener(Ready())

    def _repeat(self, times: int) -> None:
        said = self._partial_said
        self._listener(said if times == 1 else replace(said, times=times))

    def _partial(self, fields: dict[str, Any], message: str) -> None:
        text = fields.get("full_text")
        if isinstance(text, str):
            covered = fields.get("processed_ms")  # the embedded recogniser says so; the service speaks after each block
            heard = covered * SAMPLE_RATE // 1000 if isinstance(covered, int) else None
            self._said, self._partial_said = message, Partial(text, accumulates=True, heard=heard)
            self._listener(self._partial_said)
        else:
            self._fail("PROTOCOL", "a partial without full_text", retryable=True)

    def _final(self, fields: dict[str, Any]) -> None:
        if not self._finishing:
            # The service ended the stream by itself: the rest of the call needs another session.
            self._fail("ENDED_EARLY", "the server ended the session before the audio did", retryable=True)
            return
        seconds = fields.get("total_duration")
        self._over = True
        self._socket.close()
        self._listener(End(float(seconds) if isinstance(seconds, int | float) else None))

    def _error(self, code: str, text: str) -> None:
        retryable = code in RETRYABLE_ERRORS
        if code == "UNSUPPORTED_CODEC" and self._sent_as != "linear16":
            self._fall_back()
            retryable = True
        self._fail(code, text, retryable=retryable)

    def _fail(
        self, code: str, text: str, *, retryable: bool, quota: bool = False, retry_after: float | None = None
    ) -> None:
        self._over = True
        self._config_timer.cancel()
        self._socket.abort()
        self._listener(Failure(code, text, retryable, quota, retry_after))
