"""vosk-server's WebSocket protocol.

A text message ``{"config": …}``, then linear PCM in binary messages; each is answered by ``{"partial": …}`` or, at the
end of an utterance, ``{"result": [words], "text": …}``. ``{"eof" : 1}`` (the server compares the text, space and all)
is answered by the last result, and the server closes.
"""

from __future__ import annotations

import json
from typing import Any

from gateway.asr.engine import Final, Limits, Listener, Partial, Progress, Word
from gateway.asr.kinds import Context
from gateway.asr.options import Vosk
from gateway.asr.websocket import Closed
from gateway.asr.websocket_session import WebSocketSession, samples_of
from gateway.media import g711
from gateway.media.chunks import SAMPLE_RATE

EOF = '{"eof" : 1}'


class VoskEngine:
    """Opens sessions at one vosk-server.

    Args:
        settings: Where it is.
        context: Name, limits of time, circuit.
    """

    Settings = Vosk

    def __init__(self, settings: Vosk, context: Context) -> None:
        self.name = context.name
        self.gate = context.gate
        self.limits = Limits(bytes_per_sample=2, message_ms=settings.message_ms)
        self._settings = settings
        self._context = context

    def open(self, codec: str, listener: Listener) -> VoskSession:
        """Starts a session; ``Ready`` or ``Failure`` follows."""
        return VoskSession(self._settings.url, codec, listener, self._context)


class VoskSession(WebSocketSession):
    """One session. See ``EngineSession``."""

    def __init__(self, url: str, codec: str, listener: Listener, context: Context) -> None:
        self._codec = codec
        self._finals = 0
        self._last_end = 0
        self._shown = False
        super().__init__(url, {}, listener, context)

    def send(self, payload: bytes) -> None:
        """Sends G.711 audio as one message of linear PCM."""
        self._write(g711.to_linear16(self._codec, payload), len(payload))

    def finish(self) -> None:
        """Ends the stream; the last result follows, and the server closes."""
        self._finishing = True
        self._socket.send_text(EOF)

    def configure(self) -> None:
        """Says the sample rate, and asks for words with times."""
        self._socket.send_text(json.dumps({"config": {"sample_rate": SAMPLE_RATE, "words": 1}}))

    def message(self, fields: dict[str, Any]) -> None:
        """Takes a result."""
        if "partial" in fields:
            self._partial(str(fields["partial"]))
        else:
            self._result(str(fields["text"]), fields.get("result") or [])

    def ended(self, closed: Closed) -> None:
        """The server closes after the last result: it works through everything in order, so it had all audio."""
        if self._finishing and closed.code == 1000:
            self._end(self._heard.position / SAMPLE_RATE)
        else:
            super().ended(closed)

    # inside

    def _partial(self, text: str) -> None:
        if text or self._shown:
            self._shown = bool(text)
            self._tell(Partial(text, accumulates=False))
        else:
            self._tell(Progress())

    def _result(self, text: str, found: list[dict[str, Any]]) -> None:
        if not text and not self._shown:
            self._tell(Progress())
            return
        words = tuple(Word(str(word["word"]), samples_of(word["start"]), samples_of(word["end"])) for word in found)
        start = words[0].start if words else self._last_end
        end = words[-1].end if words else self._heard.position
        if words:
            self._worked_through(end)
        self._tell(Final(text, start, max(start, end), self._finals, words))
        self._finals += 1
        self._last_end = max(self._last_end, end)
        self._shown = False
