"""systemd hears how the gateway does, on a real datagram socket, and nothing while it hangs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway import config
from gateway.app import Gateway
from gateway.telemetry.systemd import Notifier
from tests.peers.gateway import GatewayProcess, free_port
from tests.peers.recogniser import Recogniser

UNIT = Path(__file__).parents[2] / "deploy" / "asr-gateway.service"
SECOND = 1_000_000_000


class Manager:
    """What systemd is to a service: a datagram socket, and patience."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.heard: list[str] = []

    def read(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard.append(self.socket.recv(4096).decode())
        return self.heard

    async def until(self, text: str, after: int = 0) -> int:
        """Waits for a message that begins with a text; returns how many came before it, itself included."""
        async with asyncio.timeout(30):
            while True:
                for place, message in enumerate(self.read()):
                    if place >= after and message.startswith(text):
                        return place + 1
                await asyncio.sleep(0.02)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.socket.close()


def test_it_says_what_systemd_understands_and_hides_the_socket_from_children(tmp_path: Path, manager: Manager) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "7"}
    notifier = Notifier(environment, pid=7)
    assert environment == {}
    notifier.status("one")
    notifier.status("one")
    notifier.ready()
    notifier.reloading(5_000_000)
    notifier.stopping(1.5)
    for now in range(0, 6 * SECOND, SECOND):
        notifier.alive(now)
    notifier.close()
    notifier.ready()
    assert manager.read() == [
        "STATUS=one",
        "READY=1",
        "RELOADING=1\nMONOTONIC_USEC=5000",
        "STOPPING=1\nEXTEND_TIMEOUT_USEC=1500000",
        *["WATCHDOG=1"] * 3,  # at 0, 2 and 4 s
    ]


def test_it_says_nothing_where_systemd_does_not_listen_or_watches_another(tmp_path: Path, manager: Manager) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": "vsock:2:1"}):
        notifier = Notifier(dict(environment))
        notifier.ready()
        notifier.alive(0)
        assert notifier.unsent == 0
    another = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "8"}, pid=7)
    another.alive(0)
    assert manager.read() == []


def test_a_manager_that_takes_nothing_is_not_waited_for(tmp_path: Path, manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    for number in range(5000):
        notifier.status(str(number))
    heard = len(manager.read())
    assert 0 < heard < 5000
    assert notifier.unsent == 5000 - heard
    gone = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    gone.ready()
    assert gone.unsent == 1


def test_an_abstract_socket_is_reached() -> None:
    name = f"@asr-gateway-test-{os.getpid()}"
    manager = Manager(name)
    Notifier({"NOTIFY_SOCKET": name}).ready()
    assert manager.read() == ["READY=1"]
    manager.socket.close()


async def test_a_gateway_tells_its_whole_life(
    tmp_path: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    async with Recogniser() as server:
        asr = f'[asr]\nengine = "palatine"\n[asr.palatine]\nurl = "{server.url}"\n'
        async with GatewayProcess(tmp_path, asr=asr) as gateway:
            place = await manager.until("READY=1")
            assert manager.heard[place - 2] == "STATUS=ready: 0 calls, 0 legs"
            assert set(manager.heard[: place - 2]) <= {"STATUS=starting: 0 calls, 0 legs", "WATCHDOG=1"}
            for _ in range(2):
                place = await manager.until("WATCHDOG=1", place)
            os.kill(gateway.pid, signal.SIGHUP)
            place = await manager.until("RELOADING=1\nMONOTONIC_USEC=", place)
            place = await manager.until("READY=1", place)
            assert any(line["event"] == "certificate_reloaded" for line in gateway.log)
            assert await gateway.stop() == 0
            place = await manager.until("STOPPING=1\nEXTEND_TIMEOUT_USEC=", place)
            assert int(manager.heard[place - 1].rpartition("=")[2]) > 30e6, "calls.drain_seconds, and the last words"


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Gateway]:
    """A gateway on this loop, so that a test can hold it up."""
    settings = config.Settings.model_validate(
        {
            "sip": {"listen": [f"udp:127.0.0.1:{free_port()}"]},
            "asr": {"engine": "palatine", "palatine": {"url": "ws://127.0.0.1:9/"}},
            "delivery": {"database": folder / "outbox.db"},
            "telemetry": {"metrics": ""},
            "web": {"listen": ""},
        }
    )
    gateway = Gateway(settings)
    await gateway.start()
    yield gateway
    await gateway.stop()


async def test_a_loop_that_hangs_or_a_tick_that_fails_gives_no_sign_of_life(
    tmp_path: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    async with running(tmp_path) as gateway:
        place = await manager.until("WATCHDOG=1")
        place = len(manager.read())
        time.sleep(1)  # noqa: ASYNC251 (the loop hangs)
        assert "WATCHDOG=1" not in manager.read()[place:]
        place = await manager.until("WATCHDOG=1", place)

        failed = 0

        def fail() -> None:
            nonlocal failed
            failed += 1
            raise RuntimeError("a leg cannot be told the time")

        with monkeypatch.context() as patched:
            patched.setattr(gateway._switchboard, "tick", fail)
            while not failed:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            place = len(manager.read())
            while failed < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert "WATCHDOG=1" not in manager.read()[place:]
        await manager.until("WATCHDOG=1", place)


def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    unit = tmp_path / "asr-gateway.service"
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/asr-gateway/.venv/bin/asr-gateway", sys.executable))
    for arguments in (["verify"], ["security", "--offline=true", "--threshold=20"]):
        done = subprocess.run(["systemd-analyze", *arguments, str(unit)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        assert not done.stderr.strip(), "a line that systemd passes over hardens nothing"
