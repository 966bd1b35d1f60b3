"""Two people who talk in turn: recorded prompts, spoken by sipp on two legs of one call."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.integration.test_prompts import PAYLOAD_TYPES, SCENARIO
from tests.peers import sipp
from tests.peers.gateway import free_port
from tests.peers.prompts import Prompt, load
from tests.peers.speech import encode

RATE = 8000
BREATH = 0.9  # seconds between two turns
LEGS = ("caller", "agent")


@dataclass(frozen=True)
class Turn:
    """Who says what."""

    leg: str
    text: str
    seconds: float


def choose(count: int) -> list[Prompt]:
    """Returns prompts of two to six seconds, the same ones in each run."""
    prompts = [prompt for prompt in load("en") if 2 <= len(prompt.pcm()) / 2 / RATE <= 6]
    return prompts[:: len(prompts) // count][:count]


def rehearse(prompts: list[Prompt]) -> tuple[dict[str, bytes], list[Turn]]:
    """Returns the audio of each leg (linear16), silent while the other one speaks, and the turns."""
    audio = dict.fromkeys(LEGS, b"")
    turns = []
    for number, prompt in enumerate(prompts):
        pcm = prompt.pcm() + bytes(2 * int(BREATH * RATE))
        speaker = LEGS[number % 2]
        for leg in LEGS:
            audio[leg] += pcm if leg == speaker else bytes(len(pcm))
        turns.append(Turn(speaker, prompt.text, len(prompt.pcm()) / 2 / RATE))
    return {leg: pcm + bytes(2 * RATE) for leg, pcm in audio.items()}, turns


async def perform(target: str, folder: Path, audio: dict[str, bytes], number: str) -> None:
    """Has two sipp processes call, one a leg; returns when both have hung up."""

    async def speak(leg: str, codec: str) -> None:
        payload = encode(audio[leg], codec)
        payload = payload[: len(payload) // 160 * 160]
        payload_type = str(PAYLOAD_TYPES[codec])
        text = SCENARIO.read_text().replace("FILE", f"{leg}.raw").replace("PAYLOAD", payload_type)
        headers = f"X-Call-Id: dialogue\n      X-Call-Leg: {leg}\n      X-Queue: support\n      "
        text = text.replace("Max-Forwards", f"{headers}Max-Forwards", 1)
        scenario = folder / f"{leg}.xml"
        await asyncio.to_thread((folder / f"{leg}.raw").write_bytes, payload)
        await asyncio.to_thread(scenario.write_text, text)
        milliseconds = len(payload) // 8 + 200
        run = await sipp.run(
            scenario,
            target,
            port=free_port(),
            media_port=free_port(),
            keys={"caller": number},
            hold_ms=milliseconds,
            give_up=milliseconds // 1000 + 20,
        )
        assert run.passed, run.errors + run.messages[-3000:]

    await asyncio.gather(speak("caller", "alaw"), speak("agent", "mulaw"))
