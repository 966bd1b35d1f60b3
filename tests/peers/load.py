"""Call load with sipp: so many new calls a second, each answered and ended; what it counted."""

from __future__ import annotations

import asyncio
import csv
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.peers.sipp import SIPP

SCENARIO = Path(__file__).parent.parent / "sip" / "scenarios" / "call.xml"


@dataclass(frozen=True)
class Load:
    """What came of it.

    Attributes:
        answered: Calls that went from INVITE to the 200 for their BYE.
        failed: Calls that did not.
        retransmissions: Of requests, by sipp.
        most: Calls up at once, at the most.
        answer_ms: From INVITE to 200, sorted.
        cpu: Share of a core that the observed process took while the calls were at their most.
    """

    answered: int
    failed: int
    retransmissions: int
    most: int
    answer_ms: list[float]
    cpu: float

    def percentile(self, percent: float) -> float:
        """Returns a percentile of the answer time in milliseconds."""
        return self.answer_ms[min(len(self.answer_ms) - 1, int(len(self.answer_ms) * percent / 100))]


async def run(
    target: str, *, port: int, rate: int, hold_ms: int, seconds: int, pid: int, address: str = "127.0.0.1"
) -> Load:
    """Calls.

    Args:
        target: ``address:port``.
        port: sipp's own.
        rate: New calls a second.
        hold_ms: How long each lasts.
        seconds: For how long calls are begun; longer than ``hold_ms`` takes.
        pid: The process that is observed, from the time when as many calls end as begin.
        address: sipp's own.
    """
    assert SIPP, "sipp is not installed: apt-get install sip-tester"
    with tempfile.TemporaryDirectory(prefix="sipp-") as name:
        folder = Path(name)
        process = await asyncio.create_subprocess_exec(
            *(SIPP, target, "-sf", str(SCENARIO), "-i", address, "-p", str(port), "-mi", address),
            *("-m", str(rate * seconds), "-r", str(rate), "-l", str(rate * (hold_ms // 1000 + 5)), "-nostdin"),
            *("-d", str(hold_ms), "-key", "formats", "8", "-timeout", str(seconds + hold_ms // 1000 + 20)),
            *("-trace_stat", "-fd", "1", "-stf", "stat.csv", "-trace_rtt", "-rtt_freq", "1"),
            cwd=folder,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await asyncio.sleep(hold_ms / 1000 + 2)
        before, steady = _busy(pid), seconds - hold_ms / 1000 - 3
        await asyncio.sleep(steady)
        cpu = (_busy(pid) - before) / steady
        await asyncio.wait_for(process.wait(), hold_ms / 1000 + 40)
        with (folder / "stat.csv").open() as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        last = rows[-1]
        (times,) = folder.glob("*rtt.csv")  # noqa: ASYNC240 (sipp is done)
        lines = times.read_text().splitlines()[1:]
        return Load(
            answered=int(last["SuccessfulCall(C)"]),
            failed=int(last["FailedCall(C)"]),
            retransmissions=int(last["Retransmissions(C)"]),
            most=max(int(row["CurrentCall"]) for row in rows),
            answer_ms=sorted(float(line.split(";")[1]) for line in lines),
            cpu=cpu,
        )


def _busy(pid: int) -> float:
    """Returns the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
