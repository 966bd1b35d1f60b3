"""Every engine behind the session layer: word for word through each fault that a call must survive."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from gateway.asr.engine import Failure, Final, Partial, Refinement
from gateway.asr.fake.words import say
from gateway.asr.observer import Summary
from gateway.asr.replay import Piece
from gateway.asr.session import LegRecognition
from gateway.asr.settings import Asr
from tests.asr.drive import PROTOCOLS, engine_at, fake

CHUNK = 800  # samples
SPEED = 4  # times real time
SETTINGS = Asr(
    stall_seconds=1.5, finish_seconds=10, retry_first_seconds=0.1, retry_max_seconds=0.5, failover_seconds=60
)
CODES = [1, 2, 3, None, 4, 5, 6, None, 7, 8, 9, None, 10, 11]
WORDS = [f"w{code}" for code in CODES if code is not None]
FAULTS = [
    "refuse=503@start", "close=1011@1.5s", "close=4002@5w", "drop@1s", "drop@5w", "drop@end", "early-end@2s",
    "error=INTERNAL@8w",
]  # fmt: skip


@dataclass
class Leg:
    """Takes what a leg's recognition tells."""

    finals: list[Final] = field(default_factory=list)
    refined: dict[int, str] = field(default_factory=dict)
    losses: list[Failure] = field(default_factory=list)
    unrecognised: list[tuple[int, int]] = field(default_factory=list)
    done: asyncio.Future[Summary] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def asr_started(self, engine: str, origin: int, *, continues: bool) -> None: ...
    def asr_text(self, partial: Partial) -> None: ...
    def asr_written(self, arrived: int) -> None: ...
    def asr_recovered(self, engine: str, lost: int) -> None: ...

    def asr_final(self, final: Final) -> None:
        self.finals.append(final)

    def asr_refined(self, refinement: Refinement) -> None:
        self.refined[refinement.index] = refinement.text

    def asr_degraded(self, failure: Failure, **_: object) -> None:
        self.losses.append(failure)

    def asr_unrecognised(self, first: int, end: int) -> None:
        self.unrecognised.append((first, end))

    def asr_done(self, summary: Summary) -> None:
        self.done.set_result(summary)

    @property
    def words(self) -> list[str]:
        return " ".join(final.text for final in self.finals).split()


async def call(protocol: str, *faults: str) -> tuple[Leg, Summary]:
    """Carries a call of words past the faults."""
    server, leg = fake(*faults), Leg()
    options = {"replay_speed": 8} if protocol.startswith("yandex") else {}
    engine = engine_at(protocol, await server.serve(protocol), **options)
    recognition = LegRecognition([engine], "alaw", SETTINGS, leg)
    audio = say(CODES)
    for first in range(0, len(audio), CHUNK):
        recognition.feed(Piece(first, audio[first : first + CHUNK], 0))
        await asyncio.sleep(CHUNK / 8000 / SPEED)
    recognition.finish()
    async with asyncio.timeout(30):
        summary = await leg.done
    await server.stop()
    return leg, summary


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_no_word_is_lost_or_doubled(protocol: str) -> None:
    results = await asyncio.gather(*(call(protocol, fault) for fault in FAULTS))
    for fault, (leg, summary) in zip(FAULTS, results, strict=True):
        assert leg.words == WORDS, fault
        assert len(leg.losses) == 1, (fault, leg.losses)
        assert (summary.unrecognised, summary.failure, leg.unrecognised) == (0, None, []), fault
        starts = [final.start for final in leg.finals]
        assert starts == sorted(starts), fault
        assert [final.index for final in leg.finals] == list(range(len(leg.finals))), fault


@pytest.mark.parametrize("protocol", ["yandex-v3", "yandex-v2"])
async def test_a_permanent_refusal_ends_recognition_and_names_the_audio(protocol: str) -> None:
    leg, summary = await call(protocol, "refuse=401@start*0")
    audio = len(say(CODES))
    assert leg.words == []
    # gRPC may lose the status of a call that is ended while it is written to; the next one shows it
    codes = [failure.code for failure in leg.losses]
    assert codes in (["UNAUTHENTICATED"], ["CONNECTION_LOST", "UNAUTHENTICATED"])
    assert summary.unrecognised == audio
    assert sum(end - first for first, end in leg.unrecognised) == audio
