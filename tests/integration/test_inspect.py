"""``asr-gateway inspect --transcribe``: the streams of a capture through a real engine, word for word."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import dpkt

from tests.media.packets import rtp
from tests.peers.capture_rtp import frame
from tests.peers.claims import Claim
from tests.peers.recogniser import Recogniser, spoken, word
from tests.peers.speech import TWO_CITIES
from tests.peers.words import normalise

DATA = Path(__file__).parents[1] / "data" / "media"
CALLER, AGENT = ("192.0.2.1", 4000), ("192.0.2.2", 4000)
SAID = {8: ([17, 18, 19], [20, 21]), 0: ([33, 34], [35, 36, 37])}  # before and after a pause, by payload type
PAUSE = 2400  # samples


async def inspect(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "inspect", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode, output.decode(), errors.decode()


def packets(payload_type: int, said: Sequence[list[int]]) -> list[tuple[int, bytes]]:
    """RTP with the milliseconds at which it is sent: words, a pause in which nothing is sent, words."""
    made, timestamp = [], 0
    for values in said:
        audio = spoken(values, gap_ms=60, codec="alaw" if payload_type == 8 else "mulaw")
        for at in range(0, len(audio), 160):
            packet = rtp(len(made), timestamp, audio[at : at + 160], payload_type=payload_type, ssrc=payload_type)
            made.append((timestamp // 8, packet))
            timestamp += 160
        timestamp += PAUSE
    return made


def capture(path: Path) -> None:
    """Writes a capture of both directions of a call."""
    ways = {8: (CALLER, 40000), 0: (AGENT, 40002)}
    frames = [
        (at, frame(packet, *ways[payload_type]))
        for payload_type, said in SAID.items()
        for at, packet in packets(payload_type, said)
    ]
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for at, packet in sorted(frames):
            writer.writepkt(packet, at / 1000)


async def test_both_directions_of_a_call_word_for_word(tmp_path: Path, claim: Claim) -> None:
    path, config = tmp_path / "call.pcap", tmp_path / "gateway.toml"
    capture(path)
    async with Recogniser() as server:
        config.write_text(f'[asr]\nengine = "palatine"\n[asr.palatine]\nurl = "{server.url}"\n')
        status, output, errors = await inspect(str(path), "--transcribe", "--config", str(config), "--json")
    assert status == 0, errors
    shown = {one["source"]: one for one in json.loads(output)}
    heard = [shown[f"{address}:{port}"]["text"] for address, port in (CALLER, AGENT)]
    said = [" ".join(map(word, [*before, *after])) for before, after in SAID.values()]
    claim("inspect --transcribe: words of both directions of a call", heard, heard == said)
    by_codec = {session.codec: bytes(session.audio) for session in server.sessions}
    for payload_type, codec, silence in ((8, "alaw", b"\xd5"), (0, "mulaw", b"\xff")):
        before, after = (spoken(values, gap_ms=60, codec=codec) for values in SAID[payload_type])
        assert by_codec[codec] == before + silence * PAUSE + after, "the engine gets what was captured"


async def test_recorded_speech_through_the_embedded_recogniser() -> None:
    status, output, errors = await inspect(str(DATA / "pjsua2.pcap"), "--transcribe")
    assert status == 0, errors
    *_, last = output.splitlines()
    assert last.startswith("  text  ")
    assert normalise(last.removeprefix("  text  ")) == normalise(TWO_CITIES.split(",")[0])


async def test_an_engine_that_is_not_there_is_told(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[asr]\nengine = "palatine"\nfinish_seconds = 1\n[asr.palatine]\nurl = "ws://127.0.0.1:9/"\n')
    status, output, errors = await inspect(str(DATA / "pjsua2.pcap"), "--transcribe", "--config", str(config))
    assert (status, output) == (1, "")
    assert errors.startswith("asr-gateway inspect: CONNECTION_LOST: Connect call failed ('127.0.0.1', 9)")
    assert "FINISH_TIMEOUT: the engine's last words did not come within 1 s" in errors
