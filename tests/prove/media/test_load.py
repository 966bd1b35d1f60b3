"""A thousand legs on one core, with all that a leg has, beside a bare receiving loop in C; needs a quiet machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.peers.claims import Claim
from tests.peers.native import ROOT

LEGS = 1000
SECONDS = float(os.environ.get("LOAD_SECONDS", "60"))
CODE = """
import json, sys
from dataclasses import asdict
from tests.bench import receiver
receiver.one_core()
kind, legs, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
if kind == "floor":
    print(json.dumps(receiver.floor(legs, seconds)))
else:
    pauses = tuple(float(at) for at in sys.argv[4:])
    print(json.dumps(asdict(receiver.measure(legs, seconds, 5, pauses))))
"""


def run(kind: str, seconds: float, *pauses: float) -> dict[str, float]:
    """Runs one measurement in a process of its own, on one core."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, kind, str(LEGS), str(seconds), *map(str, pauses)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_thousand_legs_for_a_minute(claim: Claim) -> None:
    before = run("floor", 8)
    found = run("receiver", SECONDS)
    after = run("floor", 8)
    floor = (before + after) / 2  # type: ignore[operator]
    what = f"{LEGS} legs x 50 packets/s for {SECONDS:g} s on one core"
    claim(f"{what}: packets lost", f"{found['lost']} of {found['sent']:,}", found["lost"] == found["dropped"] == 0)
    claim(f"{what}: bytes as sent", found["bytes_right"], bool(found["bytes_right"]))
    claim(
        f"{what}: packet to drain, p50 / p99 ms", f"{found['p50_ms']:.1f} / {found['p99_ms']:.1f}", found["p99_ms"] < 10
    )
    claim(
        "receiver, CPU µs a packet; bare recv loop in C in the same run; ratio",
        f"{found['thread_us']:.2f}; {floor:.2f}; {found['thread_us'] / floor:.2f}",
        found["thread_us"] <= 2 * floor,
    )
    claim(f"{what}: RTCP reports sent", found["reports"], found["reports"] >= LEGS * (SECONDS // 8))
    claim(
        f"{what}: speech activity, share of a core", f"{found['activity_share']:.1%}", found["activity_share"] <= 0.02
    )
    print(f"whole process: {found['process_share']:.1%} of a core; Python {found['chunk_us']:.1f} µs a chunk")


def test_a_pause_of_python_loses_nothing(claim: Claim) -> None:
    found = run("receiver", 10, 2, 4, 6, 8)
    worst = f"{found['lost']} packets, {found['dropped']} chunks; longest wait {found['worst_ms']:.0f} ms"
    claim(
        f"{LEGS} legs, Python stands still for 300 ms four times: lost",
        worst,
        found["lost"] == found["dropped"] == 0 and bool(found["bytes_right"]) and found["worst_ms"] >= 250,
    )
