"""What a leg costs: a whole gateway with many legs from SIP and RTP to the recogniser and the webhooks.

    python tests/bench/asr.py --legs 1000 --seconds 60

``asr-gateway run`` as an administrator runs it, everything on; the legs, ``fake-asr`` and the webhook consumer are
processes of their own on another core. Prints the CPU time of all the gateway's processes for an hour of a leg, the
time from a packet to the write that hands it to the recogniser, memory, and what was lost. ``--profile FILE`` needs
py-spy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import usage
from tests.bench.legs import CYCLE, Legs, elsewhere, speech
from tests.peers.certificates import Authority
from tests.peers.gateway import SECRET, free_port

ROOT = Path(__file__).resolve().parents[2]
WARM = 12.0  # seconds from the first packet to the measurement: every leg has begun to speak
WRITE = "asr_gateway_packet_to_asr_write_seconds"


@dataclass(frozen=True)
class Figures:
    """The result of one run.

    Attributes:
        leg_hour: CPU-seconds of all the gateway's processes for an hour of a leg.
        shares: Of them, by thread of the main process; and of the signalling process as ``signalling``.
        p50_ms: From packet to write, likewise p99_ms.
        within_10_ms: Share of the writes within 10 ms of their packet.
        leg_bytes: Memory for each leg.
        exact: Legs whose transcript is what was said, word for word.
        unsent: Samples that were sent by RTP and not to the recogniser.
        heard: Samples that the recogniser got, less those that were sent by RTP.
        dropped: Chunks that the receiver dropped.
        waited: Share of the time that the gateway's threads were ready to run while no core was free for them.
        peers: Share of a core that the other processes of the bench took, and the rest of the machine.
        webhooks: What the consumer counted.
    """

    legs: int
    seconds: float
    leg_hour: float
    shares: dict[str, float]
    writes: int
    p50_ms: float
    p99_ms: float
    within_10_ms: float
    leg_bytes: float
    exact: int
    unsent: int
    heard: int
    dropped: float
    webhooks: dict[str, int]
    waited: float
    peers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Attributes:
        legs: How many.
        seconds: How long.
        tls: Whether the recogniser is reached by TLS.
        asr: Further lines of ``[asr.palatine]``.
        partials: Whether the consumer gets partials, too.
    """

    legs: int = 1000
    seconds: float = 60.0
    tls: bool = False
    asr: str = ""
    partials: bool = False
    profile: str = ""


def configuration(folder: Path, setting: Setting, url: str, hook: str) -> tuple[Path, int, int]:
    """Writes the gateway's configuration; returns it, and its SIP and metrics ports."""
    sip, metrics, web = free_port(), free_port(), free_port()
    wanted = '["*"]' if setting.partials else '["call.*", "leg.*", "asr.*", "transcript.final", "transcript.refined"]'
    (folder / "secret").write_text(SECRET, encoding="utf-8")
    path = folder / "gateway.toml"
    path.write_text(
        f"""
[sip]
listen = ["udp:127.0.0.1:{sip}"]
max_calls = {setting.legs + 10}
[asr]
engine = "palatine"
[asr.palatine]
url = "{url}"
token = "bench"
{setting.asr}
[delivery]
database = "{folder}/outbox.db"
[[delivery.endpoints]]
name = "consumer"
url = "{hook}"
secret_file = "{folder}/secret"
events = {wanted}
[telemetry]
metrics = "127.0.0.1:{metrics}"
log_format = "json"
[web]
listen = "127.0.0.1:{web}"
""",
        encoding="utf-8",
    )
    return path, sip, metrics


def buckets(metrics: int) -> tuple[list[tuple[float, float]], float]:
    """Scrapes the gateway: counts of writes by upper bound, and chunks dropped."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.findall(rf'^{WRITE}_bucket{{le="([^"]+)"}} (\S+)', text, re.MULTILINE)
    dropped = re.search(r"^asr_gateway_receiver_dropped_items(?:_total)? (\S+)", text, re.MULTILINE)
    assert found
    assert dropped
    return [(float(bound), float(count)) for bound, count in found], float(dropped[1])


def quantile(counts: list[tuple[float, float]], share: float) -> float:
    """Returns a quantile as Prometheus reckons it: evenly spread inside a bucket."""
    rank, low, below = share * counts[-1][1], 0.0, 0.0
    for bound, count in counts:
        if count >= rank:
            return low + (bound - low) * (rank - below) / (count - below) if bound != float("inf") else low
        low, below = bound, count
    return low


@contextmanager
def process(*command: object, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Runs one of the peers, on the last core."""
    started = subprocess.Popen([str(word) for word in command], preexec_fn=elsewhere, **options)  # type: ignore[call-overload]
    try:
        yield started
    finally:
        if started.poll() is None:
            started.terminate()
        started.wait(20)


def in_file(path: Path, pattern: str) -> re.Match[str] | None:
    """Looks for a text in a file that may not be there yet."""
    return re.search(pattern, path.read_text()) if path.exists() else None


def profile(pid: int, setting: Setting) -> subprocess.Popen[bytes]:
    """Writes what a process does, by its stacks."""
    command = ["py-spy", "record", "-d", str(int(setting.seconds) - 2), "-r", "250", "-o", setting.profile]
    return subprocess.Popen([*command, "-f", "raw", "-p", str(pid)])


async def until(path: Path, pattern: str, seconds: float = 30.0) -> re.Match[str]:
    """Waits for a text in a file."""
    async with asyncio.timeout(seconds):
        while not (found := in_file(path, pattern)):  # noqa: ASYNC110 (another process writes it)
            await asyncio.sleep(0.1)
    return found


async def measure(setting: Setting, folder: Path) -> Figures:
    """Runs everything once."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("ASR_GATEWAY__")}
    tls: list[object] = []
    if setting.tls:
        authority = Authority(folder)
        tls = ["--tls", *authority.issue("localhost")]
        environment["SSL_CERT_FILE"] = str(authority.ca)
    python, module = sys.executable, "gateway.cli"
    with (
        (folder / "fake").open("wb") as said,
        (folder / "hooks").open("wb") as hooked,
        (folder / "log").open("wb") as log,
        process(python, "-m", module, "fake-asr", "--palatine", 0, *tls, stdout=said) as fake,
        process(
            *(python, "-m", "tests.peers.webhook_server", SECRET, 0.005, 0, folder / "completed"),
            stdin=subprocess.PIPE, stdout=hooked, cwd=ROOT,
        ) as consumer,
    ):  # fmt: skip
        url = (await until(folder / "fake", r"ready at (\S+)"))[1]
        hook = (await until(folder / "hooks", r"(\d+)\n"))[1]
        config, sip, metrics = configuration(folder, setting, url, f"http://127.0.0.1:{hook}/")
        run = subprocess.Popen(  # noqa: ASYNC220
            [python, "-m", module, "run", "--config", str(config)], stderr=log, env=environment
        )
        try:
            await until(folder / "log", '"listening"')
            peers = {"fake": fake.pid, "consumer": consumer.pid}
            figures = await _legs(setting, run.pid, sip, metrics, peers)
        finally:
            run.terminate()
            status = run.wait(60)
        assert consumer.stdin is not None
        consumer.stdin.close()
        consumer.wait(20)
        fake.terminate()
        fake.wait(20)
        assert status == 0, (folder / "log").read_text()[-2000:]
    return _judged(figures, folder)


async def _legs(setting: Setting, pid: int, sip: int, metrics: int, peers: dict[str, int]) -> Figures:
    """Dials, speaks, measures, hangs up."""
    pids = usage.family(pid)
    empty = sum(usage.memory(one) for one in pids)
    legs = Legs(setting.legs, sip)
    await legs.dial()
    said = speech(setting.seconds + WARM - CYCLE + 2)
    with legs.speak(said, WARM + setting.seconds + 3) as sender:
        await asyncio.sleep(WARM)
        peers["sender"] = sender.pid
        begun = asyncio.get_running_loop().time()
        before, threads = [usage.cpu_seconds(one) for one in pids], usage.thread_seconds(pid)
        others = {name: usage.cpu_seconds(one) for name, one in peers.items()}
        waited, busy = usage.waited_seconds(pid), usage.busy_seconds()
        first, _ = buckets(metrics)
        profiler = profile(pid, setting) if setting.profile else None
        await asyncio.sleep(setting.seconds)
        after, then = [usage.cpu_seconds(one) for one in pids], usage.thread_seconds(pid)
        seconds = asyncio.get_running_loop().time() - begun
        others = {name: (usage.cpu_seconds(one) - others[name]) / seconds for name, one in peers.items()}
        waited, busy = (usage.waited_seconds(pid) - waited) / seconds, (usage.busy_seconds() - busy) / seconds
        strangers = busy - sum(others.values()) - (sum(after) - sum(before)) / seconds
        last, dropped = buckets(metrics)
        full = sum(usage.memory(one) for one in usage.family(pid))
        if profiler is not None:
            profiler.wait(30)
        assert sender.stdout is not None
        expected = int((WARM + setting.seconds + 3) * 50) * setting.legs
        assert int(sender.stdout.read()) == expected
    await legs.hang_up()
    scale = 3600 / seconds / setting.legs
    shares = {name: (used - threads.get(name, 0.0)) * scale for name, used in then.items()}
    for one, used, earlier in zip(pids[1:], after[1:], before[1:], strict=True):
        name = "signalling" if "gateway.sip" in usage.command(one) else usage.command(one)
        shares[name] = (used - earlier) * scale
    writes = [(bound, count - was) for (bound, count), (_, was) in zip(last, first, strict=True)]
    within = next(count for bound, count in writes if bound == 0.01)
    return Figures(
        legs=setting.legs,
        seconds=seconds,
        leg_hour=(sum(after) - sum(before)) * scale,
        shares=dict(sorted(shares.items(), key=lambda item: -item[1])),
        writes=int(writes[-1][1]),
        p50_ms=quantile(writes, 0.5) * 1000,
        p99_ms=quantile(writes, 0.99) * 1000,
        within_10_ms=within / writes[-1][1],
        leg_bytes=(full - empty) / setting.legs,
        exact=0,
        unsent=expected * 160,
        heard=-expected * 160,
        dropped=dropped,
        webhooks={"words": len(said.words)},
        peers=others | {"strangers": strangers},
        waited=waited,
    )


def _judged(figures: Figures, folder: Path) -> Figures:
    """Adds what the consumer and the recogniser got."""
    sessions = [json.loads(line) for line in (folder / "fake").read_text().splitlines() if line.startswith("{")]
    calls = [json.loads(line) for line in (folder / "completed").read_text().splitlines()]
    words = [f"w{code}" for code in range(figures.webhooks["words"])]
    legs = [leg for call in calls for leg in call["data"]["legs"]]
    exact = 0
    for call in calls:
        for leg in call["data"]["legs"]:
            texts = [said["text"] for said in call["data"]["utterances"] if said["leg"] == leg["leg"]]
            exact += " ".join(texts).split() == words and leg["unrecognised"] == 0
    values = figures.__dict__ | {
        "exact": exact,
        "unsent": figures.unsent - sum(leg["sent"] for leg in legs),
        "heard": figures.heard + sum(session["bytes"] for session in sessions),
        "webhooks": json.loads((folder / "hooks").read_text().splitlines()[1]),
    }
    return Figures(**values)


def shown(name: str, found: Figures) -> list[str]:
    """Returns the figures as lines."""
    shares = ", ".join(f"{name} {share:.2f}" for name, share in found.shares.items() if share >= 0.005)
    hooks = ", ".join(f"{key} {found.webhooks[key]}" for key in ("count", "duplicates", "gaps", "forged"))
    return [
        f"{name}: {found.legs} legs, {found.seconds:.0f} s",
        f"  CPU-seconds per leg-hour  {found.leg_hour:.2f}  ({shares})",
        f"  packet to write, ms       p50 {found.p50_ms:.1f}  p99 {found.p99_ms:.1f}  "
        f"({found.within_10_ms:.2%} of {found.writes} within 10 ms)",
        f"  ready, but no core free   {found.waited:.1%} of the time",
        f"  memory per leg            {found.leg_bytes / 1024:.0f} KiB",
        f"  transcripts word for word {found.exact} of {found.legs}; samples not sent {found.unsent}, "
        f"not heard {-found.heard}; chunks dropped {found.dropped:.0f}",
        f"  webhooks                  {hooks}",
        "  peers, share of a core    " + ", ".join(f"{key} {share:.0%}" for key, share in found.peers.items()),
    ]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--legs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--partials", action="store_true", help="send partials by webhook, too")
    parser.add_argument("--message-ms", type=int)
    parser.add_argument("--profile", default="", metavar="FILE", help="stacks by py-spy")
    given = parser.parse_args()
    asr = f"message_ms = {given.message_ms}" if given.message_ms else ""
    setting = Setting(given.legs, given.seconds, given.tls, asr, given.partials, given.profile)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found = await measure(setting, Path(folder))
    print("\n".join(shown("TLS" if given.tls else "plain", found)))


if __name__ == "__main__":
    asyncio.run(main())
