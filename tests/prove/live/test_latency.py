"""Delays put into one stage move the latencies of that stage by as much, and no other; slow calls name themselves."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from gateway import events
from gateway.delivery.consumer import Answer
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, call
from tests.prove.live.stage import Wire, palatine, recogniser, say

DELAY = 0.15
# Timers of four processes on a busy machine, and packets of 20 ms, make means differ by this much.
NEAR = 0.03
NAMES = (
    "packet_to_asr_write", "asr_write_to_heard", "speech_start_to_partial", "partial_lag", "speech_end_to_final",
    "final_to_webhook", "speech_end_to_webhook",
)  # fmt: skip
SPOKEN = set(NAMES) - {"packet_to_asr_write", "final_to_webhook"}
MOVED = {
    "the network to the engine": SPOKEN,
    "the engine": SPOKEN,
    "the webhook": {"final_to_webhook", "speech_end_to_webhook"},
}


def scraped(port: int, accept: str = "text/plain") -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return str(answer.read().decode())


def means(text: str) -> dict[str, float]:
    sums: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(text):
        name = family.name.removeprefix("asr_gateway_").removesuffix("_seconds")
        for sample in family.samples:
            if name in NAMES and sample.name.endswith(("_sum", "_count")):
                sums.setdefault(name, [0.0, 0.0])[sample.name.endswith("_count")] += sample.value
    return {name: total / count for name, (total, count) in sums.items() if count}


def deepgram(port: int) -> str:
    """An engine that says how far its text reaches, and ends utterances itself: no pause of ours hides its delay."""
    url = f"ws://127.0.0.1:{port}/v1/listen"
    return f'[asr]\nengine = "deepgram"\n[asr.deepgram]\nurl = "{url}"\napi_key = "a-key"\n'


async def measure(folder: Path, stage: str, *, cursor: bool = True) -> tuple[dict[str, float], str, str]:
    await asyncio.to_thread(folder.mkdir)
    path = await say(folder, "words", ["w1", "w2", "-", "w3", "-", "w4", "w5", "w6", "-", "w7", "-", "w8", "w9", "-"])

    def answer(event: events.Event) -> Answer:
        late = stage == "the webhook" and isinstance(event.data, events.TranscriptFinal)
        return Answer(delay=DELAY if late else 0.0)

    network = DELAY if stage == "the network to the engine" else 0.0
    engine = round(DELAY * 1000) if stage == "the engine" else 0
    async with (
        recogniser(engine, "deepgram" if cursor else "palatine") as port,
        Wire(port, network) as wire,
        GatewayProcess(folder, asr=(deepgram if cursor else palatine)(wire.port), answer=answer) as gateway,
    ):
        await call(gateway.sip, "--audio", str(path), "--leg", "caller")
        (done,) = await gateway.completed()
        await asyncio.sleep(0.5)
        text = await asyncio.to_thread(scraped, gateway.metrics_port)
        openmetrics = await asyncio.to_thread(scraped, gateway.metrics_port, "application/openmetrics-text")
        return means(text), openmetrics, done.events[0].call.id


async def test_a_delay_moves_its_own_stage_and_no_other(tmp_path: Path, claim: Claim) -> None:
    before, openmetrics, call_id = await measure(tmp_path / "none", "")
    assert set(before) == set(NAMES), before
    named = [
        line.partition("_seconds_bucket")[0] for line in openmetrics.splitlines() if f'# {{call="{call_id}"}}' in line
    ]
    exemplars = {name.removeprefix("asr_gateway_") for name in named}
    # how far it is, an engine tells of itself and of no call; of writes only the late ones name their call
    wanted = set(NAMES) - {"asr_write_to_heard", "packet_to_asr_write"}
    claim("latency: exemplars that name the call, in OpenMetrics", sorted(exemplars), exemplars >= wanted)
    without, other, _ = await measure(tmp_path / "palatine", "", cursor=False)
    missed = 'asr_gateway_latency_unmeasurable_total{latency="asr_gateway_partial_lag",reason="no_cursor"}'
    counted = [float(line.rpartition(" ")[2]) for line in other.splitlines() if line.startswith(missed)]
    honest = "partial_lag" not in without and counted[0] > 0
    claim("latency: the lag of an engine without a cursor is counted as unmeasurable", counted, honest)
    for number, (stage, moved) in enumerate(MOVED.items()):
        after, _, _ = await measure(tmp_path / str(number), stage)
        for name in NAMES:
            shift = after[name] - before[name]
            wanted = DELAY if name in moved else 0.0
            text = f"latency: {DELAY * 1000:.0f} ms more in {stage}: {name} moves by {wanted * 1000:.0f} ms"
            claim(text, f"{shift * 1000:+.0f} ms", abs(shift - wanted) < NEAR)
