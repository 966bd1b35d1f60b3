"""Real calls to a whole gateway: each number's route leads to another engine, over its own protocol."""

from __future__ import annotations

import asyncio
import sys
import wave
from pathlib import Path

from gateway import events
from gateway.asr.fake.core import Core, Options
from gateway.asr.fake.server import FakeServer
from gateway.asr.fake.words import say
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess

CODES = [1, 2, 3, None, 4, 5, None, 6]
WORDS = [f"w{code}" for code in CODES if code is not None]
ASR = """
[asr]
engine = "palatine"
[asr.palatine]
url = "{palatine}"
[asr.yandex]
endpoint = "{v3}"
tls = false
api_key = "k3y"
normalise = false
[asr.vosk]
url = "{vosk}"
[asr.deepgram]
url = "{deepgram}"
[asr.engines.v2]
kind = "yandex"
api = "v2"
endpoint = "{v2}"
tls = false
api_key = "k3y"
"""
ROUTES = {"701": "yandex", "702": "v2", "703": "vosk", "704": "deepgram"}


async def place(target: str, sound: Path) -> None:
    call = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "call", f"sip:{target}", "--audio", str(sound)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await asyncio.wait_for(call.wait(), 60) == 0


async def test_each_route_leads_to_its_engine(tmp_path: Path, claim: Claim) -> None:
    server = FakeServer(Core(Options()))
    urls = {name.removeprefix("yandex-"): await server.serve(name) for name in (
        "palatine", "yandex-v3", "yandex-v2", "vosk", "deepgram"
    )}  # fmt: skip
    asr = ASR.format(**urls) + "".join(
        f'[[asr.routes]]\nname = "to {number}"\nto_number = "{number}"\nengine = "{engine}"\n'
        for number, engine in ROUTES.items()
    )
    sound = tmp_path / "words.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(say([None, *CODES, None], "linear16"))
    numbers = {**ROUTES, "800": "palatine"}
    async with GatewayProcess(tmp_path, asr=asr) as gateway:
        for number in numbers:
            await place(f"{number}@{gateway.sip}", sound)
        found = await gateway.completed(len(numbers))
    calls = {call.events[0].call.to_number: call for call in found}
    for number, engine in numbers.items():
        completed = calls[number].completed
        assert completed is not None
        said = calls[number].text().split()
        whole = said == WORDS and completed.complete
        what = f"a call to {number}, whose route leads to {engine}: every word, all audio accounted for"
        claim(what, f"{len(said)} of {len(WORDS)} words", whole)
        assert calls[number].of(events.TranscriptFinal)
    protocols = [session.protocol for session in server.core.sessions]
    wanted = ["yandex-v3", "yandex-v2", "vosk", "deepgram", "palatine"]
    claim("each engine got its own call, over its own protocol", ", ".join(protocols), protocols == wanted)
    await server.stop()
