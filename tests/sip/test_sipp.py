"""The signalling process and a real sipp."""

from __future__ import annotations

import asyncio
import shutil
import socket
import struct
from pathlib import Path

import pytest

from gateway.sip.commands import Accept
from gateway.sip.events import Ended, Established, Incoming
from tests.peers import sipp
from tests.sip.conftest import Start

SCENARIOS = Path(__file__).parent / "scenarios"
pytestmark = pytest.mark.skipif(shutil.which("sipp") is None, reason="sipp is missing: apt-get install sip-tester")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_calls_at_once(start: Start, transport: str) -> None:
    gateway = await start()
    port = gateway.ready.listening[["udp", "tcp"].index(transport)].rpartition(":")[2]
    run = await sipp.run(
        SCENARIOS / "call.xml",
        f"127.0.0.1:{port}",
        port=free_port(),
        calls=8,
        at_once=4,
        rate=20,
        transport=transport,
        keys={"formats": "0 8"},
        hold_ms=300,
    )
    assert run.passed, run.errors or run.messages
    await gateway.wait_for(Ended, 8)
    assert len(gateway.of(Incoming)) == len(gateway.of(Established)) == len(gateway.of(Ended)) == 8
    assert {event.reason for event in gateway.of(Ended)} == {"bye"}
    assert {event.transport for event in gateway.of(Incoming)} == {transport}
    assert run.messages.count("RTP/AVP 0\n") == 8
    assert "retransmi" not in run.messages.lower()


async def test_cancel(start: Start) -> None:
    gateway = await start(accepts=False)
    run = await sipp.run(SCENARIOS / "cancel.xml", f"127.0.0.1:{gateway.port}", port=free_port())
    assert run.passed, run.errors or run.messages
    ended = await gateway.wait_for(Ended)
    assert (ended.reason, ended.code) == ("cancel", 487)


async def test_its_rtp_is_the_file(start: Start, tmp_path: Path) -> None:
    gateway = await start(accepts=False)
    payload = bytes(range(256)) * 30
    (tmp_path / "speech.raw").write_bytes(payload)
    packets = len(payload) // 160
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp:
        rtp.bind(("127.0.0.1", 0))
        rtp.settimeout(2)
        running = asyncio.create_task(
            sipp.run(
                SCENARIOS / "play.xml",
                f"127.0.0.1:{gateway.port}",
                port=free_port(),
                keys={"formats": "8"},
                hold_ms=1200,
                folder=tmp_path,
            )
        )
        incoming = await gateway.wait_for(Incoming)
        gateway.link.send(Accept(incoming.dialog, "127.0.0.1", [rtp.getsockname()[1]]))
        run = await running
        received = [rtp.recv(2048) for _ in range(packets)]
    assert run.passed, run.errors or run.messages
    assert packets == 48
    assert b"".join(packet[12:] for packet in received) == payload
    numbers, times = zip(*(struct.unpack(">HI", packet[2:8]) for packet in received), strict=True)
    assert [(number - numbers[0]) & 0xFFFF for number in numbers] == list(range(packets))
    assert [(time - times[0]) & 0xFFFFFFFF for time in times] == [n * 160 for n in range(packets)]
    assert {packet[1] & 0x7F for packet in received} == {8}
