"""sipp calls four times at once with recorded prompts; the consumer gets every word, in order and verified."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway import events
from gateway.media.chunks import SAMPLE_RATE
from tests.peers import sipp
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, Received, free_port
from tests.peers.prompts import Prompt, load
from tests.peers.speech import encode
from tests.peers.words import normalise, wer

SCENARIO = Path(__file__).parent / "scenarios" / "speak.xml"
GAP = bytes(2 * SAMPLE_RATE * 12 // 10)  # 1.2 s of silence between two prompts
PAYLOAD_TYPES = {"mulaw": 0, "alaw": 8}


def choose(count: int) -> list[Prompt]:
    """Every so many-th of the prompts, so that a run is the same each time and covers them all."""
    prompts = [prompt for prompt in load("en") if 1.5 <= len(prompt.pcm()) / 2 / SAMPLE_RATE <= 8]
    return prompts[:: len(prompts) // count][:count]


async def speak(target: str, folder: Path, caller: str, prompts: list[Prompt], codec: str) -> int:
    """Has sipp say prompts in one call; returns the samples in it."""
    payload_type = PAYLOAD_TYPES[codec]
    audio = encode(GAP.join(prompt.pcm() for prompt in prompts), codec)
    audio = audio[: len(audio) // 160 * 160]
    (folder / f"{caller}.raw").write_bytes(audio)
    scenario = folder / f"{caller}.xml"
    text = SCENARIO.read_text().replace("FILE", f"{caller}.raw").replace("PAYLOAD", str(payload_type))
    scenario.write_text(text)
    duration = len(audio) // 8 + 200
    port, media = free_port(), free_port()
    run = await sipp.run(
        scenario,
        target,
        port=port,
        media_port=media,
        keys={"caller": caller},
        hold_ms=duration,
        give_up=duration // 1000 + 20,
    )
    assert run.passed, run.errors + run.messages[-3000:]
    return len(audio)


async def test_four_calls_at_once_with_recorded_prompts(tmp_path: Path, claim: Claim) -> None:
    prompts = choose(24)
    lots = {f"10{index}": prompts[index::4] for index in range(4)}
    codecs = ["alaw", "mulaw", "alaw", "mulaw"]
    async with GatewayProcess(tmp_path) as gateway:
        sent = await asyncio.gather(
            *(speak(gateway.sip, tmp_path, name, lots[name], codec) for name, codec in zip(lots, codecs, strict=True))
        )
        calls = {call.events[0].call.from_number: call for call in await gateway.completed(4)}
        summary = gateway.consumer.summary
    assert sorted(calls) == sorted(lots)
    up_at_once = max(at_once(list(calls.values())))
    claim("sipp: calls up at once", up_at_once, up_at_once == 4)
    said = {name: " ".join(prompt.text for prompt in lots[name]) for name in lots}
    rate = wer(" ".join(said[name] for name in lots), " ".join(calls[name].text() for name in lots))
    claim(f"sipp: word error rate over {len(prompts)} prompts, below 12 %", f"{rate:.1%}", rate < 0.12)
    good = summary.good and not summary.duplicates
    claim("sipp: webhooks verified and in order", f"{summary.verified}/{summary.received}", good)
    for (name, call), codec, samples in zip(sorted(calls.items()), codecs, sent, strict=True):
        assert call.types[0] == "call.started"
        assert "call.ended" in call.types
        assert call.types[-1] == "call.transcript.completed", "the words after the hang-up come before it"
        assert [event.seq for event in call.events if event.durable] == list(range(1, len(call.types) + 1))
        assert call.of(type(call.events[0].data))[0].codec == codec
        assert call.completed is not None
        assert call.completed.complete
        (leg,) = call.completed.legs
        claim(f"sipp: samples of call {name} ({codec}) received = sent", leg.received, leg.received == samples)
        assert (leg.lost, leg.late, leg.duplicates, leg.foreign, leg.unrecognised) == (0, 0, 0, 0, 0)
        assert leg.sent + leg.withheld == leg.duration
        finals = [words for words in call.completed.utterances if normalise(words.text)]
        assert len(finals) >= len(lots[name]), "a pause of 1.2 s ends an utterance"
        assert [words.start_ms for words in finals] == sorted(words.start_ms for words in finals)


def at_once(calls: list[Received]) -> list[int]:
    """Returns how many calls were up at each moment that one began."""
    spans = [(call.events[0].time, ended(call).time) for call in calls]
    return [sum(begin <= moment < end for begin, end in spans) for moment, _ in spans]


def ended(call: Received) -> events.Event:
    return next(event for event in call.events if event.type == "call.ended")
