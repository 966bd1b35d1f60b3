"""What an INFO request (RFC 6086) says: a key that was pressed, or whether the call may be recorded.

There is no standard for either, but a common practice. Keys come as ``application/dtmf-relay`` (``Signal=5`` and
``Duration=160`` on lines of their own) or as ``application/dtmf`` (``5``); phones and PBXs whose users stop a recording
for a card number send a header ``Record: off``, and ``Record: on`` afterwards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.sip.request import Request

KEYS = "0123456789*#ABCD"
LONGEST_MS = 10_000
"""What is told to be longer was no key press."""

_FIELD = re.compile(r"^\s*(signal|duration)\s*=\s*(\S{1,8})\s*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pressed:
    """A key.

    Attributes:
        key: One of ``KEYS``.
        duration_ms: How long it was pressed; 0 where the peer does not say.
    """

    key: str
    duration_ms: int


def pressed(request: Request) -> Pressed | None:
    """Returns the key that an INFO tells of; None where it tells of none that can be read.

    A signal of 10 to 15 is the event of that number (RFC 4733): ``*``, ``#``, ``A`` to ``D``.
    """
    kind = request.first("content-type").partition(";")[0].strip().lower()
    if kind == "application/dtmf-relay":
        fields = {name.lower(): value for name, value in reversed(_FIELD.findall(request.body))}
        signal, duration = fields.get("signal", ""), fields.get("duration", "")
    elif kind == "application/dtmf":
        signal, duration = request.body.strip(), ""
        if (field := _FIELD.search(signal)) is not None:
            signal = field[2]
    else:
        return None
    if (key := _key(signal.upper())) is None:
        return None
    length = int(duration) if re.fullmatch("[0-9]{1,5}", duration) else 0
    return Pressed(key, length if length <= LONGEST_MS else 0)


def recorded(request: Request) -> bool | None:
    """Returns whether the call may be recorded from now on, None where the INFO does not say."""
    return {"on": True, "off": False}.get(request.first("record").strip().lower())


def _key(signal: str) -> str | None:
    if len(signal) == 1 and signal in KEYS:
        return signal
    if re.fullmatch("1[0-5]", signal):
        return KEYS[int(signal)]
    return None
