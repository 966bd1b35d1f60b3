"""A session that is lost, stalls, or is refused: tried again after a wait, at the next engine, or given up. Pure.

What is not settled becomes unsent again, and the next session gets it.
"""

from __future__ import annotations

from gateway.asr.engine import Failure
from gateway.asr.handover import Handover
from gateway.asr.outage import Outage
from gateway.asr.run import Run
from gateway.asr.sessions import Sessions, State
from gateway.media.chunks import SAMPLE_RATE


class Losing:
    """Decides what follows a failure.

    Args:
        sessions: The leg's.
        handover: To the session that comes next.
        outage: Told that there is none.

    Attributes:
        verdict: Why recognition was given up for good; None where it was not.
    """

    def __init__(self, sessions: Sessions, handover: Handover, outage: Outage) -> None:
        self._sessions = sessions
        self._handover = handover
        self._outage = outage
        self.verdict: Failure | None = None

    def lose(self, run: Run, failure: Failure, now: float) -> None:
        """A session is lost."""
        sessions, handover = self._sessions, self._handover
        if run.session is not None:
            run.session.abort()
            run.session = None
        _inform(run, failure, now)
        if run is sessions.ahead:
            sessions.ahead = None
            sessions.timers["ahead"] = now + sessions.preference.back_off()
            return
        for timer in ("pump", "flush", "idle", "ahead", "drain", "answer"):
            sessions.timers.pop(timer, None)
        sessions.drop_ahead()
        if run is sessions.old:  # what it did not say must be heard again, and all after it
            sessions.old = None
            sessions.finals += run.finals
            if sessions.current is not None:
                sessions.drop(sessions.current)
        elif sessions.old is None:
            sessions.finals += run.finals
        sessions.current = None
        if sessions.old is None:
            handover.forget()
        else:
            sessions.timers["drain"] = now
        sessions.buffer.rewind(handover.begin)
        if sessions.state is State.IDLE and not sessions.buffer.backlog:
            return
        if failure.quota or not failure.retryable:
            self.refused(failure, now)
            return
        self.degrade(failure, now)
        sessions.state = State.WAITING
        if self.fail_over(now):
            sessions.open(now)
        else:
            sessions.timers["retry"] = now + sessions.preference.back_off()

    def refused(self, failure: Failure, now: float) -> None:
        """The engine refuses this leg: the next one at once, where there is one."""
        sessions = self._sessions
        if not failure.retryable:
            sessions.preference.refused()
        self.degrade(failure, now)
        sessions.state = State.WAITING
        if self.fail_over(now, at_once=True):
            sessions.open(now)
        elif failure.retryable:
            sessions.timers["retry"] = now + sessions.preference.back_off()
        else:
            self._give_up(failure)

    def degrade(self, failure: Failure, now: float) -> None:
        """There is no session, for this reason."""
        preference = self._sessions.preference
        preference.lost(now)
        if failure.retryable or not preference.exhausted:
            self._outage.begin(failure, preference.engine.name)

    def fail_over(self, now: float, *, at_once: bool = False) -> bool:
        """Turns to the next engine, where there is one and it is time; see ``Preference.turn``."""
        sessions = self._sessions
        return sessions.preference.turn(now, at_once=at_once, untried=sessions.buffer.sent == 0)

    # engines that take too long

    def stalled(self, run: Run, now: float, *, congested: bool) -> bool:
        """Whether the session is given up because it takes no audio, or says nothing of speech."""
        longest = self._sessions.settings.stall_seconds
        run.congested = (run.congested if run.congested is not None else now) if congested else None
        silent = run.quiet > longest * SAMPLE_RATE and now - run.heard_at > longest
        if not silent and (run.congested is None or now - run.congested <= longest):
            return False
        what = "said nothing of speech" if silent else "took no audio"
        self.lose(run, Failure("STALLED", f"the engine {what} for {longest:g} s", retryable=True), now)
        return True

    def drain_overdue(self, now: float) -> None:
        """A session that was retired should have said its last words."""
        sessions = self._sessions
        old = sessions.old
        if old is None:
            return
        due = min(old.heard_at + sessions.patience, old.deadline)
        if now < due:
            sessions.timers["drain"] = due
            return
        text = "the engine did not say its last words in time"
        self.lose(old, Failure("FINISH_TIMEOUT", text, retryable=True), now)

    def answer_overdue(self, now: float) -> None:
        """The last session should have said something since the audio ended."""
        sessions = self._sessions
        run = sessions.current
        if run is None or not run.ending:
            return
        due = run.heard_at + sessions.patience
        if now < due:
            sessions.timers["answer"] = due
            return
        text = f"the engine said nothing for {sessions.patience:g} s after the end of the audio"
        self.lose(run, Failure("STALLED", text, retryable=True), now)

    def finish_overdue(self, _now: float) -> None:
        """Recognition should have ended since the audio did."""
        seconds = self._sessions.settings.finish_seconds
        text = f"the engine's last words did not come within {seconds:g} s of the hang-up"
        self._give_up(Failure("FINISH_TIMEOUT", text, retryable=False))

    def _give_up(self, failure: Failure) -> None:
        """Ends recognition before the audio ends, or without its last words."""
        sessions = self._sessions
        sessions.drop_all()
        sessions.state = State.GIVEN_UP
        self.verdict = failure
        sessions.buffer.rewind()
        sessions.buffer.give_up(0)
        self._outage.tell()
        sessions.observer.asr_degraded(failure, engine=sessions.preference.engine.name, retrying=False)
        if sessions.hung_up:
            sessions.done(failure)


def _inform(run: Run, failure: Failure, now: float) -> None:
    """Tells the endpoint's gate, which is shared by all its legs."""
    gate = run.engine.gate
    if not failure.retryable:
        gate.condemn(now, failure.code, failure.text)
    elif failure.quota:
        gate.throttled(now, failure.retry_after)
    else:
        gate.failed(now)
        gate.hold(now, failure.retry_after)
