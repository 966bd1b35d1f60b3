"""What every speech engine offers, and the one event model for whatever a vendor sends.

An engine opens sessions; a session takes G.711 bytes of one leg and reports events to a listener. Positions inside a
session are samples since the session's own first byte: only ``session.py`` knows where on the leg that was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine took the configuration: audio may be sent."""


@dataclass(frozen=True, slots=True)
class Partial:
    """Text so far, which may still change.

    Attributes:
        text: All the text of the session so far (engines without utterances of their own, such as Palatine), or of the
            current utterance.
        accumulates: True in the first case.
    """

    text: str
    accumulates: bool


@dataclass(frozen=True, slots=True)
class End:
    """The engine has said all.

    Attributes:
        seconds: Audio that the engine says it processed; None when it does not say.
    """

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Failure:
    """The session is lost; nothing comes after this.

    Attributes:
        code: The engine's own code where it has one (``AUTH_ERROR``), else a short name (``connection_lost``).
        text: What happened, for a person; holds no secret.
        retryable: Whether a new session may succeed without anybody changing anything.
    """

    code: str
    text: str
    retryable: bool


EngineEvent = Ready | Partial | End | Failure


class Listener(Protocol):
    """Takes a session's events, on the event loop's thread."""

    def __call__(self, event: EngineEvent, /) -> None:
        """Takes one event."""


class EngineSession(Protocol):
    """One streaming recognition of one leg."""

    @property
    def congested(self) -> bool:
        """True while the engine takes audio more slowly than it is sent; ``send`` would fill memory."""

    def send(self, payload: bytes) -> None:
        """Sends audio, at once and without waiting.

        Args:
            payload: G.711 bytes, never empty: an empty message ends a Palatine session.
        """

    def finish(self) -> None:
        """Says that no more audio comes; events go on until ``End`` or ``Failure``."""

    def abort(self) -> None:
        """Drops the session; no event comes after this."""


class Engine(Protocol):
    """A speech service, or the embedded recogniser."""

    name: str

    def open(self, codec: str, listener: Listener) -> EngineSession:
        """Starts a session; ``Ready`` or ``Failure`` follows.

        Args:
            codec: ``"alaw"`` or ``"mulaw"``, 8000 samples a second.
            listener: Where the events go.
        """
