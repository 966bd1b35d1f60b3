"""Palatine's protocol in front of the test recogniser, as its documentation describes it."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

from websockets.http11 import Request

from gateway.asr.fake.core import Block, Core
from gateway.asr.fake.faults import Fault
from gateway.asr.fake.front import FrontEnd
from gateway.asr.fake.pcm import SAMPLE_RATE

CODECS = ("linear16", "alaw", "mulaw")
CLOSE_OF_ERROR = {"AUTH_ERROR": 4001, "ML_SERVICE_ERROR": 4002, "UNSUPPORTED_CODEC": 4003}


class PalatineSocket(FrontEnd):
    """One connection of a client."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._query: dict[str, str] = {}
        self._refusal = ""
        self._said = 0  # samples of whose words it has spoken

    def admit(self, request: Request) -> int:
        """Checks token and parameters."""
        self._query = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        codec = self._query.get("codec", "linear16")
        if codec not in CODECS or self._query.get("sample_rate", "48000") != str(SAMPLE_RATE):
            self._refusal = "UNSUPPORTED_CODEC"
            return 101
        session = self._begin(codec, "palatine", dict(self._query))
        wanted = self._recogniser.options.token
        shown = self._query.get("token") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        if wanted and shown != wanted:
            self._refusal = "AUTH_ERROR"
            return 101
        return self._accept(session)

    def opened(self) -> None:
        """Confirms the configuration, or says why not."""
        if self._refusal or self._session is None:
            self._error(self._refusal or "INTERNAL_ERROR")
            return
        if self._fault is not None and self._fault.kind != "wrong-config":
            self._make(self._fault)
            if self._over or self._fault.kind in ("stall", "half-open"):
                return
        wrong = self._fault is not None and self._fault.kind == "wrong-config"
        config = {
            "type": "config",
            "model": self._query.get("model", "palatine_stream"),
            "sample_rate": 48000 if wrong else SAMPLE_RATE,
            "channels": int(self._query.get("channels", "1")),
            "format": self._session.codec,
            "language": self._query.get("language", "ru"),
            "recommended_codec": "linear16",
            "supported_codecs": CODECS,
            "supported_sample_rates": [SAMPLE_RATE],
        }
        self.send_text(json.dumps(config))
        self._watch()

    def binary(self, payload: bytes) -> None:
        """Takes audio, or the empty message that ends the stream."""
        if self._session is None or self._over:
            return
        self._watch()
        blocks, fault = self._session.feed(payload) if payload else self._session.finish()
        if fault is not None:
            self._make(fault)
        if not self._over:
            for block in blocks:
                self._partial(block)
            if not payload:
                self._final(self._session.seconds)

    def text(self, message: str) -> None:  # noqa: ARG002 (the protocol has no text from the client)
        """Refuses it, as the service does."""
        self._error("DECODE_ERROR")

    def fail(self, fault: Fault) -> None:
        """Closes with the service's own codes."""
        match fault.kind:
            case "error":
                self._error(fault.value)
            case "close":
                self._end()
                self.close(int(fault.value), "told to")
            case "limit" | "idle":
                self._end()
                self.close(4000, fault.kind)
            case "early-end":
                self._final(self._said / SAMPLE_RATE)
                self._over = True

    # inside

    def _partial(self, block: Block) -> None:
        assert self._session is not None  # noqa: S101 (asked by the caller)
        self._said = block.position
        self._say({"type": "partial", "chunk_text": " ".join(block.new), "full_text": self._session.text})

    def _final(self, seconds: float) -> None:
        self._say({"type": "final", "status": "completed", "total_duration": seconds})
        self._say_goodbye()

    def _error(self, code: str) -> None:
        self._end()
        self.send_text(json.dumps({"type": "error", "message": f"told to: {code}", "code": code}))
        self.close(CLOSE_OF_ERROR.get(code, 4000))
