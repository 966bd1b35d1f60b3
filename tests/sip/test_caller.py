"""The test caller against the real signalling process, its RTP counted at a socket of ours."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.sip.audio import FRAME, save
from gateway.sip.caller import CallerError, target_uri
from gateway.sip.commands import Accept, Hangup, Reject
from gateway.sip.events import Ended, Incoming
from tests.sip.conftest import Signalling, Start


async def call(*arguments: str) -> tuple[int, dict[str, Any], str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.sip.caller", *arguments, "--json"), stdout=-1, stderr=-1
    )
    async with asyncio.timeout(30):
        out, errors = await process.communicate()
    lines = out.decode().splitlines()
    return process.returncode or 0, json.loads(lines[-1]) if lines else {}, out.decode() + errors.decode()


class Sink:
    """Takes RTP."""

    def __init__(self) -> None:
        self.packets: list[tuple[float, bytes]] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self.socket, self._read)

    def _read(self) -> None:
        self.packets.append((time.time(), self.socket.recv(4096)))

    @property
    def payload(self) -> bytes:
        return b"".join(packet[12:] for _, packet in self.packets)

    async def accept(self, gateway: Signalling, count: int = 1) -> Incoming:
        incoming = await gateway.wait_for(Incoming, count)
        gateway.link.send(Accept(incoming.dialog, "127.0.0.1", [self.socket.getsockname()[1]]))
        return incoming

    async def flowing(self) -> None:
        while len(self.packets) < 5:  # noqa: ASYNC110 (the sleep is the point of it: some speech goes by)
            await asyncio.sleep(0.01)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()


@pytest.fixture
async def gateway(start: Start) -> Signalling:
    return await start(accepts=False)


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """Half a second that is not a whole number of packets."""
    samples = (np.sin(np.arange(4001) / 5) * 9000).astype(np.int16)
    save(tmp_path / "tone.wav", samples)
    return tmp_path / "tone.wav"


@pytest.mark.parametrize(("codec", "payload_type", "silence"), [("alaw", 8, 0xD5), ("mulaw", 0, 0xFF)])
async def test_every_sample_is_sent_once(
    gateway: Signalling, tone: Path, codec: str, payload_type: int, silence: int
) -> None:
    sink = Sink()
    options = ("--leg", "agent", "--call-id", "k1", "--header", "X-More: a b", "--from", "4930")
    running = asyncio.create_task(
        call(f"sip:77@127.0.0.1:{gateway.port}", "--audio", str(tone), str(tone), "--codec", codec, *options)
    )
    incoming = await sink.accept(gateway)
    code, report, text = await running
    sink.close()
    assert code == 0, text
    frames = -(-4001 // FRAME)
    assert (report["result"], report["code"], report["codec"]) == ("played", 200, codec)
    assert report["packets"] == len(sink.packets) == 2 * frames
    assert report["payload_bytes"] == len(sink.payload) == 2 * frames * FRAME
    assert sink.payload[: frames * FRAME] == sink.payload[frames * FRAME :]
    assert sink.payload[4001 : frames * FRAME] == bytes([silence]) * (frames * FRAME - 4001)
    assert {packet[1] & 0x7F for _, packet in sink.packets} == {payload_type}
    for file, first, last in zip(report["files"], (0, frames), (frames - 1, -1), strict=True):
        assert file["samples"] == frames * FRAME
        assert abs(file["began"] - sink.packets[first][0]) < 0.05
        assert abs(file["ended"] - sink.packets[last][0]) < 0.05
    assert incoming.headers["x-call-id"] == ["k1"]
    assert incoming.headers["x-call-leg"] == ["agent"]
    assert incoming.headers["x-more"] == ["a b"]
    assert incoming.from_uri.startswith("sip:4930@")
    assert incoming.sip_call_id == report["sip_call_id"]
    assert (await gateway.wait_for(Ended)).reason == "bye"


async def test_hanging_up_in_the_middle(gateway: Signalling, tone: Path) -> None:
    sink = Sink()
    address = f"127.0.0.1:{gateway.port}"
    running = asyncio.create_task(call(address, "--audio", str(tone), "--hangup-after", "0.2"))
    await sink.accept(gateway)
    code, report, text = await running
    sink.close()
    assert (code, report["result"]) == (0, "hung_up"), text
    assert 0 < report["packets"] == len(sink.packets) < 26
    assert report["files"][0]["ended"] == 0


async def test_a_refusal_is_told_with_its_code(gateway: Signalling, tone: Path) -> None:
    running = asyncio.create_task(call(f"127.0.0.1:{gateway.port}", "--audio", str(tone)))
    gateway.link.send(Reject((await gateway.wait_for(Incoming)).dialog, 503, retry_after=5))
    code, report, text = await running
    assert code == 1
    assert (report["result"], report["code"], report["packets"]) == ("refused", 503, 0)
    assert "refused: 503" in text


async def test_the_peer_hanging_up_is_a_failure(gateway: Signalling, tone: Path) -> None:
    sink = Sink()
    running = asyncio.create_task(call(f"127.0.0.1:{gateway.port}", "--audio", str(tone)))
    incoming = await sink.accept(gateway)
    await sink.flowing()
    gateway.link.send(Hangup(incoming.dialog))
    code, report, _ = await running
    sink.close()
    assert (code, report["result"]) == (1, "ended_by_peer")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("127.0.0.1:5", "--audio", "/missing.wav"), "/missing.wav: No such file"),
        (("http://x", "--audio", "/missing.wav"), "is not sip:USER@HOST:PORT"),
        (("127.0.0.1:5", "--audio", "/missing.wav", "--header", "nonsense"), "write 'Name: value'"),
    ],
)
async def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], says: str) -> None:
    code, _, text = await call(*arguments)
    assert code == 1
    assert says in text
    assert "Traceback" not in text


def test_targets() -> None:
    assert target_uri("7@h:5060") == "sip:7@h:5060"
    assert target_uri("sip:7@[::1]:5060;transport=tcp") == "sip:7@[::1]:5060;transport=tcp"
    with pytest.raises(CallerError):
        target_uri("sip:a b@h")
