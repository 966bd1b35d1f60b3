"""sipvicious, the scanner that everybody with an open SIP port meets: its three tools, each with an end."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.peers.gateway import free_port

SECONDS = 25
"""How long a tool may take; some go on for ever when all that they get is 403."""


@dataclass(frozen=True)
class Finding:
    """What a tool said.

    Attributes:
        tool: Its name and what it was told to do.
        output: All that it printed.
        stopped: It did not end by itself in time, and told what it had found when it was interrupted.
    """

    tool: str
    output: str
    stopped: bool

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The rows of its table of findings, without the head."""
        lines = [line for line in self.output.splitlines() if line.startswith("|")]
        return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[1:]]

    @property
    def nothing(self) -> bool:
        return "found nothing" in self.output and not self.rows

    @property
    def figure(self) -> str:
        if self.nothing:
            return f"nothing in {SECONDS} s" if self.stopped else "nothing"
        return ", ".join(" ".join(row) for row in self.rows[:3]) or "no verdict"


async def scan(tool: str, port: int, *options: str) -> Finding:
    """Runs ``svmap``, ``svwar`` or ``svcrack`` against a port of this machine; its packets come from 127.0.0.1."""
    program = Path(sys.executable).parent / f"sipvicious_{tool}"
    process = await asyncio.create_subprocess_exec(
        *(str(program), "-p", str(port), "-P", str(free_port()), *options, "127.0.0.1"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    stopped = False
    reading = asyncio.ensure_future(process.communicate())
    done, _ = await asyncio.wait([reading], timeout=SECONDS)
    if not done:
        stopped = True
        process.send_signal(signal.SIGINT)
        done, _ = await asyncio.wait([reading], timeout=5)
    if not done:
        process.kill()
    output, _ = await reading
    return Finding(" ".join((tool, *options)), output.decode(errors="replace"), stopped)
