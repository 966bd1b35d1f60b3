"""The protocol of vosk-server's WebSocket in front of the test recogniser.

The client sends ``{"config": {"sample_rate": 8000}}``, then linear16; the server answers each message with
``{"partial": …}``, or ``{"text": …, "result": […]}`` at the end of an utterance; ``{"eof": 1}`` ends the stream.
"""

from __future__ import annotations

import json
from typing import Any

from websockets.http11 import Request

from gateway.asr.fake.core import Block, Core, FakeSession, Utterance
from gateway.asr.fake.faults import Fault
from gateway.asr.fake.pcm import SAMPLE_RATE
from gateway.asr.fake.socket import ServerSocket
from gateway.asr.fake.speaker import Speaker


class VoskSocket(ServerSocket):
    """One connection of a client."""

    def __init__(self, core: Core) -> None:
        super().__init__(core.options.retry_after)
        self._recogniser = core
        self._session: FakeSession | None = None
        self._speaker = Speaker(core.options.latency, core.dice)
        self._over = False
        self._fault: Fault | None = None

    def request(self, request: Request) -> int:  # noqa: ARG002 (vosk-server looks at nothing in it)
        """Accepts everybody: vosk-server knows no token."""
        if not self._recogniser.may_start(self._loop.time()):
            return 429
        self._session = self._recogniser.session("linear16", "vosk", self._loop.time())
        self._fault = self._session.open()
        if self._fault is not None and self._fault.kind == "refuse":
            return int(self._fault.value)
        return 101

    def opened(self) -> None:
        """Makes the fault of the opening; vosk-server itself says nothing."""
        if self._fault is not None:
            self._make(self._fault)

    def binary(self, payload: bytes) -> None:
        """Takes audio."""
        if self._session is None or self._over:
            return
        self._work(*self._session.feed(payload), answer=True)

    def text(self, message: str) -> None:
        """Takes the configuration, or the end of the stream."""
        if self._session is None or self._over:
            return
        fields = json.loads(message)
        if "config" in fields:
            self._session.details = {name: str(value) for name, value in fields["config"].items()}
            if int(fields["config"].get("sample_rate", SAMPLE_RATE)) != SAMPLE_RATE:
                self._over = True
                self.close(1007, "this server recognises 8000 samples a second")
        if "eof" in fields:
            self._work(*self._session.finish(), answer=False)
            if not self._over:
                self._speaker.say(lambda: self.close(1000))

    def gone(self) -> None:
        """The connection is over."""
        self._over = True
        self._speaker.silence()
        if self._session is not None:
            self._recogniser.ended(self._session)

    # inside

    def _work(self, blocks: list[Block], fault: Fault | None, *, answer: bool) -> None:
        if fault is not None:
            self._make(fault)
        if self._over:
            return
        for block in blocks:
            for utterance in block.ended:
                self._say(_result(utterance))
            if answer and not block.ended:
                self._say({"partial": block.open.text})
        if not answer and not any(block.ended for block in blocks):
            self._say({"text": ""})

    def _say(self, message: dict[str, Any]) -> None:
        self._speaker.say(lambda: self.send_text(json.dumps(message)))

    def _make(self, fault: Fault) -> None:
        self._over = fault.kind in ("error", "close", "drop", "limit", "early-end", "wrong-config")
        match fault.kind:
            case "close":
                self._speaker.silence()
                self.close(int(fault.value), "told to")
            case "error" | "limit" | "wrong-config":
                self._speaker.silence()
                self.close(1011, fault.kind)
            case "early-end":
                self._speaker.say(lambda: self.close(1000))
            case "drop":
                self._speaker.silence()
                self.drop()
            case "stall":
                self._speaker.silence()
            case "slow":
                self.slow(float(fault.value))
            case "half-open":
                self._speaker.silence()
                self.freeze()


def _result(utterance: Utterance) -> dict[str, Any]:
    words = [
        {"word": word.text, "start": word.start / SAMPLE_RATE, "end": word.end / SAMPLE_RATE, "conf": 1.0}
        for word in utterance.words
    ]
    return {"result": words, "text": utterance.text}
