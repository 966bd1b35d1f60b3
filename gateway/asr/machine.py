"""One leg's recognition over as many engine sessions as it takes; the same for every engine. Pure.

Time comes in as an argument (seconds on any steady clock); sessions are opened through a port, and timers are one
number, ``wake_at``. At most three sessions are alive at once: the ``current`` one gets the audio; ``old`` got all of
its audio and is read to its end; ``ahead`` is open, and takes over before the current one reaches its engine's limit.

What is not settled is kept. When the current session is lost, another is opened after a back-off with full jitter, as
far as the endpoint's ``Gate`` lets it, and gets all of that again at a bounded multiple of real time. When one engine
does not come back in time, or refuses for good, the next in the list takes its place.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum

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
from gateway.asr.joining import LONGEST
from gateway.asr.observer import Observer, Summary
from gateway.asr.preference import Preference
from gateway.asr.replay import Piece, ReplayBuffer
from gateway.asr.rollover import Due, due
from gateway.asr.run import Joint, Result, Run
from gateway.asr.settings import Asr
from gateway.media.chunks import SAMPLE_RATE

CONGESTION_POLL = 0.05  # seconds
CATCH_UP = 0.1  # how late a message of a backlog may be without being sent more slowly for ever (seconds)
# Where words were taken for final too early, so much audio from before is heard again: a word may be cut (seconds).
LEAD = 1.0
# After a backlog was given up for lasting too long, so much of it is kept (seconds).
KEPT_OF_BACKLOG = 2.0


class State(Enum):
    """Where the leg's recognition stands."""

    CONNECTING = "connecting"
    OPEN = "open"
    WAITING = "waiting"  # for the next attempt
    IDLE = "idle"  # nobody speaks, and the engine's rule is to close
    FINISHING = "finishing"  # all audio sent, the last words are awaited
    GIVEN_UP = "given up"  # for good; audio that still comes is counted
    DONE = "done"


class Machine:
    """Drives the engine sessions of one leg.

    Args:
        engines: Where sessions are opened, in order of preference.
        settings: Time limits.
        observer: Told what happens.
        opener: Opens a session of a run; its events come back through ``event``.
        now: The time.
        uniform: Random numbers, as ``random.uniform``.

    Attributes:
        state: Where it stands.
        wake_at: When ``wake`` must be called; None for not at all.
        buffer: The audio that may still be needed.
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
        self._preference = Preference(engines, settings, now, uniform)
        self._account = Account()
        self._settings = settings
        self._observer = observer
        self._opener = opener
        self.buffer = ReplayBuffer(int(settings.replay_seconds * SAMPLE_RATE))
        self.written: Counter[str] = Counter()
        self.state = State.CONNECTING
        self._current: Run | None = None
        self._old: Run | None = None
        self._ahead: Run | None = None
        self._timers: dict[str, float] = {}
        self.wake_at: float | None = None
        self._told = False  # that there is none
        self._given_up_before = 0
        self._orderly = False  # the session that spoke last was read to its end
        self._from = 0  # the next session hears nothing before this sample
        self._finals = 0
        self._lost_told = 0
        self._overlaps = False
        self._wish = 0  # words before this sample are final, says the leg
        self._final: list[str] = []  # the last of them
        self._heard = 0  # one past the last sample of which a session has certainly said all
        self._joint: Joint | None = None  # for sessions that hear audio before the next sample again
        self._joint_until = 0
        self._behind_since = now
        self._paced = now  # when the next message of a backlog is due
        self._unheard = 0
        self._written = 0  # samples that were written to a session at least once
        self._written_to = 0
        self._finish = False
        self._failure: Failure | None = None
        self._open(now)
        self._rearm()

    # what the leg says

    def feed(self, piece: Piece, now: float) -> None:
        """Takes the next audio of the leg; sent at once when the engine is up to date."""
        if self.state in (State.GIVEN_UP, State.DONE):
            self._unheard += len(piece.payload)
            self._observer.asr_unrecognised(piece.first, piece.end)
            return
        self.buffer.append(piece)
        if self.state is State.OPEN:
            if "pump" not in self._timers:
                self._pump(now)
        elif self.state is State.IDLE:
            self._feed_idle(piece, now)
        self._tell_lost()
        self._rearm()

    def settle(self, sample: int, text: str = "") -> None:
        """Says that all words before a sample of the leg's clock are final: they are never told again.

        Their audio is forgotten where the session has certainly heard all of it. What was taken for final because an
        engine fell silent is replayed should it have died, and only words that are not among the final ones count.

        Args:
            sample: One past the last sample of what is final.
            text: The words that have become final.
        """
        self._wish = max(self._wish, sample)
        self._final = (self._final + text.split())[-LONGEST:]
        # an overlap ends in the middle of speech
        firm = self._heard >= sample and sample > self._joint_until
        self.buffer.settle(sample if firm else min(sample, self._heard) - int(LEAD * SAMPLE_RATE))

    def finish(self, now: float) -> None:
        """Says that no more audio comes; ``asr_done`` follows within ``finish_seconds``."""
        if self._finish or self.state is State.DONE:
            return
        self._finish = True
        if self.state is State.GIVEN_UP:
            self._done(self._failure)
            return
        self._timers["finish"] = now + self._settings.finish_seconds
        self._drop_ahead()
        if self.state is State.IDLE:
            self.buffer.skim(0)
            if self._old is None:
                self._done(None)
        elif self.state is State.OPEN and "pump" not in self._timers:
            self._pump(now)
        self._rearm()

    def abort(self) -> None:
        """Gives up at once; nothing more is told."""
        self._drop_all()
        self._timers.clear()
        self.wake_at = None
        self.state = State.DONE

    def wake(self, now: float) -> None:
        """Lets time pass."""
        acts: dict[str, Callable[[float], None]] = {
            "retry": self._open,
            "pump": self._pump,
            "flush": self._flush,
            "idle": self._watch_idle,
            "drain": self._drain_overdue,
            "ahead": self._open_ahead,
            "finish": self._overdue,
            "answer": self._answer_overdue,
        }
        for name in [name for name, at in self._timers.items() if at <= now]:
            if self._timers.pop(name, None) is not None:
                acts[name](now)
        self._tell_lost()
        self._rearm()

    # what a session says

    def event(self, run: Run, event: EngineEvent, now: float) -> None:
        """Takes an event of a session; one of a session that was dropped is ignored."""
        if run not in (self._current, self._old, self._ahead):
            return
        run.heard_at, run.quiet = now, 0
        match event:
            case Ready():
                self._ready(run, now)
            case End(seconds):
                self._ended(run, seconds, now)
            case Failure():
                self._lose(run, event, now)
            case _:
                run.listen(event, now)
                if run is self._current and self._old is None:
                    self._heard = max(self._heard, run.heard)
                self._preference.answered()
                if self._old is not None and run is not self._old:
                    run.hold(event)
                else:
                    self._deliver(run, event)
        self._tell_lost()
        self._rearm()

    # opening

    @property
    def _engine(self) -> Engine:
        return self._preference.engine

    def _open(self, now: float) -> None:
        if self._old is not None or self._current is not None:
            return  # the last words of the old session settle what the next one must hear; ``_drained`` goes on
        gate = self._engine.gate
        if gate.verdict is not None and gate.wait(now) > 0:
            code, text = gate.verdict
            self._refused(Failure(code, text, retryable=False), now)
            return
        wait = gate.ask(now)
        if wait == 0.0:
            self.state = State.CONNECTING
            self._current = self._start(now)
            return
        if gate.state is not Breaker.CLOSED:
            text = f"{self._engine.name} failed too often; one leg at a time tries it now and then"
            self._degrade(Failure("CIRCUIT_OPEN", text, retryable=True), now)
            if self._fail_over(now):
                self._open(now)
                return
        self._timers["retry"] = now + wait

    def _start(self, now: float) -> Run:
        run = Run(self._engine, self._finals, heard_at=now, last_sent=now)
        run.due = due(self._engine.limits, self._settings)
        run.session = self._opener(run)
        return run

    def _ready(self, run: Run, now: float) -> None:
        run.open = True
        run.engine.gate.succeeded()
        if run is self._current:
            origin = self.buffer.rewind(self._from)
            self._take_over(run, origin, now)
            self._pump(now)

    def _take_over(self, run: Run, origin: int, now: float) -> None:
        """Makes a session that is open the one that gets the audio."""
        self.state = State.OPEN
        self._preference.opened()
        self._behind_since = now
        run.last_sent = run.heard_at = now
        self._watch_idle(now)
        if self._old is None:
            self._announce(run, origin)

    def _announce(self, run: Run, origin: int) -> None:
        """Lets a session speak from now on."""
        run.base = self._finals
        self._heard = new = origin  # before ``new``, all words were said by sessions before
        if origin < self._joint_until and (self._orderly or self._wish <= self._joint_until):
            run.joint, new = self._joint, self._joint_until
        elif origin < self._wish:
            run.joint = Joint(self._final, None)
        self._observer.asr_started(run.engine.name, new if self._orderly else origin, continues=self._orderly)
        self._heard = max(origin, run.heard)
        self._orderly = False
        if self._told:
            self._told = False
            self._tell_lost()
            self._observer.asr_recovered(run.engine.name, self.buffer.given_up - self._given_up_before)
        held, run.held = run.held, []
        for result in held:
            self._deliver(run, result)

    # sending

    def _flush(self, now: float) -> None:
        self._pump(now, flush=True)

    def _pump(self, now: float, *, flush: bool = False) -> None:
        """Sends what is unsent: live audio at once, a backlog message by message."""
        run = self._current
        if run is None or run.session is None or self.state is not State.OPEN:
            return
        self._timers.pop("pump", None)
        if self._stalled(run, now):
            return
        full = run.due is not None and run.positions.length >= run.due.cut
        if full and self._old is not None:  # it must not get more, and the next one waits for the old one's last words
            self._timers["pump"] = now + CONGESTION_POLL
            return
        buffer, message = self.buffer, run.engine.limits.message_ms * SAMPLE_RATE // 1000
        if run.session.congested:
            self._timers["pump"] = now + CONGESTION_POLL
            return
        if not (flush or self._finish or buffer.backlog >= message or buffer.end % message == 0):
            self._timers.setdefault("flush", now + message / SAMPLE_RATE)
            return
        self._timers.pop("flush", None)
        if buffer.backlog > message and now - self._behind_since > self._settings.catch_up_seconds:
            buffer.give_up(int(KEPT_OF_BACKLOG * SAMPLE_RATE))
            self._behind_since = now
        piece = buffer.take(message)
        if piece is not None:
            self._send(run, piece, now)
            if self._current is not run:
                return  # it was its last
            if buffer.backlog:
                # from when this message was due, so that late timers do not slow it down
                wait = len(piece.payload) / SAMPLE_RATE / run.engine.limits.replay_speed
                self._paced = max(self._paced, now - CATCH_UP) + wait
                self._timers["pump"] = max(now, self._paced)
                return
        self._behind_since = now
        if self._finish:
            self.state = State.FINISHING
            run.ending = True
            self._timers.pop("idle", None)
            run.heard_at = now
            self._timers["answer"] = now + self._patience
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
            self._observer.asr_written(piece.arrived)
        limits = run.engine.limits
        if run.due is not None and run.positions.length >= run.due.ahead:
            self._roll_over(run, run.due, piece, now)
        elif limits.idle is Idle.CLOSE and run.mute >= self._settings.idle_close_seconds * SAMPLE_RATE:
            self._sleep(run, now)

    def _stalled(self, run: Run, now: float) -> bool:
        """Whether the session is given up because it takes no audio, or says nothing of speech."""
        longest = self._settings.stall_seconds
        congested = run.session is not None and run.session.congested
        run.congested = (run.congested if run.congested is not None else now) if congested else None
        silent = run.quiet > longest * SAMPLE_RATE and now - run.heard_at > longest
        if not silent and (run.congested is None or now - run.congested <= longest):
            return False
        what = "said nothing of speech" if silent else "took no audio"
        self._lose(run, Failure("STALLED", f"the engine {what} for {longest:g} s", retryable=True), now)
        return True

    # roll-over

    def _roll_over(self, run: Run, at: Due, piece: Piece, now: float) -> None:
        if self._finish and not self.buffer.backlog:
            return
        if self._ahead is None and "ahead" not in self._timers:
            self._open_ahead(now)
        ready = self._ahead is not None and self._ahead.open
        forced = run.positions.length >= at.cut
        if (ready and not piece.speech) or forced:
            self._cut(run, piece.end, now, overlap=forced and piece.speech)

    def _open_ahead(self, now: float) -> None:
        """Opens the session that takes over at the next pause."""
        if self._ahead is not None or self.state is not State.OPEN:
            return
        wait = self._engine.gate.ask(now)
        if wait > 0:
            self._timers["ahead"] = now + wait
            return
        self._ahead = self._start(now)

    def _cut(self, run: Run, cut: int, now: float, *, overlap: bool) -> None:
        """Ends a session, which is read on, and lets the next one hear what comes after; with overlap a little more."""
        if self._old is not None:
            return  # the one before is not read to its end yet; that is bounded, and shorter than the margin
        self._retire(run, cut, now)
        self._from = cut - int(self._settings.rollover_overlap_seconds * SAMPLE_RATE) if overlap else cut
        self._overlaps = overlap
        self._current, self._ahead = self._ahead, None
        if self._current is None:
            self.state = State.WAITING
            self._timers.pop("ahead", None)
        elif self._current.open:
            self._take_over(self._current, self.buffer.rewind(self._from), now)
            if self.buffer.backlog:
                self._timers["pump"] = now
        else:
            self.state = State.CONNECTING

    def _retire(self, run: Run, cut: int, now: float) -> None:
        assert run.session is not None  # noqa: S101 (it is open)
        run.ending, run.cut, run.heard_at = True, cut, now
        run.deadline = now + self._settings.finish_seconds
        self._old, self._current = run, None
        self._timers["drain"] = now + self._patience
        run.session.finish()

    def _drained(self, now: float) -> None:
        """The old session has said all."""
        old, self._old = self._old, None
        assert old is not None  # noqa: S101 (asked by the caller)
        self._timers.pop("drain", None)
        self._finals += old.finals
        self._orderly = True
        self.buffer.settle(min(old.cut, self._from) if self._overlaps else old.cut)
        run = self._current
        if self._overlaps:
            self._joint, self._joint_until = old.joint_for_next(), old.cut
        if run is not None and run.open:
            self._announce(run, self._from if self._overlaps else old.cut)
        elif run is None and self.state is State.IDLE:
            if self._finish:
                self._done(None)
        elif run is None:
            self._open(now)

    def _drain_overdue(self, now: float) -> None:
        old = self._old
        if old is None:
            return
        due = min(old.heard_at + self._patience, old.deadline)
        if now < due:
            self._timers["drain"] = due
            return
        text = "the engine did not say its last words in time"
        self._lose(old, Failure("FINISH_TIMEOUT", text, retryable=True), now)

    # idling

    def _watch_idle(self, now: float) -> None:
        """Keeps a session that gets nothing from being ended by its engine, or ends it in good order."""
        run = self._current
        if run is None or run.session is None or not run.open or run.ending:
            return
        limits = run.engine.limits
        if limits.idle_seconds is None:
            return
        period = limits.idle_seconds * 0.5
        due = run.last_sent + period
        if now < due:
            self._timers["idle"] = due
        elif limits.idle is Idle.SILENCE:
            samples = int((now - run.last_sent) * SAMPLE_RATE)
            run.session.silence(samples)
            run.positions.silence(samples)
            run.last_sent = now
            self._timers["idle"] = now + period
            if run.due is not None and run.positions.length >= run.due.ahead:
                self._roll_over(run, run.due, Piece(self.buffer.end, b"", 0, speech=False), now)
        elif limits.idle is Idle.CLOSE and not self.buffer.backlog:
            self._sleep(run, now)

    def _sleep(self, run: Run, now: float) -> None:
        if self._old is not None or self._finish:
            return
        self._drop_ahead()
        self._retire(run, self.buffer.high, now)
        self._overlaps, self._from = False, 0
        self.state = State.IDLE

    def _feed_idle(self, piece: Piece, now: float) -> None:
        if piece.speech:
            self.state = State.CONNECTING
            self._open(now)
        else:
            self.buffer.skim(self._settings.preroll_ms * SAMPLE_RATE // 1000)

    # what a session says

    def _deliver(self, run: Run, result: Result) -> None:
        told = run.on_leg(result)
        match told:
            case Partial():
                self._observer.asr_text(told)
            case Final():
                self.buffer.settle(told.end)
                self._observer.asr_final(told)
            case Refinement():
                self._observer.asr_refined(told)

    def _ended(self, run: Run, seconds: float | None, now: float) -> None:
        self._account.ended(seconds, run.positions.length)
        run.session = None
        if run is self._old:
            self._drained(now)
        elif run is self._current and run.ending and self._old is None:
            self._current = None
            self._done(None)
        elif run.ending:
            run.over = True  # the old one is read first
        else:
            self._lose(run, Failure("ENDED_EARLY", "the engine ended the session by itself", retryable=True), now)
        if self._current is not None and self._current.over and self._old is None and self.state is not State.DONE:
            self._current = None
            self._done(None)

    # losing

    def _lose(self, run: Run, failure: Failure, now: float) -> None:
        """A session is lost."""
        if run.session is not None:
            run.session.abort()
            run.session = None
        gate = run.engine.gate
        if not failure.retryable:
            gate.condemn(now, failure.code, failure.text)
        elif failure.quota:
            gate.throttled(now, failure.retry_after)
        else:
            gate.failed(now)
            gate.hold(now, failure.retry_after)
        if run is self._ahead:
            self._ahead = None
            self._timers["ahead"] = now + self._preference.back_off()
            return
        for timer in ("pump", "flush", "idle", "ahead", "drain", "answer"):
            self._timers.pop(timer, None)
        self._drop_ahead()
        if run is self._old:  # what it did not say must be heard again, and all after it
            self._old = None
            self._finals += run.finals
            if self._current is not None:
                self._drop(self._current)
        elif self._old is None:
            self._finals += run.finals
        self._current = None
        if self._old is None:
            self._from = 0
            self._overlaps = False
        else:
            self._timers["drain"] = now
        self.buffer.rewind(self._from)
        if self.state is State.IDLE and not self.buffer.backlog:
            return
        if failure.quota or not failure.retryable:
            self._refused(failure, now)
            return
        self._degrade(failure, now)
        self.state = State.WAITING
        if self._fail_over(now):
            self._open(now)
        else:
            self._timers["retry"] = now + self._preference.back_off()

    def _refused(self, failure: Failure, now: float) -> None:
        """The engine refuses this leg: the next one at once, where there is one."""
        if not failure.retryable:
            self._preference.refused()
        self._degrade(failure, now)
        self.state = State.WAITING
        if self._fail_over(now, at_once=True):
            self._open(now)
        elif failure.retryable:
            self._timers["retry"] = now + self._preference.back_off()
        else:
            self._give_up(failure)

    def _degrade(self, failure: Failure, now: float) -> None:
        self._preference.lost(now)
        if not self._told and not self._hopeless(failure):
            self._told = True
            self._given_up_before = self.buffer.given_up
            self._observer.asr_degraded(failure, engine=self._engine.name, retrying=True)

    def _hopeless(self, failure: Failure) -> bool:
        return not failure.retryable and self._preference.exhausted

    def _fail_over(self, now: float, *, at_once: bool = False) -> bool:
        return self._preference.turn(now, at_once=at_once, untried=self.buffer.sent == 0)

    @property
    def _patience(self) -> float:
        """How long after the end of the audio an engine may say nothing: time must be left to ask another session."""
        return min(self._settings.stall_seconds, self._settings.finish_seconds / 3)

    def _answer_overdue(self, now: float) -> None:
        run = self._current
        if run is None or not run.ending:
            return
        due = run.heard_at + self._patience
        if now < due:
            self._timers["answer"] = due
            return
        text = f"the engine said nothing for {self._patience:g} s after the end of the audio"
        self._lose(run, Failure("STALLED", text, retryable=True), now)

    def _overdue(self, _now: float) -> None:
        text = f"the engine's last words did not come within {self._settings.finish_seconds:g} s of the hang-up"
        self._give_up(Failure("FINISH_TIMEOUT", text, retryable=False))

    def _give_up(self, failure: Failure) -> None:
        """Ends recognition before the audio ends, or without its last words."""
        self._drop_all()
        self._timers.clear()
        self.state = State.GIVEN_UP
        self._failure = failure
        self.buffer.rewind()
        self.buffer.give_up(0)
        self._tell_lost()
        self._observer.asr_degraded(failure, engine=self._engine.name, retrying=False)
        if self._finish:
            self._done(failure)

    def _done(self, failure: Failure | None) -> None:
        self._drop_all()
        self._timers.clear()
        self.wake_at = None
        self.state = State.DONE
        self._tell_lost()
        seconds = self._account.recognised(self.buffer.sent) if failure is None else None
        missed = self.buffer.missed + self._unheard
        unrecognised = self.buffer.given_up + self._unheard
        self._observer.asr_done(Summary(self._written, self.buffer.skipped, missed, unrecognised, seconds, failure))

    # inside

    def _tell_lost(self) -> None:
        if self.buffer.given_up != self._lost_told:
            self._lost_told = self.buffer.given_up
            for first, end in self.buffer.lost():
                self._account.lost(first, end, self.buffer.high)
                self._observer.asr_unrecognised(first, end)

    def _rearm(self) -> None:
        self.wake_at = min(self._timers.values(), default=None)

    def _drop(self, run: Run) -> None:
        if run.session is not None:
            run.session.abort()
            run.session = None
        if not run.open:
            run.engine.gate.cancelled()

    def _drop_ahead(self) -> None:
        if self._ahead is not None:
            self._drop(self._ahead)
            self._ahead = None

    def _drop_all(self) -> None:
        for run in (self._current, self._old, self._ahead):
            if run is not None:
                self._drop(run)
        self._current = self._old = self._ahead = None
