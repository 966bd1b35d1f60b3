"""The embedded recogniser killed three times in a call of recorded prompts, beside a call that is left alone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import numpy as np

from gateway.asr.embedded.supervisor import EmbeddedServer
from gateway.asr.options import Embedded, Palatine
from gateway.asr.palatine import PalatineEngine
from gateway.config import Settings
from gateway.media import g711
from tests.peers.claims import Claim
from tests.peers.gateway import free_port
from tests.peers.line import Line, Spoken, levels_of
from tests.peers.prompts import load
from tests.peers.words import normalise, wer

GAP = np.zeros(9600, "<i2").tobytes()  # 1.2 s
KILLS = (15.0, 32.0, 50.0)


async def test_killed_three_times_in_a_call(claim: Claim) -> None:
    prompts = [prompt for prompt in load("en") if 2.5 <= len(prompt.pcm()) / 16000 <= 8]
    chosen = prompts[:: len(prompts) // 16][:16]
    linear = GAP.join([b"", *(prompt.pcm() for prompt in chosen), b""])
    audio = g711.from_linear16("alaw", linear[: len(linear) // 320 * 320])
    spoken = Spoken(audio, levels_of(audio), [])
    reference = " ".join(prompt.text for prompt in chosen)

    async def call(kills: tuple[float, ...]) -> tuple[float, Line]:
        server = EmbeddedServer(
            Embedded.model_validate({"listen": f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"}),
            lambda _state, _text: None,
        )
        await server.start()
        try:
            local = Palatine.model_validate({"url": server.url, "token": server.token, "language": "en"})
            line = Line([PalatineEngine(local, connect_seconds=5, name="embedded")], Settings(), spoken)
            speaking = asyncio.create_task(line.speak())
            begin = asyncio.get_running_loop().time()
            for at in kills:
                await asyncio.sleep(begin + at - asyncio.get_running_loop().time())
                assert server.pid is not None
                os.kill(server.pid, signal.SIGKILL)
            await asyncio.wait_for(speaking, spoken.seconds + 40)
            assert server.restarts == len(kills)
        finally:
            await server.stop()
        said = " ".join(line.owner.texts[number].text for number in sorted(line.owner.texts))
        return wer(normalise(reference), normalise(said)), line

    (killed, line), (alone, other) = await asyncio.gather(call(KILLS), call(()))
    what = f"embedded engine killed 3 times in {spoken.seconds:.0f} s of prompts"
    claim(f"{what}: word error rate, undisturbed beside it", f"{killed:.1%}, {alone:.1%}", killed <= alone + 0.01)
    assert line.leg.summary is not None
    claim(f"{what}: audio not recognised, samples", line.leg.summary.unrecognised, not line.leg.summary.unrecognised)
    assert not other.owner.failures
