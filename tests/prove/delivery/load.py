"""Calls for the proofs: short ones whose words are in the audio, placed by sipp until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from tests.peers import sipp
from tests.peers.gateway import free_port

SCENARIO = Path(__file__).parents[2] / "integration" / "scenarios" / "speak.xml"
CONTINUOUS = 100_000


def asr(port: int) -> str:
    """Returns the settings of a gateway whose recogniser is a server on this port."""
    return f"""
[asr]
engine = "palatine"
[asr.palatine]
url = "ws://127.0.0.1:{port}/api/v1/stream/asr"
token = "any"
language = "en"
[transcripts]
pause_ms = 300
settle_ms = 600
"""


def scenario(folder: Path, audio: bytes, *, tail_ms: int = 0) -> Path:
    """Writes a call that says something and hangs up.

    Args:
        folder: For the scenario and its audio.
        audio: A-law, in whole packets of 20 ms.
        tail_ms: Between the end of the audio and the BYE.
    """
    (folder / "words.raw").write_bytes(audio)
    pause = f'<pause milliseconds="{len(audio) // 8 + tail_ms}"/>'
    text = SCENARIO.read_text().replace("<pause/>", pause).replace("FILE", "words.raw").replace("PAYLOAD", "8")
    path = folder / "words.xml"
    path.write_text(text)
    return path


@contextlib.asynccontextmanager
async def calling(target: str, path: Path, *, rate: int, at_once: int):
    """Places calls until the block is left."""
    assert sipp.SIPP, "sipp is not installed: apt-get install sip-tester"
    port, media = free_port(), free_port()
    process = await asyncio.create_subprocess_exec(
        *(sipp.SIPP, target, "-sf", str(path), "-i", "127.0.0.1", "-p", str(port), "-mi", "127.0.0.1"),
        *("-mp", str(media), "-m", str(CONTINUOUS), "-r", str(rate), "-l", str(at_once), "-nostdin"),
        *("-key", "caller", "100", "-s", "service"),
        cwd=path.parent,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
