"""Deepgram's streaming protocol in front of the test recogniser."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.http11 import Request

from gateway.asr.fake.core import Block
from gateway.asr.fake.faults import Fault
from gateway.asr.fake.front import FrontEnd
from gateway.asr.fake.pcm import SAMPLE_RATE
from gateway.asr.fake.words import Said

CODECS = ("linear16", "alaw", "mulaw")


class DeepgramSocket(FrontEnd):
    """One connection of a client."""

    def admit(self, request: Request) -> int:
        """Checks key and parameters."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        if query.get("encoding") not in CODECS or query.get("sample_rate") != str(SAMPLE_RATE):
            return 400
        wanted = self._recogniser.options.token
        if wanted and request.headers.get("Authorization") != f"Token {wanted}":
            return 401
        return self._accept(self._begin(query["encoding"], "deepgram", query))

    def opened(self) -> None:
        """Makes the fault of the opening; the service says nothing before there is audio."""
        if self._fault is not None:
            self._make(self._fault)
        self._watch()

    def binary(self, payload: bytes) -> None:
        """Takes audio."""
        if self._session is not None and not self._over:
            self._watch()
            self._work(*self._session.feed(payload))

    def text(self, message: str) -> None:
        """Takes ``KeepAlive`` or ``CloseStream``."""
        if self._session is None or self._over:
            return
        self._watch()
        match json.loads(message)["type"]:
            case "KeepAlive":
                self._session.details["keep_alives"] = str(int(self._session.details.get("keep_alives", 0)) + 1)
            case "CloseStream":
                self._work(*self._session.finish())
                self._say_metadata()

    def fail(self, fault: Fault) -> None:
        """Closes with the service's own codes."""
        match fault.kind:
            case "error" | "close":
                self._end()
                if fault.kind == "error":
                    self.send_text(json.dumps({"type": "Error", "variant": fault.value, "description": "told to"}))
                self.close(int(fault.value) if fault.value.isdigit() else 1011, "told to")
            case "limit" | "wrong-config":
                self._end()
                self.close(1008, "DATA-0000")
            case "idle":
                self._end()
                self.close(1011, "NET-0001")
            case "early-end":
                self._say_goodbye()
                self._over = True

    # inside

    def _work(self, blocks: list[Block], fault: Fault | None) -> None:
        if fault is not None:
            self._make(fault)
        if self._over:
            return
        for block in blocks:
            for utterance in block.ended:
                self._say(_results(utterance.words, block.position, final=True))
            if block.open.words or not block.ended:
                self._say(_results(block.open.words, block.position, final=False))

    def _say_metadata(self) -> None:
        if self._over or self._session is None:
            return
        self._say({"type": "Metadata", "request_id": "fake", "duration": self._session.seconds, "channels": 1})
        self._say_goodbye()


def _results(words: list[Said], position: int, *, final: bool) -> dict[str, Any]:
    """Returns a result that reaches from the first word to where the recogniser is."""
    start = words[0].start if words else position
    found = [
        {"word": word.text, "start": word.start / SAMPLE_RATE, "end": word.end / SAMPLE_RATE, "confidence": 1.0}
        for word in words
    ]
    best = {"transcript": " ".join(word.text for word in words), "confidence": 1.0, "words": found}
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "start": start / SAMPLE_RATE,
        "duration": (position - start) / SAMPLE_RATE,
        "is_final": final,
        "speech_final": final,
        "channel": {"alternatives": [best]},
    }
