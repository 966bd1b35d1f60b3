"""The engine sessions of one leg, where its recognition stands, and when something is due. Pure.

``machine.py`` sends the audio and opens sessions; ``handover.py``, ``idling.py`` and ``losing.py`` act on the same
sessions when one nears its limit, gets nothing, or is lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum

from gateway.asr.engine import EngineSession, Failure
from gateway.asr.observer import Observer
from gateway.asr.preference import Preference
from gateway.asr.replay import ReplayBuffer
from gateway.asr.rollover import due
from gateway.asr.run import Result, Run
from gateway.asr.settings import Asr
from gateway.media.chunks import SAMPLE_RATE


class State(Enum):
    """Where the leg's recognition stands."""

    CONNECTING = "connecting"
    OPEN = "open"
    WAITING = "waiting"  # for the next attempt
    IDLE = "idle"  # nobody speaks, and the engine's rule is to close
    FINISHING = "finishing"  # all audio sent, the last words are awaited
    GIVEN_UP = "given up"  # for good; audio that still comes is counted
    DONE = "done"


class Sessions(ABC):
    """Starts, retires and drops sessions.

    Args:
        preference: Which engine is asked.
        settings: Time limits.
        observer: Told what happens.
        opener: Opens a session of a run.

    Attributes:
        state: Where the leg's recognition stands.
        current: The session that gets the audio.
        old: The one before it: it got all of its audio, and is read to its end.
        ahead: The one after it: takes over before the current one reaches its engine's limit.
        timers: When an act is due (seconds), by the act's name.
        buffer: The audio that may still be needed.
        finals: Finals of the leg before the session that speaks now.
        hung_up: Whether no more audio comes.
    """

    def __init__(
        self, preference: Preference, settings: Asr, observer: Observer, opener: Callable[[Run], EngineSession]
    ) -> None:
        self.preference = preference
        self.settings = settings
        self.observer = observer
        self.buffer = ReplayBuffer(int(settings.replay_seconds * SAMPLE_RATE))
        self.state = State.CONNECTING
        self.current: Run | None = None
        self.old: Run | None = None
        self.ahead: Run | None = None
        self.timers: dict[str, float] = {}
        self.finals = 0
        self.hung_up = False
        self._opener = opener

    @property
    def patience(self) -> float:
        """How long after the end of the audio an engine may say nothing: time must be left to ask another session."""
        return min(self.settings.stall_seconds, self.settings.finish_seconds / 3)

    def start(self, now: float) -> Run:
        """Starts a session, which its engine's gate must have let be started."""
        engine = self.preference.engine
        run = Run(engine, self.finals, heard_at=now, last_sent=now)
        run.due = due(engine.limits, self.settings)
        run.session = self._opener(run)
        return run

    def retire(self, run: Run, cut: int, now: float) -> None:
        """Ends the session that is open: it is read on until it has said its last words.

        Args:
            run: The session.
            cut: One past the last sample that it is to say something about.
            now: The time.
        """
        assert run.session is not None  # noqa: S101 (it is open)
        run.ending, run.cut, run.heard_at = True, cut, now
        run.deadline = now + self.settings.finish_seconds
        self.old, self.current = run, None
        self.timers["drain"] = now + self.patience
        run.session.finish()

    def drop(self, run: Run) -> None:
        """Drops a session; nothing that it says is heard any more."""
        if run.session is not None:
            run.session.abort()
            run.session = None
        if not run.open:
            run.engine.gate.cancelled()

    def drop_ahead(self) -> None:
        """Drops the session that was to take over."""
        if self.ahead is not None:
            self.drop(self.ahead)
            self.ahead = None

    def drop_all(self) -> None:
        """Drops all sessions, and stops all timers."""
        for run in (self.current, self.old, self.ahead):
            if run is not None:
                self.drop(run)
        self.current = self.old = self.ahead = None
        self.timers.clear()

    @abstractmethod
    def open(self, now: float) -> None:
        """Opens a session as soon as that may be, unless there is one."""

    @abstractmethod
    def take_over(self, run: Run, origin: int, now: float) -> None:
        """Makes a session that is open the one that gets the audio.

        Args:
            run: The session.
            origin: The first sample that it will get.
            now: The time.
        """

    @abstractmethod
    def deliver(self, run: Run, result: Result) -> None:
        """Tells a result of a session to the observer."""

    @abstractmethod
    def done(self, failure: Failure | None) -> None:
        """Ends recognition, and gives the account of it."""
