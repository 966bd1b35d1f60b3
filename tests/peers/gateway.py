"""A whole gateway as an administrator runs it: ``asr-gateway run`` in a process of its own, and a webhook consumer."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import events
from gateway.delivery.consumer import Answer, Consumer
from tests.peers import hygiene
from tests.peers.contract import faults

SECRET = "whsec_" + "QUJD" * 8
START_SECONDS = 60.0

_given: set[int] = set()


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """Returns an even port that is free, as is the one above it.

    It lies between the gateway's media ports and those that the system gives to connections that go out: one of the
    latter may be taken between here and the program that is to listen there.
    """
    while True:
        port = random.randrange(20480, 32768, 2)
        if port in _given:
            continue
        try:
            for number in (port, port + 1):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", number))
        except OSError:
            continue
        _given.add(port)
        return port


@dataclass
class Received:
    """One call as the consumer saw it."""

    events: list[events.Event] = field(default_factory=list)

    def of(self, kind: type) -> list[Any]:
        return [event.data for event in self.events if isinstance(event.data, kind)]

    @property
    def types(self) -> list[str]:
        """Types of the durable events, in the order in which they came."""
        return [event.type for event in self.events if event.durable]

    @property
    def completed(self) -> events.TranscriptCompleted | None:
        found = self.of(events.TranscriptCompleted)
        assert len(found) <= 1, "completed twice"
        return found[0] if found else None

    def text(self, leg: str = "caller") -> str:
        assert self.completed is not None
        return " ".join(words.text for words in self.completed.utterances if words.leg == leg)


class GatewayProcess:
    """Runs a gateway and consumes its webhooks.

    Args:
        folder: For its configuration, database and log.
        settings: TOML that is added to what is set here; tables named here cannot be named again.
        asr: The ``[asr]`` table and what is below it.
        answer: What the consumer answers; 204 to all when None.
        networks: Of the one peer.
        max_calls: As ``sip.max_calls``.
        listen: Addresses beside its UDP one, as in ``sip.listen``; ``tcp`` alone for TCP on the same port.
        peer: Further lines of the peer's section.
        web: TOML that goes on the ``[web]`` table.
        retry_seconds: Of the one endpoint.
    """

    def __init__(
        self,
        folder: Path,
        *,
        asr: str = "",
        settings: str = "",
        answer: Callable[[events.Event], Answer] | None = None,
        networks: str = '["127.0.0.0/8"]',
        max_calls: int = 4,
        listen: Sequence[str] = (),
        peer: str = "",
        web: str = "",
        retry_seconds: str = "[0.2, 0.4, 0.8, 1.6]",
    ) -> None:
        self._web = web
        self.folder = folder
        self.sip_port = free_port()
        self.metrics_port = free_port(socket.SOCK_STREAM)
        self.web_port = free_port(socket.SOCK_STREAM)
        self.calls: dict[str, Received] = {}
        self.consumer = Consumer(SECRET, self._take, answer=answer, on_body=self._check)
        self.misfits: list[str] = []
        self._settings = settings
        self._asr = asr or f'[asr]\n[asr.embedded]\nlisten = "127.0.0.1:{free_port(socket.SOCK_STREAM)}"\n'
        here = f"127.0.0.1:{self.sip_port}"
        addresses = [f"udp:{here}", *(f"tcp:{here}" if address == "tcp" else address for address in listen)]
        self._sip = f"listen = {json.dumps(addresses)}\nmax_calls = {max_calls}\nretry_after = 7"
        self._networks = networks
        self._peer = peer
        self._retry_seconds = retry_seconds
        self._changed = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def sip(self) -> str:
        return f"127.0.0.1:{self.sip_port}"

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it logged."""
        lines = (self.folder / "log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def __aenter__(self) -> GatewayProcess:
        url = await self.consumer.start()
        (self.folder / "secret").write_text(SECRET, encoding="utf-8")
        config = self.folder / "gateway.toml"
        config.write_text(
            f"""
[sip]
{self._sip}
[[sip.peers]]
name = "pbx"
networks = {self._networks}
{self._peer}
{self._asr}
[delivery]
database = "{self.folder}/outbox.db"
[[delivery.endpoints]]
name = "consumer"
url = "{url}"
secret_file = "{self.folder}/secret"
retry_seconds = {self._retry_seconds}
[telemetry]
metrics = "127.0.0.1:{self.metrics_port}"
log_format = "json"
[web]
listen = "127.0.0.1:{self.web_port}"
{self._web}
{self._settings}
""",
            encoding="utf-8",
        )
        await self.start()
        return self

    async def start(self) -> None:
        """Starts it, or starts it again."""
        config = self.folder / "gateway.toml"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ASR_GATEWAY__")}
        log_path = self.folder / "log"
        if log_path.exists():  # of a run before
            log_path.rename(self.folder / f"log.{time.monotonic_ns()}")
        with log_path.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway.cli", "run", "--config", str(config)), stderr=log, env=environment
            )
        async with asyncio.timeout(START_SECONDS):
            while not any(line.get("event") == "listening" for line in self.log):
                assert self._process.returncode is None, (self.folder / "log").read_text()
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """Kills it, as a crash or the kernel would; its consumer goes on."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def __aexit__(self, *_: object) -> None:
        assert self.misfits == [], "events were sent that do not fit the published schema"
        assert await self.stop() == 0, (self.folder / "log").read_text()[-4000:]

    async def stop(self) -> int:
        """Asks it to stop, as systemd does, and then its consumer; returns its exit status."""
        status = await self.drain()
        await self.consumer.stop()
        return status

    async def drain(self) -> int:
        """Asks it to stop and waits until it has; its consumer goes on. Returns its exit status."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        status = await asyncio.wait_for(self._process.wait(), 60)
        self._say_what_must_not_be_logged()
        return status

    def children(self, module: str) -> list[int]:
        """Returns the process ids of its direct children that run a module."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        found = [int(pid) for pid in listed if module in Path(f"/proc/{pid}/cmdline").read_text()]
        assert found, f"no child runs {module}"
        return found

    async def completed(self, count: int = 1, seconds: float = 60) -> list[Received]:
        """Waits until so many calls are complete; returns them in the order in which they began."""
        return await self.until(lambda calls: sum(call.completed is not None for call in calls) >= count, seconds)

    async def until(self, condition: Callable[[list[Received]], bool], seconds: float = 30) -> list[Received]:
        """Waits until the calls fulfil a condition."""
        async with asyncio.timeout(seconds):
            while not condition(list(self.calls.values())):
                self._changed.clear()
                await self._changed.wait()
        return list(self.calls.values())

    def _say_what_must_not_be_logged(self) -> None:
        shown = tomllib.loads((self.folder / "gateway.toml").read_text(encoding="utf-8"))["telemetry"]
        for received in self.calls.values():
            call = received.events[0].call
            if not shown.get("log_numbers"):
                hygiene.LOOKED_FOR.number(call.from_number, call.to_number)
            if not shown.get("log_transcripts"):
                for said in received.of(events.Words):
                    hygiene.LOOKED_FOR.words(said.text)

    def _check(self, body: bytes) -> None:
        self.misfits += faults(body)

    def _take(self, event: events.Event, _arrived: float) -> None:
        self.calls.setdefault(event.call.id, Received()).events.append(event)
        self._changed.set()


async def call(target: str, *arguments: str, seconds: float = 120) -> dict[str, Any]:
    """Places a call with ``asr-gateway call``; returns its report."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "call", f"sip:test@{target}", "--json", *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds)
    finally:
        if process.returncode is None:
            process.kill()
    report: dict[str, Any] = json.loads(output.splitlines()[-1])
    return report
