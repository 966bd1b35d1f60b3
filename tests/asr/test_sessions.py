"""Roll-over, failover and idling over real sockets: word for word, and each sample where it belongs.

Nothing waits for a clock: the next audio comes when the last is written and no session is about to be ready or to end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from gateway.asr.engine import End, Engine, EngineEvent, EngineSession, Listener, Ready
from gateway.asr.fake.core import FakeSession
from gateway.asr.session import State
from gateway.calls.leg import SessionCause
from gateway.config import Settings
from gateway.transcripts.utterances import Change
from tests.asr.drive import engine_at, fake
from tests.peers.line import Line, Spoken, script
from tests.peers.waiting import until

CHUNK_MS = 300
SAMPLES = 2400  # of a chunk, and from the beginning of a word to that of the next
LIMIT = 11  # seconds of audio in a session
CUT = 79_200  # samples: a tenth of the limit is left
OVERLAP = 14_400  # whole chunks, so that each cut comes where it is due


class Watched:
    """An engine, and how many of its sessions were opened, are ready, were told to finish, and have said all."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.limits, self.gate = engine.name, engine.limits, engine.gate
        self.opened = self.ready = self.finished = self.ended = 0
        self._engine = engine

    def open(self, codec: str, listener: Listener) -> EngineSession:
        def hear(event: EngineEvent) -> None:
            listener(event)
            self.ready += isinstance(event, Ready)
            self.ended += isinstance(event, End)

        self.opened += 1
        return WatchedSession(self, self._engine.open(codec, hear))

    @property
    def settled(self) -> bool:
        """Whether no session is about to be ready or to end."""
        return self.opened == self.ready and self.finished == self.ended


class WatchedSession:
    """Tells its engine when it is told to finish."""

    def __init__(self, engine: Watched, session: EngineSession) -> None:
        self._engine = engine
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def finish(self) -> None:
        self._engine.finished += 1
        self._session.finish()


class Recogniser:
    """A test server with one protocol, and the engine that uses it."""

    def __init__(self, protocol: str, **options: Any) -> None:
        self.server = fake(**options)
        self._protocol = protocol

    async def engine(self, **settings: Any) -> Watched:
        return Watched(engine_at(self._protocol, await self.server.serve(self._protocol), **settings))

    @property
    def sessions(self) -> list[FakeSession]:
        return self.server.core.sessions

    @property
    def samples(self) -> list[int]:
        """What each session got."""
        return [session.samples for session in self.sessions]

    @property
    def words(self) -> list[list[str]]:
        return [session.text.split() for session in self.sessions]


class Talk:
    """A leg whose next audio comes when it is ready for it."""

    def __init__(self, engines: Sequence[Watched], spoken: Spoken, **asr: Any) -> None:
        self.engines = engines
        self.line = Line(engines, Settings.model_validate({"asr": asr}), spoken, CHUNK_MS)

    async def until(self, condition: Callable[[], bool]) -> None:
        def holds() -> bool:
            self.line.leg.tick()
            return condition()

        await until(holds, 20)

    async def speak(self, seconds: float | None = None) -> None:
        """Says the next seconds, or all that is left, which ends with the hang-up."""
        audio = self.line.spoken.audio
        end = len(audio) if seconds is None else self.line.fed + int(seconds * 8000)
        while self.line.fed < end:
            await self.until(self.ready)
            self.line.feed()
        if self.line.fed == len(audio):
            await self.until(self.line.owner.done.is_set)
            summary = self.line.leg.summary
            assert summary is not None
            assert (summary.failure, summary.unrecognised, summary.missed) == (None, 0, 0)
            assert summary.sent + summary.skipped == len(audio)

    def ready(self) -> bool:
        leg = self.line.leg
        at_rest = leg.recognition is State.IDLE or (leg.recognition is State.OPEN and leg.backlog == 0)
        return at_rest and all(engine.settled for engine in self.engines)

    def check(self) -> None:
        """Every word came once, in order, and where it was said."""
        assert self.line.delivered == self.line.spoken.text
        said = {word: (start, end) for word, start, end in self.line.spoken.words}
        for update in self.line.owner.texts.values():
            words = [word.lower().strip(".") for word in update.text.split()]
            if words:
                assert abs(update.start - said[words[0]][0]) <= 3200
                assert abs(update.end - said[words[-1]][1]) <= 3200


LIMITED = [("palatine", {}), ("yandex-v3", {"replay_speed": 10})]


@pytest.mark.parametrize(("protocol", "settings"), LIMITED)
async def test_a_session_near_its_limit_hands_over_in_the_next_pause(protocol: str, settings: dict[str, Any]) -> None:
    there = Recogniser(protocol, max_seconds=LIMIT)
    spoken = script([*range(1, 25), None, *range(25, 49), None, *range(49, 53)])
    talk = Talk([await there.engine(session_seconds=LIMIT, **settings)], spoken)
    await talk.speak()
    await there.server.stop()
    talk.check()
    assert there.words == [spoken.text[:24], spoken.text[24:48], spoken.text[48:]]
    assert sum(there.samples) == len(spoken.audio), "each sample once"
    assert all(session.outcome == "completed" for session in there.sessions)
    assert talk.line.owner.sessions == [(protocol, SessionCause.FIRST), *[(protocol, SessionCause.CONTINUED)] * 2]


@pytest.mark.parametrize(("protocol", "settings"), LIMITED)
async def test_where_nobody_pauses_two_sessions_hear_the_seconds_before_the_cut(
    protocol: str, settings: dict[str, Any]
) -> None:
    there = Recogniser(protocol, max_seconds=LIMIT)
    spoken = script(list(range(1, 71)))
    engine = await there.engine(session_seconds=LIMIT, **settings)
    talk = Talk([engine], spoken, rollover_overlap_seconds=OVERLAP / 8000)
    await talk.speak()
    await there.server.stop()
    talk.check()
    assert there.samples == [CUT, CUT, len(spoken.audio) - 2 * (CUT - OVERLAP)]
    both = OVERLAP // SAMPLES
    assert [len(set(one) & set(other)) for one, other in pairwise(there.words)] == [both, both]
    assert all(session.outcome == "completed" for session in there.sessions)


async def test_when_an_engine_is_killed_the_next_one_hears_what_was_not_final() -> None:
    first, second = Recogniser("palatine"), Recogniser("deepgram")
    spoken = script([*range(1, 6), None, None, *range(11, 16), None, *range(21, 24)], gap_ms=100)
    talk = Talk([await first.engine(), await second.engine()], spoken, failover_seconds=0)
    owner = talk.line.owner
    await talk.speak(3.0)
    await talk.until(lambda: any(update.change is Change.FINAL for update in owner.texts.values()))
    await talk.speak(1.5)
    fed = talk.line.fed
    assert spoken.words[6][1] < fed < spoken.words[6][2], "in the second word after the pause"
    await talk.until(lambda: first.words == [spoken.text[:6]])
    await first.server.stop()
    await talk.until(lambda: bool(owner.recovered))
    await talk.speak()
    await second.server.stop()
    talk.check()
    assert owner.sessions == [("palatine", SessionCause.FIRST), ("deepgram", SessionCause.REGAINED)]
    assert owner.failures == [("CONNECTION_LOST", True)]
    assert len(owner.recovered) == 1
    assert first.samples == [fed]
    assert second.words == [spoken.text[5:]], "no word that was final, and all others"
    (again,) = second.samples
    assert spoken.words[4][2] <= len(spoken.audio) - again <= spoken.words[5][1]
    assert talk.line.leg.written == {"palatine": fed, "deepgram": again}


async def test_a_session_is_closed_in_a_long_pause_and_another_opened_by_the_next_word() -> None:
    there = Recogniser("palatine")
    spoken = script([1, 2, 3, 4, *[None] * 4, 5, 6, 7])
    talk = Talk([await there.engine(idle="close")], spoken, idle_close_seconds=1, preroll_ms=600)
    await talk.speak(4.5)
    assert talk.line.leg.recognition is State.IDLE
    await talk.speak()
    await there.server.stop()
    talk.check()
    assert talk.line.owner.sessions == [("palatine", SessionCause.FIRST), ("palatine", SessionCause.CONTINUED)]
    assert there.words == [spoken.text[:4], spoken.text[4:]]
    assert all(session.outcome == "completed" for session in there.sessions)
    closed, reopened = there.samples
    ahead = spoken.words[4][1] - (len(spoken.audio) - reopened)
    assert spoken.words[3][2] + 8000 <= closed <= spoken.words[3][2] + 2 * 8000, "after a second without speech"
    assert 600 * 8 <= ahead <= 600 * 8 + SAMPLES, "the pre-roll"
    assert talk.line.leg.summary is not None
    assert talk.line.leg.summary.skipped == len(spoken.audio) - closed - reopened


async def test_a_session_to_which_nothing_comes_is_told_so_and_its_words_keep_their_places() -> None:
    there = Recogniser("yandex-v3")
    spoken = script([1, 2, 3, 4, None, 5, 6, 7])
    talk = Talk([await there.engine(idle_seconds=1.01)], spoken)
    await talk.speak(2.1)
    await talk.until(lambda: there.sessions[0].announced >= 8000)
    await talk.speak()
    await there.server.stop()
    talk.check()
    assert talk.line.owner.sessions == [("yandex-v3", SessionCause.FIRST)]
    (session,) = there.sessions
    assert session.outcome == "completed"
    assert session.samples == len(spoken.audio) + session.announced
    assert session.text.split() == spoken.text
