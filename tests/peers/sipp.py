"""sipp (Debian's sip-tester) as the PBX: runs scenarios. Their RTP is ``rtp_stream``, which needs no root."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

SIPP = shutil.which("sipp")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        exit_code: 0 when all calls went as the scenario says.
        messages: sipp's trace of every message sent and received.
        errors: What it complained of.
    """

    exit_code: int
    messages: str
    errors: str

    @property
    def passed(self) -> bool:
        return self.exit_code == 0


async def run(
    scenario: Path,
    target: str,
    *,
    port: int,
    media_port: int = 0,
    calls: int = 1,
    rate: int = 10,
    at_once: int = 10,
    user: str = "service",
    keys: dict[str, str] | None = None,
    hold_ms: int = 1000,
    folder: Path | None = None,
    transport: str = "udp",
    give_up: int = 30,
) -> Run:
    """Runs a scenario to its end.

    Args:
        scenario: The XML file.
        target: ``host:port``.
        port: sipp's own SIP port.
        media_port: Where its RTP comes from; 0 for sipp's choice.
        calls: How many in all.
        rate: New calls a second.
        at_once: The most of them at a time.
        user: User part of the request URI, ``[service]``.
        keys: Values for ``[NAME]`` in the scenario's messages.
        hold_ms: How long a ``<pause/>`` lasts.
        folder: Where files that the scenario names are looked for; None for the scenario's own folder.
        transport: ``udp`` or ``tcp``.
        give_up: Seconds after which sipp gives up, with an error.
    """
    assert SIPP, "sipp is not installed: apt-get install sip-tester"
    with tempfile.TemporaryDirectory(prefix="sipp-") as traces:
        messages, errors = Path(traces) / "messages", Path(traces) / "errors"
        command = [
            *(SIPP, target, "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(port), "-mi", "127.0.0.1"),
            *("-m", str(calls), "-r", str(rate), "-l", str(at_once), "-s", user, "-nostdin", "-d", str(hold_ms)),
            *("-t", {"udp": "u1", "tcp": "t1"}[transport], "-timeout", str(give_up), "-timeout_error"),
            *("-trace_msg", "-message_file", str(messages), "-trace_err", "-error_file", str(errors)),
        ]
        if media_port:
            command += ["-mp", str(media_port)]
        for name, value in (keys or {}).items():
            command += ["-key", name, value]
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder or scenario.parent,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await asyncio.wait_for(process.wait(), give_up + 10)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        read = [path.read_text(errors="replace") if path.exists() else "" for path in (messages, errors)]
        return Run(process.returncode or 0, *read)
