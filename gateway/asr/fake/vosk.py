"""The protocol of vosk-server's WebSocket in front of the test recogniser.

The client sends ``{"config": {"sample_rate": 8000}}``, then linear16; the server answers each message with
``{"partial": …}``, or ``{"text": …, "result": […]}`` at the end of an utterance; ``{"eof": 1}`` ends the stream.
"""

from __future__ import annotations

import json
from typing import Any

from websockets.http11 import Request

from gateway.asr.fake.core import Block, Utterance
from gateway.asr.fake.faults import Fault
from gateway.asr.fake.front import FrontEnd
from gateway.asr.fake.pcm import SAMPLE_RATE


class VoskSocket(FrontEnd):
    """One connection of a client."""

    def admit(self, request: Request) -> int:  # noqa: ARG002 (vosk-server looks at nothing in it)
        """Accepts everybody: vosk-server knows no token."""
        return self._accept(self._begin("linear16", "vosk", {}))

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
                self._say_goodbye()

    def fail(self, fault: Fault) -> None:
        """Closes; vosk-server has no codes of its own."""
        match fault.kind:
            case "close":
                self._end()
                self.close(int(fault.value), "told to")
            case "error" | "limit" | "wrong-config":
                self._end()
                self.close(1011, fault.kind)
            case "early-end":
                self._say_goodbye()
                self._over = True

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


def _result(utterance: Utterance) -> dict[str, Any]:
    words = [
        {"word": word.text, "start": word.start / SAMPLE_RATE, "end": word.end / SAMPLE_RATE, "conf": 1.0}
        for word in utterance.words
    ]
    return {"result": words, "text": utterance.text}
