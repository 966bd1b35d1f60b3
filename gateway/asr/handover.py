"""From one session of a leg to the next: opened ahead, cut in a pause or with an overlap, and joined without doubling.

Pure. The session that ends is read on until it has said its last words; what the next one says until then is held, and
told without the words that were said before.
"""

from __future__ import annotations

from gateway.asr.joining import LONGEST
from gateway.asr.outage import Outage
from gateway.asr.replay import Piece
from gateway.asr.rollover import Due
from gateway.asr.run import Joint, Run
from gateway.asr.sessions import Sessions, State
from gateway.media.chunks import SAMPLE_RATE

# Where words were taken for final too early, so much audio from before is heard again: a word may be cut (seconds).
LEAD = 1.0


class Handover:
    """Moves a leg to its next session, and knows what that one is to hear and not to say again.

    Args:
        sessions: The leg's.
        outage: Told that there is a session.

    Attributes:
        begin: The next session hears nothing before this sample.
        overlaps: Whether that lies before the end of what the session before heard.
        heard: One past the last sample of which a session has certainly said all.
    """

    def __init__(self, sessions: Sessions, outage: Outage) -> None:
        self._sessions = sessions
        self._outage = outage
        self.begin = 0
        self.overlaps = False
        self.heard = 0
        self._orderly = False  # the session that spoke last was read to its end
        self._wish = 0  # words before this sample are final, says the leg
        self._final: list[str] = []  # the last of them
        self._joint: Joint | None = None  # for sessions that hear audio before the next sample again
        self._joint_until = 0

    def settle(self, sample: int, text: str) -> None:
        """Says that all words before a sample are final, the last of them these; see ``Machine.settle``."""
        self._wish = max(self._wish, sample)
        self._final = (self._final + text.split())[-LONGEST:]
        # an overlap ends in the middle of speech
        firm = self.heard >= sample and sample > self._joint_until
        self._sessions.buffer.settle(sample if firm else min(sample, self.heard) - int(LEAD * SAMPLE_RATE))

    def announce(self, run: Run, origin: int) -> None:
        """Lets a session speak from now on.

        Args:
            run: The session.
            origin: The first sample that it hears.
        """
        sessions = self._sessions
        run.base = sessions.finals
        self.heard = new = origin  # before ``new``, all words were said by sessions before
        if origin < self._joint_until and (self._orderly or self._wish <= self._joint_until):
            run.joint, new = self._joint, self._joint_until
        elif origin < self._wish:
            run.joint = Joint(self._final, None)
        name = run.engine.name
        sessions.observer.asr_started(name, new if self._orderly else origin, continues=self._orderly)
        self.heard = max(origin, run.heard)
        self._orderly = False
        self._outage.end(name)
        held, run.held = run.held, []
        for result in held:
            sessions.deliver(run, result)

    # towards the engine's limit

    def approach(self, run: Run, at: Due, piece: Piece, now: float) -> None:
        """A session has got so much that the next one must be opened, or take over.

        Args:
            run: The session that gets the audio.
            at: When something is due.
            piece: What it got last.
            now: The time.
        """
        sessions = self._sessions
        if sessions.hung_up and not sessions.buffer.backlog:
            return
        if sessions.ahead is None and "ahead" not in sessions.timers:
            self.open_ahead(now)
        ready = sessions.ahead is not None and sessions.ahead.open
        forced = run.positions.length >= at.cut
        if (ready and not piece.speech) or forced:
            self._cut(run, piece.end, now, overlap=forced and piece.speech)

    def open_ahead(self, now: float) -> None:
        """Opens the session that takes over at the next pause."""
        sessions = self._sessions
        if sessions.ahead is not None or sessions.state is not State.OPEN:
            return
        wait = sessions.preference.engine.gate.ask(now)
        if wait > 0:
            sessions.timers["ahead"] = now + wait
            return
        sessions.ahead = sessions.start(now)

    def _cut(self, run: Run, cut: int, now: float, *, overlap: bool) -> None:
        """Ends a session, and lets the next one hear what comes after; with overlap a little more."""
        sessions = self._sessions
        if sessions.old is not None:
            return  # the one before is not read to its end yet; that is bounded, and shorter than the margin
        sessions.retire(run, cut, now)
        self.begin = cut - int(sessions.settings.rollover_overlap_seconds * SAMPLE_RATE) if overlap else cut
        self.overlaps = overlap
        sessions.current, sessions.ahead = sessions.ahead, None
        if sessions.current is None:
            sessions.state = State.WAITING
            sessions.timers.pop("ahead", None)
        elif sessions.current.open:
            sessions.take_over(sessions.current, sessions.buffer.rewind(self.begin), now)
            if sessions.buffer.backlog:
                sessions.timers["pump"] = now
        else:
            sessions.state = State.CONNECTING

    # the end of the session before

    def drained(self, old: Run, now: float) -> None:
        """The session that was retired has said all: the next one may speak."""
        sessions = self._sessions
        sessions.old = None
        sessions.timers.pop("drain", None)
        sessions.finals += old.finals
        self._orderly = True
        sessions.buffer.settle(min(old.cut, self.begin) if self.overlaps else old.cut)
        if self.overlaps:
            self._joint, self._joint_until = old.joint_for_next(), old.cut
        run = sessions.current
        if run is not None and run.open:
            self.announce(run, self.begin if self.overlaps else old.cut)
        elif run is None and sessions.state is State.IDLE:
            if sessions.hung_up:
                sessions.done(None)
        elif run is None:
            sessions.open(now)

    def forget(self) -> None:
        """No session waits for the last words of another: the next one hears all that is not settled."""
        self.begin = 0
        self.overlaps = False
