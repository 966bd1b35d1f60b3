"""A session that gets nothing, or hears nobody speak: kept alive, or closed until somebody speaks again. Pure."""

from __future__ import annotations

from gateway.asr.engine import Idle
from gateway.asr.handover import Handover
from gateway.asr.replay import Piece
from gateway.asr.run import Run
from gateway.asr.sessions import Sessions, State
from gateway.media.chunks import SAMPLE_RATE


class Idling:
    """Does what the engine's ``Limits.idle`` says.

    Args:
        sessions: The leg's.
        handover: To the session after the one that was closed.
    """

    def __init__(self, sessions: Sessions, handover: Handover) -> None:
        self._sessions = sessions
        self._handover = handover

    def watch(self, now: float) -> None:
        """Keeps a session that gets nothing from being ended by its engine, or ends it in good order."""
        sessions = self._sessions
        run = sessions.current
        if run is None or run.session is None or not run.open or run.ending:
            return
        limits = run.engine.limits
        if limits.idle_seconds is None:
            return
        period = limits.idle_seconds * 0.5
        due = run.last_sent + period
        if now < due:
            sessions.timers["idle"] = due
        elif limits.idle is Idle.SILENCE:
            samples = int((now - run.last_sent) * SAMPLE_RATE)
            run.session.silence(samples)
            run.positions.silence(samples)
            run.last_sent = now
            sessions.timers["idle"] = now + period
            if run.due is not None and run.positions.length >= run.due.ahead:
                self._handover.approach(run, run.due, Piece(sessions.buffer.end, b"", 0, speech=False), now)
        elif limits.idle is Idle.CLOSE and not sessions.buffer.backlog:
            self.sleep(run, now)

    def sleep(self, run: Run, now: float) -> None:
        """Closes the session, unless the one before it still speaks."""
        sessions = self._sessions
        if sessions.old is not None or sessions.hung_up:
            return
        sessions.drop_ahead()
        sessions.retire(run, sessions.buffer.high, now)
        self._handover.forget()
        sessions.state = State.IDLE

    def feed(self, piece: Piece, now: float) -> None:
        """Takes audio while there is no session: the first speech opens one, which gets a little from before."""
        sessions = self._sessions
        if piece.speech:
            sessions.state = State.CONNECTING
            sessions.open(now)
        else:
            sessions.buffer.skim(sessions.settings.preroll_ms * SAMPLE_RATE // 1000)
