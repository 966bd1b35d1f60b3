"""Where utterances begin and end, against the recordings; and the last words of calls that end with them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np

from gateway import events
from gateway.media import g711
from tests.integration.test_prompts import GAP, speak
from tests.peers import sipp
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, Received, free_port
from tests.peers.prompts import Prompt, load
from tests.peers.recogniser import KeptSession, Recogniser, spoken, word
from tests.prove.delivery.load import asr, scenario
from tests.prove.delivery.truth import speech

LINES = 8  # calls at once for each language
PAUSE_MS = 700
LOUD = 300.0  # of 32768
FRAMES_A_WORD = 15
SPOKEN_PCM = 8000 * 2 / 1000  # bytes a millisecond
TAILS_MS = (0, 30, 60, 90)
CALLS = 100
LAST_WORDS = [11, 22, 33, 44]


class Hearer(KeptSession):
    """Hears a new word in every 300 ms of sound, whatever is said, after each block of 300 ms, as Palatine does."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._done = self._loud = 0

    @property
    def text(self) -> str:
        upto = len(self.audio) // 160 * 160
        pcm = g711.to_linear16(self.codec, bytes(self.audio[self._done : upto]))
        frames = np.frombuffer(pcm, "<i2").astype(np.float64).reshape(-1, 160)
        self._loud += int((np.sqrt((frames**2).mean(axis=1)) > LOUD).sum()) if len(frames) else 0
        self._done = upto
        return " ".join(f"word{number}" for number in range(self._loud // FRAMES_A_WORD))


def truth(prompts: list[Prompt]) -> list[list[tuple[float, float]]]:
    """Returns for each prompt of a call its stretches of speech, in milliseconds of the call."""
    stretches, at = [], 0.0
    for prompt in prompts:
        pcm = prompt.pcm()
        stretches.append([(at + begin, at + end) for begin, end in speech(pcm, PAUSE_MS)])
        at += (len(pcm) + len(GAP)) / SPOKEN_PCM
    return stretches


def compare(call: Received, prompts: list[Prompt]) -> tuple[list[float], list[float], int, int]:
    """Returns the errors of starts and of ends in milliseconds, and how many stretches were split and merged."""
    assert call.completed is not None
    said = [(words.start_ms, words.end_ms) for words in call.completed.utterances]
    starts: list[float] = []
    ends: list[float] = []
    splits = merges = 0
    stretches = [stretch for prompt in truth(prompts) for stretch in prompt]
    for begin, end in stretches:
        over = [(first, last) for first, last in said if first < end and last > begin]
        if not over:
            merges += 1  # its words went elsewhere
            continue
        splits += len(over) - 1
        starts.append(over[0][0] - begin)
        ends.append(over[-1][1] - end)
    for first, last in said:
        merges += max(sum(first < end and last > begin for begin, end in stretches) - 1, 0)
    return starts, ends, splits, merges


async def test_boundaries_of_the_prompts(tmp_path: Path, claim: Claim) -> None:
    lots: dict[str, list[Prompt]] = {}
    for language in ("en", "ru"):
        prompts = [prompt for prompt in load(language) if len(prompt.pcm()) >= SPOKEN_PCM * 1000]
        lots |= {f"{language}{line}": prompts[line::LINES] for line in range(LINES)}
    async with Recogniser(made=Hearer) as server:
        settings = asr(server.port).replace("pause_ms = 300", f"pause_ms = {PAUSE_MS}")
        async with GatewayProcess(tmp_path, asr=settings, max_calls=2 * LINES) as gateway:
            await asyncio.gather(
                *(
                    speak(gateway.sip, tmp_path, name, prompts, "mulaw" if number % 2 else "alaw")
                    for number, (name, prompts) in enumerate(lots.items())
                )
            )
            calls = {call.events[0].call.from_number: call for call in await gateway.completed(len(lots), 60)}
    for language in ("en", "ru"):
        starts, ends, splits, merges = [], [], 0, 0
        for name, prompts in lots.items():
            if name.startswith(language):
                more = compare(calls[name], prompts)
                starts, ends = starts + more[0], ends + more[1]
                splits, merges = splits + more[2], merges + more[3]
        for what, errors in (("starts", starts), ("ends", ends)):
            p50, p95 = np.percentile(np.abs(errors), [50, 95])
            text = f"boundaries, {language}, {len(errors)} {what}: error p50 / p95, p95 within ±150 ms"
            claim(text, f"{p50:.0f} / {p95:.0f} ms", bool(p95 <= 150))
        # a pause in a prompt that is as long as the one that ends an utterance, give or take a frame, goes either way
        total = len(starts)
        claim(f"boundaries, {language}: splits, at most 3 %", f"{splits} of {total}", splits <= total * 0.03)
        claim(f"boundaries, {language}: merges, at most 1 %", f"{merges} of {total}", merges <= total * 0.01)


async def test_the_last_words_of_a_hundred_calls(tmp_path: Path, claim: Claim) -> None:
    async with Recogniser() as server, GatewayProcess(tmp_path, asr=asr(server.port), max_calls=40) as gateway:
        runs = []
        for tail in TAILS_MS:
            folder = tmp_path / f"tail{tail}"
            folder.mkdir()
            path = scenario(folder, spoken(LAST_WORDS, word_ms=240, gap_ms=160)[: -160 * 8], tail_ms=tail)
            ports = {"port": free_port(), "media_port": free_port()}
            share = CALLS // len(TAILS_MS)
            runs.append(
                sipp.run(
                    *(path, gateway.sip),
                    **ports,
                    calls=share,
                    rate=4,
                    at_once=5,
                    keys={"caller": "100"},
                    give_up=120,
                )
            )
        assert all(run.passed for run in await asyncio.gather(*runs))
        calls = await gateway.completed(CALLS, 60)
    sent, misfits = gateway.consumer.summary.verified, gateway.misfits
    claim("schema: events really sent, partials too, that fit it", f"{sent - len(misfits)}/{sent}", not misfits)
    expected = " ".join(map(word, LAST_WORDS))
    whole = [call for call in calls if call.text() == expected]
    claim(f"tail words: {CALLS} calls hung up 0–90 ms after the last word: transcripts with every word",
          len(whole), len(whole) == len(calls) == CALLS)  # fmt: skip
    complete = [call for call in calls if call.completed and call.completed.complete]
    claim("tail words: of these, complete by the recogniser's own count", len(complete), len(complete) == CALLS)
    last = [call.types[-1] for call in calls]
    assert set(last) == {"call.transcript.completed"}
    assert all(isinstance(call.events[0].data, events.CallStarted) for call in calls)
