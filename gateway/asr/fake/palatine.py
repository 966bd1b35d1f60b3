"""Palatine's protocol in front of the test recogniser, as its documentation describes it."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import parse_qs, urlsplit

from websockets.http11 import Request

from gateway.asr.fake.core import Block, Core, FakeSession
from gateway.asr.fake.faults import Fault
from gateway.asr.fake.pcm import SAMPLE_RATE
from gateway.asr.fake.socket import ServerSocket
from gateway.asr.fake.speaker import Speaker

CODECS = ("linear16", "alaw", "mulaw")
CLOSE_OF_ERROR = {"AUTH_ERROR": 4001, "ML_SERVICE_ERROR": 4002, "UNSUPPORTED_CODEC": 4003}


class PalatineSocket(ServerSocket):
    """One connection of a client."""

    def __init__(self, core: Core) -> None:
        super().__init__(core.options.retry_after)
        self._recogniser = core
        self._session: FakeSession | None = None
        self._query: dict[str, str] = {}
        self._speaker = Speaker(core.options.latency, core.dice)
        self._fault: Fault | None = None
        self._refusal = ""
        self._over = False
        self._idle: asyncio.TimerHandle | None = None

    def request(self, request: Request) -> int:
        """Checks start rate, token and parameters."""
        options = self._recogniser.options
        if not self._recogniser.may_start(self._loop.time()):
            return 429
        self._query = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        codec = self._query.get("codec", "linear16")
        if codec not in CODECS or self._query.get("sample_rate", "48000") != str(SAMPLE_RATE):
            self._refusal = "UNSUPPORTED_CODEC"
            return 101
        self._session = self._recogniser.session(codec, "palatine", self._loop.time())
        self._session.details = dict(self._query)
        shown = self._query.get("token") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        if options.token and shown != options.token:
            self._refusal = "AUTH_ERROR"
            return 101
        self._fault = self._session.open()
        if self._fault is not None and self._fault.kind == "refuse":
            return int(self._fault.value)
        return 101

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
                self._say(block)
            if not payload:
                self._say_final()

    def text(self, message: str) -> None:  # noqa: ARG002 (the protocol has no text from the client)
        """Refuses it, as the service does."""
        self._error("DECODE_ERROR")

    def gone(self) -> None:
        """The connection is over."""
        self._over = True
        self._speaker.silence()
        if self._session is not None:
            self._recogniser.ended(self._session)
        if self._idle is not None:
            self._idle.cancel()

    # inside

    def _say(self, block: Block) -> None:
        assert self._session is not None  # noqa: S101 (asked by the caller)
        partial = {"type": "partial", "chunk_text": " ".join(block.new), "full_text": self._session.text}
        self._speaker.say(lambda: self.send_text(json.dumps(partial)))

    def _say_final(self) -> None:
        assert self._session is not None  # noqa: S101 (asked by the caller)
        final = {"type": "final", "status": "completed", "total_duration": self._session.seconds}

        def say() -> None:
            self.send_text(json.dumps(final))
            self.close(1000)

        self._speaker.say(say)

    def _make(self, fault: Fault) -> None:
        match fault.kind:
            case "error":
                self._error(fault.value)
            case "close":
                self._end()
                self.close(int(fault.value), "told to")
            case "limit" | "idle":
                self._end()
                self.close(4000, fault.kind)
            case "drop":
                self._end()
                self.drop()
            case "stall":
                self._speaker.silence()
            case "slow":
                self.slow(float(fault.value))
            case "half-open":
                self._speaker.silence()
                self.freeze()
            case "early-end":
                self._say_final()
                self._over = True

    def _error(self, code: str) -> None:
        self._end()
        self.send_text(json.dumps({"type": "error", "message": f"told to: {code}", "code": code}))
        self.close(CLOSE_OF_ERROR.get(code, 4000))

    def _end(self) -> None:
        self._over = True
        self._speaker.silence()

    def _watch(self) -> None:
        """Ends the session when nothing comes for too long."""
        seconds = self._recogniser.options.idle_seconds
        if seconds is None:
            return
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._loop.call_later(seconds, self._make, Fault("idle", "", "s", 0, 1))
