"""A leg's recognition over lost sessions: no word lost, none doubled, or exactly as many as are reported."""

import asyncio

import pytest

from gateway.asr.engine import Failure, Final, Partial, Refinement
from gateway.asr.options import Palatine
from gateway.asr.palatine import PalatineEngine
from gateway.asr.replay import Piece
from gateway.asr.session import LegRecognition, State, Summary
from gateway.asr.settings import Asr
from tests.peers.recogniser import Recogniser, spoken
from tests.peers.waiting import until

WORDS = list(range(1, 21))
CHUNK = 800


class Observer:
    """Keeps what it is told; the text of each session apart."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.origins: list[int] = []
        self.degraded: list[tuple[str, bool]] = []
        self.recovered: list[int] = []
        self.written = 0
        self.unrecognised: list[tuple[int, int]] = []
        self.summary: Summary | None = None

    def asr_started(self, _engine: str, origin: int, *, continues: bool) -> None:  # noqa: ARG002
        self.origins.append(origin)
        self.texts.append("")

    def asr_text(self, partial: Partial) -> None:
        self.texts[-1] = partial.text

    def asr_written(self, arrived: int) -> None:
        assert arrived
        self.written += 1

    def asr_final(self, final: Final) -> None:
        raise AssertionError(final)

    def asr_refined(self, refinement: Refinement) -> None:
        raise AssertionError(refinement)

    def asr_unrecognised(self, first: int, end: int) -> None:
        self.unrecognised.append((first, end))

    def asr_degraded(self, failure: Failure, *, engine: str, retrying: bool) -> None:  # noqa: ARG002
        self.degraded.append((failure.code, retrying))

    def asr_recovered(self, _engine: str, lost: int) -> None:
        self.recovered.append(lost)

    def asr_done(self, summary: Summary) -> None:
        assert self.summary is None, "told twice"
        self.summary = summary


class Run:
    """One leg's audio, fed from a point on."""

    def __init__(self, server: Recogniser, audio: bytes, **settings: object) -> None:
        values = {"retry_first_seconds": 0.02, "retry_max_seconds": 0.05, "finish_seconds": 5, **settings}
        self.observer = Observer()
        self.audio = audio
        self.fed = 0
        engine = PalatineEngine(
            Palatine.model_validate({"url": server.url, "message_ms": CHUNK // 8}), connect_seconds=1
        )
        self.leg = LegRecognition([engine], "alaw", Asr.model_validate(values), self.observer)

    def feed(self, upto: int | None = None) -> None:
        end = len(self.audio) if upto is None else upto
        for first in range(self.fed, end, CHUNK):
            self.leg.feed(Piece(first, self.audio[first : first + CHUNK], 1))
        self.fed = end

    async def finished(self) -> Summary:
        self.leg.finish()
        await until(lambda: self.observer.summary is not None, 20)
        assert self.observer.summary is not None
        return self.observer.summary


def text(words: list[int]) -> str:
    return " ".join(f"w{word}" for word in words)


async def test_audio_that_came_before_the_session_was_open_is_sent_first() -> None:
    audio = spoken(WORDS[:5])
    async with Recogniser() as server:
        run = Run(server, audio)
        run.feed()
        summary = await run.finished()
        assert bytes(server.sessions[0].audio) == audio
    assert run.observer.texts == [text(WORDS[:5])]
    assert summary == Summary(len(audio), 0, 0, 0, len(audio) / 8000, None)
    assert run.leg.state is State.DONE


async def test_live_audio_is_written_at_once_as_it_came() -> None:
    audio = spoken(WORDS[:2])
    async with Recogniser() as server:
        run = Run(server, audio)
        await until(lambda: run.leg.state is State.OPEN)
        run.feed()
        assert run.observer.written == len(audio) // CHUNK, "no task and no timer lies between"
        await run.finished()
        assert set(server.sessions[0].sizes) == {CHUNK}


async def test_a_lost_session_is_replaced_and_hears_what_was_not_settled() -> None:
    audio = spoken(WORDS)

    async with Recogniser("close=1011@24000b") as server:
        run = Run(server, audio)
        await until(lambda: run.leg.state is State.OPEN)
        run.feed(12_000)
        await until(lambda: run.observer.texts == [text(WORDS[:5])])
        run.leg.settle(12_000)
        run.feed(26_400)
        await until(lambda: len(server.sessions) == 2)
        run.feed()
        summary = await run.finished()
    assert run.observer.origins == [0, 12_000]
    assert run.observer.texts[1] == text(WORDS[5:]), "everything after what was settled, once"
    assert run.observer.degraded == [("CONNECTION_LOST", True)]
    assert run.observer.recovered == [0]
    assert summary == Summary(len(audio), 0, 0, 0, len(audio) / 8000, None)


async def test_what_does_not_fit_into_the_buffer_is_reported_to_the_sample() -> None:
    audio = spoken(WORDS)  # 6 s

    async with Recogniser("error=ML_SERVICE_ERROR@start*0") as server:
        run = Run(server, audio, replay_seconds=2.1)
        await until(lambda: bool(run.observer.degraded))
        run.feed()
        server.fail()
        summary = await run.finished()
    assert run.observer.texts == [text(WORDS[-7:])], "what was kept holds seven whole words"
    assert summary.unrecognised == len(audio) - 7 * 2400
    assert summary.sent == 7 * 2400
    assert run.observer.degraded == [("ML_SERVICE_ERROR", True)], "one outage is told once"
    assert run.observer.recovered == [len(audio) - 7 * 2400]


async def test_a_wrong_token_is_tried_once_and_everything_is_reported() -> None:
    async with Recogniser("error=AUTH_ERROR@start*0") as server:
        run = Run(server, spoken(WORDS[:4]))
        run.feed(4800)
        await until(lambda: bool(run.observer.degraded))
        run.feed()
        assert run.observer.summary is None, "the leg goes on"
        summary = await run.finished()
        await asyncio.sleep(0.2)
        assert len(server.sessions) == 1
    assert run.observer.degraded == [("AUTH_ERROR", False)]
    assert summary.failure is not None
    assert (summary.sent, summary.unrecognised) == (0, len(run.audio))


async def test_the_hang_up_waits_for_the_last_words_and_no_longer_than_it_may() -> None:
    async with Recogniser("stall@1b*0") as server:
        run = Run(server, spoken(WORDS[:2]), finish_seconds=0.3)
        await until(lambda: run.leg.state is State.OPEN)
        run.feed()
        summary = await run.finished()
    assert summary.failure is not None
    assert summary.failure.code == "FINISH_TIMEOUT"
    assert summary.unrecognised == len(run.audio)


async def test_a_session_lost_while_its_last_words_are_awaited_is_replaced() -> None:
    audio = spoken(WORDS[:6])

    async with Recogniser("close=1011@end") as server:
        run = Run(server, audio)
        await until(lambda: run.leg.state is State.OPEN)
        run.feed()
        summary = await run.finished()
    assert run.observer.texts[-1] == text(WORDS[:6])
    assert (summary.unrecognised, summary.failure) == (0, None)


@pytest.mark.parametrize("offset", [0.0, -0.5])
async def test_the_engines_own_count_is_reported_as_it_is(offset: float) -> None:
    audio = spoken(WORDS[:3])
    async with Recogniser(duration_offset=offset) as server:
        run = Run(server, audio)
        run.feed()
        summary = await run.finished()
    assert summary.recognised_seconds == pytest.approx(0.9 + offset)
