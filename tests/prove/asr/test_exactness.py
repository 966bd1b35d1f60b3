"""Word-exactness under fault: engine x fault x moment; a word that is lost or doubled on the way shows in the text."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.asr.deepgram import DeepgramEngine
from gateway.asr.engine import Engine
from gateway.asr.fake.core import Core, Options
from gateway.asr.fake.faults import FaultPlan, parse
from gateway.asr.fake.server import FakeServer, Tls
from gateway.asr.gate import Gate
from gateway.asr.kinds import Context
from gateway.asr.options import Deepgram, Palatine, Vosk, Yandex
from gateway.asr.palatine import PalatineEngine
from gateway.asr.vosk import VoskEngine
from gateway.asr.yandex import YandexEngine
from gateway.config import Settings
from tests.peers.claims import Claim
from tests.peers.line import Line, Verdict, script
from tests.peers.tls import certificate

ENGINES = ("palatine", "yandex-v3", "yandex-v2", "vosk", "deepgram")
SPOKEN = script([*range(1, 9), None, *range(11, 19), None, *range(21, 29)])
PAUSE = (SPOKEN.words[7][2] / 8000 + 0.7, "in a pause")
SETTINGS = {
    "asr": {
        "retry_first_seconds": 0.2, "retry_max_seconds": 1, "stall_seconds": 2, "connect_seconds": 2,
        "finish_seconds": 15, "replay_seconds": 45,
    }
}  # fmt: skip
AT_START = ["refuse=401", "refuse=429", "refuse=503", "tls", "wrong-config"]
ANY_TIME = ["close=1011", "error=INTERNAL_ERROR", "drop", "stall", "slow=500", "half-open", "early-end"]
MOMENTS = {"start": "at the start", "12w": "in mid-word", f"{PAUSE[0]:.2f}s": "in a pause", "24w": "just before BYE"}
# Seconds of audio that a session may hold: it is over in the twelfth word, in the second pause (a session that cannot
# hold the first utterance with its pause would end at the same place for ever), in the last word.
LIMITS = {
    "12w": SPOKEN.words[11][1] / 8000 + 0.1,
    f"{PAUSE[0]:.2f}s": SPOKEN.words[15][2] / 8000 + 0.7,
    "24w": SPOKEN.words[23][1] / 8000 + 0.1,
}
FOR_GOOD = {"refuse=401", "wrong-config"}


@dataclass(frozen=True)
class Case:
    engine: str
    fault: str
    when: str


def cases() -> Iterator[Case]:
    for engine in ENGINES:
        for fault in AT_START:
            yield Case(engine, fault, "start")
        for fault in ANY_TIME:
            for when in MOMENTS:
                yield Case(engine, fault, when)
        for when in LIMITS:
            yield Case(engine, "limit", when)


def engine_at(
    protocol: str, url: str, *, tls: Path | None = None, starts: float | None = None, **more: object
) -> Engine:
    gate = Gate(starts_per_second=starts)
    context = Context(protocol, 2.0, gate)
    match protocol:
        case "palatine":
            return PalatineEngine(Palatine.model_validate({"url": url, **more}), connect_seconds=2, gate=gate)
        case "vosk":
            return VoskEngine(Vosk.model_validate({"url": url, **more}), context)
        case "deepgram":
            return DeepgramEngine(Deepgram.model_validate({"url": url, "api_key": "t", **more}), context)
    values = {"endpoint": url, "api_key": "k", "api": protocol[-2:], "tls": tls is not None, **more}
    if tls is not None:
        values["ca_file"] = str(tls)
    return YandexEngine(Yandex.model_validate(values), context)


async def one(case: Case, folder: tuple[Path, Path], at_once: asyncio.Semaphore) -> tuple[Case, Verdict, list[str]]:
    cert, key = folder
    secure = case.fault == "tls"
    limit = (
        LIMITS[case.when] if case.fault == "limit" else None
    )  # which the engine enforces, and the gateway does not know
    plan = FaultPlan([] if limit else [parse(f"{case.fault}@{case.when}")])
    core = Core(Options(plan=plan, idle_seconds=5, max_seconds=limit))
    async with at_once:
        server = FakeServer(core, tls=Tls(cert, key) if secure else None)
        url = await server.serve(case.engine)
        line = Line(
            [engine_at(case.engine, url, tls=cert if secure else None)], Settings.model_validate(SETTINGS), SPOKEN
        )
        await asyncio.wait_for(line.speak(), 60)
        await server.stop()
    return case, line.verdict(), [code for code, _ in line.owner.failures]


@contextmanager
def trusted(cert: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(cert))
        yield


async def test_no_word_is_lost_or_doubled_whatever_fails(tmp_path: Path, claim: Claim) -> None:
    pair = certificate(tmp_path)
    at_once = asyncio.Semaphore(60)
    with trusted(pair[0]):
        results = await asyncio.gather(*(one(case, pair, at_once) for case in cases()))
    print()
    print(f"{'engine':10} {'fault':22} {'when':16} {'said':>4} {'delivered':>9} {'doubled':>7} {'missing':>7} reported")
    for case, verdict, failures in results:
        row = f"{verdict.expected:4} {verdict.delivered:9} {verdict.doubled:7} {verdict.missing:7}"
        print(f"{case.engine:10} {case.fault:22} {MOMENTS[case.when]:16} {row} {verdict.reported_ms:5} ms {failures}")
    for engine in ENGINES:
        back = [(case, got) for case, got, _ in results if case.engine == engine and case.fault not in FOR_GOOD]
        exact = sum(verdict.exact for _, verdict in back)
        doubled, missing = (sum(getattr(got, what) for _, got in back) for what in ("doubled", "missing"))
        figure = f"{exact} of {len(back)} exact, {doubled} doubled, {missing} missing"
        claim(f"{engine}: every word once under each fault, at each moment", figure, exact == len(back))
    gone = [verdict for case, verdict, _ in results if case.fault in FOR_GOOD]
    everything = len(SPOKEN.audio) // 8
    whole = sum(verdict.exact or (verdict.honest and verdict.reported_ms == everything) for verdict in gone)
    what = "an engine that refuses for good: the missing span is the reported one"
    claim(what, f"{whole}/{len(gone)}", whole == len(gone))


async def test_a_call_goes_on_at_the_next_engine(claim: Claim) -> None:
    """A refused token fails over at once, an engine that stays away after the budget."""
    for what, fault in (("a refused token", "refuse=401@start*0"), ("an engine that is gone", "drop@3s*0")):
        first, second = (FakeServer(Core(Options(plan=FaultPlan(faults)))) for faults in ([parse(fault)], []))
        settings = Settings.model_validate({"asr": {**SETTINGS["asr"], "failover_seconds": 2}})
        engines = [
            engine_at("palatine", await first.serve("palatine")),
            engine_at("yandex-v3", await second.serve("yandex-v3")),
        ]
        if "gone" in what:
            gone = asyncio.get_running_loop().call_later(3.0, lambda first=first: asyncio.ensure_future(first.stop()))
        line = Line(engines, settings, SPOKEN)
        await asyncio.wait_for(line.speak(), 40)
        verdict = line.verdict()
        figure = f"{verdict.delivered}/{verdict.expected}, doubled {verdict.doubled}, now at {line.leg.engine}"
        claim(f"failover from {what}: every word once", figure, verdict.exact and line.leg.engine == "yandex-v3")
        if "gone" in what:
            gone.cancel()
        await first.stop()
        await second.stop()


async def test_an_outage_longer_than_the_buffer_is_reported_to_the_sample(claim: Claim) -> None:
    server = FakeServer(Core(Options()))
    url = await server.serve("palatine")
    port = int(url.split(":")[2].split("/")[0])
    settings = Settings.model_validate({"asr": {**SETTINGS["asr"], "replay_seconds": 3}})
    spoken = script([number for word in range(1, 61) for number in ((word,) if word % 6 else (word, None))])
    line = Line([engine_at("palatine", url)], settings, spoken)
    speaking = asyncio.create_task(line.speak())
    await asyncio.sleep(5)
    await server.stop()
    await asyncio.sleep(9)
    again = FakeServer(Core(Options()))
    await again.serve("palatine", port)
    await asyncio.wait_for(speaking, 60)
    await again.stop()
    verdict = line.verdict()
    figure = f"{verdict.missing} words missing, {verdict.unreported} outside of {verdict.reported_ms} ms reported"
    claim("an outage longer than the buffer: the missing span is exactly the reported one", figure,
          verdict.honest and 0 < verdict.reported_ms < 12_000)  # fmt: skip
    assert line.leg.summary is not None
    assert line.leg.summary.unrecognised == sum(end - first for first, end in line.leg.unrecognised)
