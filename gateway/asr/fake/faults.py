"""Faults that the test server makes: what, when, and how often. Pure.

``KIND[=VALUE]@WHEN[*TIMES]``, as in ``close=1011@2.5s``, ``refuse=503@start*3`` or ``drop@p0.01*0``.

Kinds: ``refuse=STATUS`` (the handshake), ``tls`` (the TLS handshake), ``wrong-config``, ``error=CODE`` (the engine's
error message), ``close=CODE`` (a close code, or a gRPC status by name), ``drop`` (the connection is cut), ``stall`` (it
reads on, and says nothing), ``slow=BYTES`` (it reads so many bytes a second), ``half-open`` (it neither reads nor says
anything, as behind a dead link), ``early-end`` (it ends the session in good order before the audio does).

When: ``start`` (at the opening), ``2.5s`` (so much audio), ``9000b`` (so many bytes), ``7w`` (80 ms into the seventh
word), ``end`` (at the end of the stream), ``p0.01`` (with this probability, drawn for each message).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass

KINDS = (
    "refuse", "tls", "wrong-config", "error", "close", "drop", "stall", "slow", "half-open", "early-end",
)  # fmt: skip
_AT_OPENING = {"refuse", "tls", "wrong-config"}
_NEED_VALUE = {"refuse", "error", "close", "slow"}
_SPEC = re.compile(
    r"(?P<kind>[a-z-]+)(=(?P<value>\w+))?"
    r"@((?P<start>start)|(?P<end>end)|p(?P<p>[0-9.]+)|(?P<amount>[0-9.]+)(?P<unit>s|b|w))(\*(?P<times>\d+))?"
)


class FaultError(ValueError):
    """A fault is not written as it must be; the text says how."""


@dataclass(frozen=True, slots=True)
class Moment:
    """How far a session is.

    Attributes:
        seconds: Audio received.
        bytes: Bytes received.
        words: Words recognised in it.
        opening: Nothing has been received, the session is being opened.
        ending: The client said that no more audio comes.
    """

    seconds: float = 0.0
    bytes: int = 0
    words: int = 0
    opening: bool = False
    ending: bool = False


@dataclass(slots=True)
class Fault:
    """One fault.

    Attributes:
        kind: One of ``KINDS``.
        value: A code, a status, or bytes a second.
        when: ``start``, ``end``, ``s``, ``b``, ``w`` or ``p``.
        amount: With it.
        times: How many sessions it still meets.
    """

    kind: str
    value: str
    when: str
    amount: float
    times: float

    def due(self, moment: Moment, draw: random.Random) -> bool:
        """Returns whether it happens now."""
        match self.when:
            case "start":
                return moment.opening
            case "end":
                return moment.ending
            case "p":
                return moment.opening == (self.kind in _AT_OPENING) and draw.random() < self.amount
            case "s":
                return not moment.opening and moment.seconds >= self.amount
            case "b":
                return not moment.opening and moment.bytes >= self.amount
            case _:
                return moment.words >= self.amount


def parse(spec: str) -> Fault:
    """Reads ``KIND[=VALUE]@WHEN[*TIMES]``; TIMES 0 is for ever.

    Raises:
        FaultError: It is written wrongly.
    """
    found = _SPEC.fullmatch(spec)
    if found is None:
        raise FaultError(f"{spec!r} is not KIND[=VALUE]@WHEN[*TIMES], as in close=1011@2.5s or refuse=503@start*3")
    kind, value = found["kind"], found["value"] or ""
    if kind not in KINDS:
        raise FaultError(f"{spec!r}: no fault {kind!r}; there are {', '.join(KINDS)}")
    if (kind in _NEED_VALUE) != bool(value):
        raise FaultError(f"{spec!r}: {kind} needs {'a' if kind in _NEED_VALUE else 'no'} value")
    when = found["start"] or found["end"] or ("p" if found["p"] else found["unit"])
    if kind in _AT_OPENING and when not in ("start", "p"):
        raise FaultError(f"{spec!r}: {kind} can only happen at the start")
    times = 1 if found["times"] is None else int(found["times"]) or float("inf")
    return Fault(kind, value, when, float(found["p"] or found["amount"] or 0), times)


class FaultPlan:
    """The faults of a server, over all its sessions."""

    def __init__(self, faults: Iterable[Fault] = (), seed: int | None = None) -> None:
        self.faults = list(faults)
        self._random = random.Random(seed)  # noqa: S311 (a test server's dice)

    def due(self, moment: Moment) -> Fault | None:
        """Returns the first fault that happens now, and counts it."""
        for fault in self.faults:
            if fault.times > 0 and fault.due(moment, self._random):
                fault.times -= 1
                return fault
        return None
