"""An engine for asr-gateway: the recogniser of Acme, by its WebSocket protocol.

Acme wants ``{"rate": 8000, "codec": "alaw"}`` first, then audio in binary messages, and ``{"end": true}`` at the end.
It says ``{"text": …, "final": false}`` as long as an utterance goes on, the same with ``"final": true`` and its times
in seconds (``"from"``, ``"to"``) when it is over, and ``{"heard": SECONDS}`` when it has said all.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, SecretStr

from gateway.asr.engine import Final, Limits, Listener, Partial
from gateway.asr.kinds import Context
from gateway.asr.websocket_session import WebSocketSession, samples_of


class AcmeEngine:
    class Settings(BaseModel, extra="forbid"):  # [asr.engines.NAME], besides kind
        url: str
        token: SecretStr = SecretStr("")
        language: str = "en"  # a route's language takes its place

    def __init__(self, settings: Settings, context: Context) -> None:
        self.name, self.gate = context.name, context.gate
        self.limits = Limits(seconds=600, message_ms=100)  # Acme ends sessions after ten minutes
        self._settings, self._context = settings, context

    def open(self, codec: str, listener: Listener) -> AcmeSession:
        headers = {"Authorization": f"Bearer {self._settings.token.get_secret_value()}"}
        url = f"{self._settings.url}?language={self._settings.language}"
        return AcmeSession(codec, url, headers, listener, self._context)


class AcmeSession(WebSocketSession):  # connects, tells Ready, and turns every way of losing it into a Failure
    def __init__(self, codec: str, *rest: Any) -> None:
        self._codec, self._finals = codec, 0
        super().__init__(*rest)

    def configure(self) -> None:
        self._socket.send_text(json.dumps({"rate": 8000, "codec": self._codec}))

    def send(self, payload: bytes) -> None:
        self._write(payload, samples=len(payload))

    def finish(self) -> None:
        self._socket.send_text('{"end": true}')

    def message(self, fields: dict[str, Any]) -> None:
        if "heard" in fields:
            self._end(float(fields["heard"]))
        elif fields["final"]:
            self._tell(Final(fields["text"], samples_of(fields["from"]), samples_of(fields["to"]), self._finals))
            self._finals += 1
        else:
            self._tell(Partial(fields["text"], accumulates=False))
