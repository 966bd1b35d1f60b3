"""Deepgram's streaming recognition (``/v1/listen``), which takes G.711 as it is.

Audio in binary messages. Results come by stretches of audio, each first as an interim and once as final; a final with
``speech_final``, or an ``UtteranceEnd`` where noise hides the pause, ends an utterance. ``CloseStream`` is answered by
the last results and a ``Metadata`` with the seconds that were heard. A connection that gets nothing for 10 s is closed
(NET-0001) unless ``KeepAlive`` comes.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from gateway.asr.engine import Final, Limits, Listener, Partial, Progress, Word
from gateway.asr.kinds import Context
from gateway.asr.options import Deepgram
from gateway.asr.websocket import Closed
from gateway.asr.websocket_session import WebSocketSession, samples_of
from gateway.media import g711
from gateway.media.chunks import SAMPLE_RATE

KEEP_ALIVE_SECONDS = 4.0  # the documentation says 3 to 5


class DeepgramEngine:
    """Opens sessions at Deepgram, or a server with its protocol.

    Args:
        settings: Where it is and how to ask.
        context: Name, limits of time, circuit.
    """

    Settings = Deepgram

    def __init__(self, settings: Deepgram, context: Context) -> None:
        self.name = context.name
        self.gate = context.gate
        sample = 2 if settings.codec == "linear16" else 1
        self.limits = Limits(bytes_per_sample=sample, message_ms=settings.message_ms)
        self._settings = settings
        self._context = context

    def open(self, codec: str, listener: Listener) -> DeepgramSession:
        """Starts a session; ``Ready`` or ``Failure`` follows."""
        return DeepgramSession(self._settings, codec, listener, self._context)


def address_of(settings: Deepgram, encoding: str) -> tuple[str, dict[str, str]]:
    """Returns the URL and the headers of the handshake.

    Args:
        settings: The service's settings.
        encoding: ``alaw``, ``mulaw`` or ``linear16``.
    """
    query = {
        "model": settings.model,
        "language": settings.language,
        "encoding": encoding,
        "sample_rate": SAMPLE_RATE,
        "channels": 1,
        "interim_results": "true",
        "smart_format": "true" if settings.smart_format else "false",
        "endpointing": settings.endpointing_ms,
        "utterance_end_ms": settings.utterance_end_ms,
    }
    parts = urlsplit(settings.url)
    joined = "&".join(filter(None, [parts.query, urlencode(query)]))
    key = settings.api_key.get_secret_value()
    return urlunsplit(parts._replace(query=joined)), {"Authorization": f"Token {key}"} if key else {}


class DeepgramSession(WebSocketSession):
    """One session. See ``EngineSession``."""

    def __init__(self, settings: Deepgram, codec: str, listener: Listener, context: Context) -> None:
        self._codec = codec
        self._linear = settings.codec == "linear16"
        self._finals = 0
        self._texts: list[str] = []  # final stretches of the utterance that goes on
        self._words: list[Word] = []  # theirs
        self._end_of_texts = 0
        self._shown = False
        self._sent = False
        self._timer: asyncio.TimerHandle | None = None
        self._answered = False
        url, headers = address_of(settings, "linear16" if self._linear else codec)
        super().__init__(url, headers, listener, context)

    def send(self, payload: bytes) -> None:
        """Sends G.711 audio as one message, decoded where the session is in linear16."""
        self._sent = True
        self._write(g711.to_linear16(self._codec, payload) if self._linear else payload, len(payload))

    def finish(self) -> None:
        """Ends the stream; the last results and ``Metadata`` follow."""
        self._finishing = True
        self._socket.send_text('{"type": "CloseStream"}')

    def abort(self) -> None:
        """Drops the session."""
        self._disarm()
        super().abort()

    def configure(self) -> None:
        """Everything was in the URL; keeps the connection from now on."""
        self._arm()

    def message(self, fields: dict[str, Any]) -> None:
        """Takes a message by its type; unknown ones are extensions."""
        match fields["type"]:
            case "Results":
                self._answered = True
                self._results(fields)
            case "UtteranceEnd":
                self._utterance_ends()
            case "Metadata":
                self._metadata(fields)
            case "Error":
                self._fail(str(fields.get("variant") or "ERROR"), str(fields.get("description") or "no reason given"))

    def ended(self, closed: Closed) -> None:
        """The server closed."""
        if closed.code == 1008:  # DATA-0000: it cannot decode what it gets; it did before, where it gave results
            text = closed.reason or "the server cannot decode the audio"
            self._fail("DATA-0000", text, retryable=self._answered)
        else:
            super().ended(closed)

    # inside

    def _results(self, fields: dict[str, Any]) -> None:
        best = fields["channel"]["alternatives"][0]
        text = str(best["transcript"])
        heard = samples_of(float(fields["start"]) + float(fields["duration"]))
        words = [
            Word(str(word.get("punctuated_word") or word["word"]), samples_of(word["start"]), samples_of(word["end"]))
            for word in best.get("words", [])
        ]
        self._worked_through(heard)
        if fields["is_final"] and text:
            self._texts.append(text)
            self._words += words
            self._end_of_texts = words[-1].end if words else heard
        if fields.get("speech_final") or fields.get("from_finalize"):
            self._utterance_ends()
            return
        shown = " ".join([*self._texts, *([] if fields["is_final"] else [text])]).strip()
        if shown or self._shown:
            self._shown = bool(shown)
            first = next(iter(self._words or words), None)
            self._tell(Partial(shown, False, first.start if first else None, heard))
        else:
            self._tell(Progress(heard))

    def _utterance_ends(self) -> None:
        if not self._texts and not self._shown:
            self._tell(Progress())
            return
        start = self._words[0].start if self._words else self._end_of_texts
        words = tuple(self._words)
        self._tell(Final(" ".join(self._texts), start, max(start, self._end_of_texts), self._finals, words))
        self._finals += 1
        self._texts, self._words, self._shown = [], [], False

    def _metadata(self, fields: dict[str, Any]) -> None:
        if not self._finishing:
            return  # sent at any time; only the one after CloseStream ends the session
        self._utterance_ends()
        self._disarm()
        self._end(float(fields["duration"]))

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(KEEP_ALIVE_SECONDS, self._keep_alive)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _keep_alive(self) -> None:
        if self._over or self._finishing:
            return
        if not self._sent:
            self._socket.send_text('{"type": "KeepAlive"}')
        self._sent = False
        self._arm()
