"""What every speech engine offers, and the one event model for whatever a vendor sends.

An engine opens sessions; a session takes G.711 bytes of one leg and reports events to a listener. Positions inside a
session are samples since the session's own first one, silence announced by ``silence`` counted: only ``session.py``
knows where on the leg that was; it tells its observer the same events with positions on the leg's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from gateway.asr.gate import Gate


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine took the configuration: audio may be sent."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word and when it was spoken.

    Attributes:
        text: The word.
        start: Its first sample.
        end: One past its last sample.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Partial:
    """Text so far, which may still change.

    Attributes:
        text: All the text of the session so far (engines without utterances of their own, such as Palatine), or of the
            utterance after the last ``Final``.
        accumulates: True in the first case.
        start: First sample of the utterance, where the engine says so.
        end: One past the last sample that the text covers, likewise.
        heard: Of text that accumulates: every word before this sample is in it. What the session layer tells always
            has it, by what the engine says or is known for (``Limits.block_ms``).
        times: How often it was said, one right after the other.
    """

    text: str
    accumulates: bool
    start: int | None = None
    end: int | None = None
    heard: int | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Final:
    """An utterance that will not change, from an engine that finds boundaries itself; replaces its partials.

    Attributes:
        text: Its words; may be empty (a noise that was shown as words before).
        start: First sample.
        end: One past its last sample; all words before it are final.
        index: Number of the utterance in its session, from 0; what the session layer tells counts on over sessions.
        words: Its words with their times, where the engine gives them.
    """

    text: str
    start: int
    end: int
    index: int
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Refinement:
    """A nicer text of an utterance that was final already (normalised: numbers, punctuation).

    Attributes:
        index: Of its ``Final``.
        text: The text that replaces it.
    """

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The engine has worked through audio and has nothing new to say of it: a cursor, a keep-alive, a block of silence.

    Attributes:
        heard: One past the last sample that it has worked through, where it says so.
    """

    heard: int | None = None


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
        quota: It asks for fewer sessions, or the account's quota is used up: another engine is better at once. The
            endpoint is well.
        retry_after: Seconds that it asks to wait before the next session; None where it does not say.
    """

    code: str
    text: str
    retryable: bool
    quota: bool = False
    retry_after: float | None = None


EngineEvent = Ready | Partial | Final | Refinement | Progress | End | Failure


class Idle(Enum):
    """What becomes of a session while its leg sends nothing (hold), or nobody speaks on it (mute)."""

    KEEP = "keep"
    """It stays open; nothing is sent."""
    SILENCE = "silence"
    """It stays open; ``EngineSession.silence`` says how long nothing came, before ``Limits.idle_seconds`` are over."""
    CLOSE = "close"
    """It is finished, and another opened when somebody speaks, with audio from shortly before."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one session of an engine may hold, and how the engine likes its audio; None and 0 for no limit.

    Attributes:
        seconds: Audio in one session, announced silence counted.
        bytes: Payload in one session, in the form in which it is sent.
        bytes_per_sample: Of that form: 1 for G.711, 2 for linear PCM.
        idle: What to do while nothing comes.
        idle_seconds: The engine ends a session that got nothing for so long.
        message_ms: Audio in one message, where enough is there.
        silence_ms: Likewise while nobody speaks; not more than ``message_ms`` for no difference.
        replay_speed: How many times faster than real time audio may be sent again.
        block_ms: Of an engine whose text accumulates: audio after each of which it speaks up, whether it found words or
            not; None where it speaks up at other times.
    """

    seconds: float | None = None
    bytes: int | None = None
    bytes_per_sample: int = 1
    idle: Idle = Idle.KEEP
    idle_seconds: float | None = None
    message_ms: int = 100
    silence_ms: int = 0
    replay_speed: float = 4.0
    block_ms: int | None = None


class Listener(Protocol):
    """Takes a session's events, on the event loop's thread."""

    def __call__(self, event: EngineEvent, /) -> None:
        """Takes one event; never called from inside ``Engine.open`` or a method of the session."""


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

    def silence(self, samples: int) -> None:
        """Says that the leg was silent for so long, without bytes; called only with ``Idle.SILENCE``."""

    def finish(self) -> None:
        """Says that no more audio comes; events go on until ``End`` or ``Failure``."""

    def abort(self) -> None:
        """Drops the session; no event comes after this."""


class Engine(Protocol):
    """A speech service, or the embedded recogniser: one endpoint with one set of options.

    Attributes:
        name: In logs, metrics and events.
        limits: What its sessions may hold.
        gate: Whether sessions may be started now; shared by all engines at the same endpoint and all their legs.
    """

    name: str
    limits: Limits
    gate: Gate

    def open(self, codec: str, listener: Listener) -> EngineSession:
        """Starts a session; ``Ready`` or ``Failure`` follows.

        Args:
            codec: ``"alaw"`` or ``"mulaw"``, 8000 samples a second.
            listener: Where the events go.
        """
