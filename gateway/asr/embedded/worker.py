"""The worker process: reads segments from its standard input, writes their text to its standard output.

Each request is one JSON line ``{"rate", "bytes"}`` followed by that many bytes of linear16; each answer is one JSON
line, ``{"text"}`` or ``{"error"}``, in the same order. The first line it writes is ``{"ready": true}`` or
``{"fault", "reason"}``. It ends when its standard input does, so it never outlives the server.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import BinaryIO

from gateway.asr.embedded.faults import ExtraMissing, ModelFailed
from gateway.asr.embedded.recogniser import Recogniser


def request(audio: bytes, rate: int) -> bytes:
    """Returns a request as the worker reads it.

    Args:
        audio: linear16, little-endian, mono.
        rate: Samples a second.
    """
    return json.dumps({"rate": rate, "bytes": len(audio)}).encode() + b"\n" + audio


def serve(requests: BinaryIO, answers: BinaryIO) -> int:
    """Decodes until the requests end.

    Returns:
        The exit status.
    """
    try:
        recogniser = Recogniser()
    except (ExtraMissing, ModelFailed) as error:
        _answer(answers, fault=type(error).__name__, reason=error.reason)
        return error.status
    _answer(answers, ready=True)
    while line := requests.readline():
        fields = json.loads(line)
        audio = requests.read(fields["bytes"])
        if len(audio) < fields["bytes"]:
            break
        try:
            text = recogniser.text(audio, fields["rate"])
        except Exception as error:  # whatever one segment does to the library, the next one may go well
            _answer(answers, error=f"{type(error).__name__}: {error}")
        else:
            _answer(answers, text=text)
    return 0


def _answer(answers: BinaryIO, **fields: object) -> None:
    answers.write(json.dumps(fields).encode() + b"\n")
    answers.flush()


def main() -> int:
    """Runs the worker on this process's standard streams."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The answers keep the real standard output; what libraries print goes to standard error.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        return serve(sys.stdin.buffer, answers)
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
