"""Ten million hostile datagrams at a live receiver under AddressSanitizer and UBSan."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.peers.claims import Claim
from tests.peers.native import ROOT, SANITIZERS, build, runtime

DATAGRAMS = int(os.environ.get("FUZZ_DATAGRAMS", "10000000"))


def test_ten_million_hostile_datagrams(claim: Claim) -> None:
    module = build(ROOT / "gateway" / "media" / "receiver.pyx", *SANITIZERS)
    native = build(ROOT / "tests" / "peers" / "rtp_native.pyx")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("fuzz_target.py")), str(module), str(native), str(DATAGRAMS)],
        capture_output=True,
        text=True,
        timeout=3000,
        env=os.environ
        | {
            "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libubsan.so')}",
            "ASAN_OPTIONS": "detect_leaks=1:fast_unwind_on_malloc=0:malloc_context_size=12",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "LSAN_OPTIONS": "exitcode=0:max_leaks=0",  # Python itself leaves much behind; ours is looked for below
            "PYTHONMALLOC": "malloc",
        },
        check=False,
    )
    faults = re.findall(r"ERROR: AddressSanitizer.*|runtime error.*", done.stderr)
    claim("fuzz: memory errors and undefined behaviour", faults or 0, not faults and done.returncode == 0)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    claim("fuzz: datagrams at a live receiver", f"{found['sent']:,}", found["sent"] >= DATAGRAMS)
    # what the receiver itself allocated: malloc and calloc called from its own code
    leaks = [
        block
        for block in done.stderr.split("\n\n")
        if "leak of" in block and re.search(r"#1 .*__pyx_f\w*receiver_(?!\w*object)", block)
    ]
    claim("fuzz: leaks of the receiver", len(leaks), not leaks)
    claim(
        "fuzz: payload of the undisturbed legs, packets bit-exact", f"{found['good_packets']:,}", bool(found["exact"])
    )
    assert found["foreign"] > 0
    assert found["unauthentic"] > 0
    assert found["digits"] > 0
    assert found["controls"] > 0
