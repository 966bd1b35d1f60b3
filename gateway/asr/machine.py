"""One leg's recognition over as many engine sessions as it takes; the same for every engine. Pure.

Time comes in as an argument (seconds on any steady clock); sessions are opened through a port, and timers are one
number, ``wake_at``. At most three sessions are alive at once: the ``current`` one gets the audio; ``old`` got all of
its audio and is read to its end; ``ahead`` is open, and takes over before the current one reaches its engine's limit
(``handover.py``).

What is not settled is kept. When the current session is lost, another is opened after a back-off with full jitter, as
far as the endpoint's ``Gate`` lets it, and gets all of that again at a bounded multiple of real time. When one engine
does not come back in time, or refuses for good, the next in the list takes its place (``losing.py``).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

from gateway.asr.account import Account
from gateway.asr.engine import (
    End,
    Engine,
    EngineEvent,
    EngineSession,
    Failure,
    Final,
    Idle,
    Partial,
    Ready,
    Refinement,
)
from gateway.asr.gate import Breaker
from gateway.asr.handover import Handover
from gateway.asr.idling import Idling
from gateway.asr.losing import Losing
from gateway.asr.observer import Observer, Summary
from gateway.asr.outage import Outage
from gateway.asr.preference import Preference
from gateway.asr.replay import Piece
from gateway.asr.run import Result, Run
from gateway.asr.sessions import Sessions, State
from gateway.asr.settings import Asr
from gateway.media.chunks import SAMPLE_RATE

__all__ = ["Machine", "State"]

CONGESTION_POLL = 0.05  # seconds
CATCH_UP = 0.1  # how late a message of a backlog may be without being sent more slowly for ever (seconds)
# After a backlog was given up for lasting too long, so much of it is kept (seconds).
KEPT_OF_BACKLOG = 2.0


class Machine(Sessions):
    """Drives the engine sessions of one leg.

    Args:
        engines: Where sessions are opened, in order of preference.
        settings: Time limits.
        observer: Told what happens.
        opener: Opens a session of a run; its events come back through ``event``.
        now: The time.
        uniform: Random numbers, as ``random.uniform``.

    Attributes:
        wake_at: When ``wake`` must be called; None for not at all.
        written: Bytes of audio that sessions got, replays included, by engine.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        settings: Asr,
        observer: Observer,
        opener: Callable[[Run], EngineSession],
        now: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        super().__init__(Preference(engines, settings, now, uniform), settings, observer, opener)
        self._account = Account()
        self._outage = Outage(observer, self.buffer, self._account)
        self._handover = Handover(self, self._outage)
        self._idling = Idling(self, self._handover)
        self._losing = Losing(self, self._handover, self._outage)
        self.wake_at: float | None = None
        self.written: Counter[str] = Counter()
        self._most_quiet = settings.stall_seconds * SAMPLE_RATE
        self._behind_since = now
        self._paced = now  # when the next message of a backlog is due
        self._unheard = 0
        self._written = 0  # samples that were written to a session at least once
        self._written_to = 0
        self.open(now)
        self._rearm()

    # what the leg says

    def feed(self, piece: Piece, now: float) -> None:
        """Takes the next audio of the leg; sent at once when the engine is up to date."""
        if self.state in (State.GIVEN_UP, State.DONE):
            self._unheard += len(piece.payload)
            self.observer.asr_unrecognised(piece.first, piece.end)
            return
        self.buffer.append(piece)
        if self.state is State.OPEN:
            if "pump" not in self.timers:
                self._pump(now)
        elif self.state is State.IDLE:
            self._idling.feed(piece, now)
        if self.buffer.given_up != self._outage.told:
            self._outage.tell()
        self._rearm()

    def settle(self, sample: int, text: str = "") -> None:
        """Says that all words before a sample of the leg's clock are final: they are never told again.

        Their audio is forgotten where the session has certainly heard all of it. What was taken for final because an
        engine fell silent is replayed should it have died, and only words that are not among the final ones count.

        Args:
            sample: One past the last sample of what is final.
            text: The words that have become final.
        """
        self._handover.settle(sample, text)

    def finish(self, now: float) -> None:
        """Says that no more audio comes; ``asr_done`` follows within ``finish_seconds``."""
        if self.hung_up or self.state is State.DONE:
            return
        self.hung_up = True
        if self.state is State.GIVEN_UP:
            self.done(self._losing.verdict)
            return
        self.timers["finish"] = now + self.settings.finish_seconds
        self.drop_ahead()
        if self.state is State.IDLE:
            self.buffer.skim(0)
            if self.old is None:
                self.done(None)
        elif self.state is State.OPEN and "pump" not in self.timers:
            self._pump(now)
        self._rearm()

    def abort(self) -> None:
        """Gives up at once; nothing more is told."""
        self.drop_all()
        self.wake_at = None
        self.state = State.DONE

    def wake(self, now: float) -> None:
        """Lets time pass."""
        acts: dict[str, Callable[[float], None]] = {
            "retry": self.open,
            "pump": self._pump,
            "flush": self._flush,
            "idle": self._idling.watch,
            "drain": self._losing.drain_overdue,
            "ahead": self._handover.open_ahead,
            "finish": self._losing.finish_overdue,
            "answer": self._losing.answer_overdue,
        }
        for name in [name for name, at in self.timers.items() if at <= now]:
            if self.timers.pop(name, None) is not None:
                acts[name](now)
        self._outage.tell()
        self._rearm()

    # what a session says

    def event(self, run: Run, event: EngineEvent, now: float) -> None:
        """Takes an event of a session; one of a session that was dropped is ignored."""
        if run is self.current and self.old is None and type(event) is Partial:
            # nearly all events; what follows is the same at greater length
            run.heard_at, run.quiet = now, 0
            run.listen(event, now)
            handover = self._handover
            if run.heard > handover.heard:
                handover.heard = run.heard
            self.preference.answered()
            self.observer.asr_text(run.partial(event))
            return
        if run not in (self.current, self.old, self.ahead):
            return
        run.heard_at, run.quiet = now, 0
        match event:
            case Ready():
                self._ready(run, now)
            case End(seconds):
                self._ended(run, seconds, now)
            case Failure():
                self._losing.lose(run, event, now)
            case _:
                run.listen(event, now)
                if run is self.current and self.old is None:
                    self._handover.heard = max(self._handover.heard, run.heard)
                self.preference.answered()
                if self.old is not None and run is not self.old:
                    run.hold(event)
                else:
                    self.deliver(run, event)
        if self.buffer.given_up != self._outage.told:
            self._outage.tell()
        self._rearm()

    def deliver(self, run: Run, result: Result) -> None:
        """Tells a result of a session to the observer."""
        told = run.on_leg(result)
        match told:
            case Partial():
                self.observer.asr_text(told)
            case Final():
                self.buffer.settle(told.end)
                self.observer.asr_final(told)
            case Refinement():
                self.observer.asr_refined(told)

    def _ready(self, run: Run, now: float) -> None:
        run.open = True
        run.engine.gate.succeeded()
        if run is self.current:
            self.take_over(run, self.buffer.rewind(self._handover.begin), now)
            self._pump(now)

    def _ended(self, run: Run, seconds: float | None, now: float) -> None:
        got = run.positions.length
        if run.ending and self._account.short(seconds, got, run.engine.gate):
            text = f"the engine ended the session after {seconds} of {got / SAMPLE_RATE} s"
            self._losing.lose(run, Failure("ENDED_EARLY", text, retryable=True), now)
            return
        self._account.ended(seconds, got)
        run.session = None
        if run is self.old:
            self._handover.drained(run, now)
        elif run is self.current and run.ending and self.old is None:
            self.current = None
            self.done(None)
        elif run.ending:
            run.over = True  # the old one is read first
        else:
            early = Failure("ENDED_EARLY", "the engine ended the session by itself", retryable=True)
            self._losing.lose(run, early, now)
        if self.current is not None and self.current.over and self.old is None and self.state is not State.DONE:
            self.current = None
            self.done(None)

    # opening

    def open(self, now: float) -> None:
        """Opens a session as soon as the engine's gate lets it, unless there is one."""
        if self.old is not None or self.current is not None:
            return  # the last words of the old session settle what the next one must hear; ``drained`` goes on
        engine = self.preference.engine
        gate = engine.gate
        if gate.verdict is not None and gate.wait(now) > 0:
            code, text = gate.verdict
            self._losing.refused(Failure(code, text, retryable=False), now)
            return
        wait = gate.ask(now)
        if wait == 0.0:
            self.state = State.CONNECTING
            self.current = self.start(now)
            return
        if gate.state is not Breaker.CLOSED:
            text = f"{engine.name} failed too often; one leg at a time tries it now and then"
            self._losing.degrade(Failure("CIRCUIT_OPEN", text, retryable=True), now)
            if self._losing.fail_over(now):
                self.open(now)
                return
        self.timers["retry"] = now + wait

    def take_over(self, run: Run, origin: int, now: float) -> None:
        """Makes a session that is open the one that gets the audio."""
        self.state = State.OPEN
        self.preference.opened()
        self._behind_since = now
        run.last_sent = run.heard_at = now
        self._idling.watch(now)
        if self.old is None:
            self._handover.announce(run, origin)

    # sending

    def _flush(self, now: float) -> None:
        self._pump(now, flush=True)

    def _pump(self, now: float, *, flush: bool = False) -> None:
        """Sends what is unsent: live audio at once, a backlog message by message."""
        run = self.current
        if run is None or run.session is None or self.state is not State.OPEN:
            return
        self.timers.pop("pump", None)
        congested = run.session.congested
        suspect = congested or run.congested is not None or run.quiet > self._most_quiet
        if suspect and self._losing.stalled(run, now, congested=congested):
            return
        full = run.due is not None and run.positions.length >= run.due.cut
        # when full it must not get more, and the next one waits for the old one's last words
        if congested or (full and self.old is not None):
            self.timers["pump"] = now + CONGESTION_POLL
            return
        buffer, message = self.buffer, run.engine.limits.message_ms * SAMPLE_RATE // 1000
        if not (flush or self.hung_up or buffer.backlog >= message or buffer.end % message == 0):
            self.timers.setdefault("flush", now + message / SAMPLE_RATE)
            return
        self.timers.pop("flush", None)
        if buffer.backlog > message and now - self._behind_since > self.settings.catch_up_seconds:
            buffer.give_up(int(KEPT_OF_BACKLOG * SAMPLE_RATE))
            self._behind_since = now
        piece = buffer.take(message)
        if piece is not None:
            self._send(run, piece, now)
            if self.current is not run:
                return  # it was its last
            if buffer.backlog:
                # from when this message was due, so that late timers do not slow it down
                wait = len(piece.payload) / SAMPLE_RATE / run.engine.limits.replay_speed
                self._paced = max(self._paced, now - CATCH_UP) + wait
                self.timers["pump"] = max(now, self._paced)
                return
        self._behind_since = now
        if self.hung_up:
            self.state = State.FINISHING
            run.ending = True
            self.timers.pop("idle", None)
            run.heard_at = now
            self.timers["answer"] = now + self.patience
            run.session.finish()

    def _send(self, run: Run, piece: Piece, now: float) -> None:
        assert run.session is not None  # noqa: S101 (asked by the caller)
        run.session.send(piece.payload)
        self.written[run.engine.name] += len(piece.payload)
        if piece.end > self._written_to:
            self._written += min(len(piece.payload), piece.end - self._written_to)
            self._written_to = piece.end
        run.positions.add(piece.first, len(piece.payload))
        run.sent += len(piece.payload)
        run.got = piece.end
        run.last_sent = now
        if piece.speech:
            run.quiet += len(piece.payload)
            run.mute = 0
        else:
            run.mute += len(piece.payload)
        if piece.arrived and not self.buffer.backlog:
            self.observer.asr_written(piece.arrived)
        limits = run.engine.limits
        if run.due is not None and run.positions.length >= run.due.ahead:
            self._handover.approach(run, run.due, piece, now)
        elif limits.idle is Idle.CLOSE and run.mute >= self.settings.idle_close_seconds * SAMPLE_RATE:
            self._idling.sleep(run, now)

    # the end

    def done(self, failure: Failure | None) -> None:
        """Ends recognition, and gives the account of it."""
        self.drop_all()
        self.wake_at = None
        self.state = State.DONE
        self._outage.tell()
        seconds = self._account.recognised(self.buffer.sent) if failure is None else None
        missed = self.buffer.missed + self._unheard
        unrecognised = self.buffer.given_up + self._unheard
        self.observer.asr_done(Summary(self._written, self.buffer.skipped, missed, unrecognised, seconds, failure))

    def _rearm(self) -> None:
        self.wake_at = min(self.timers.values(), default=None)
