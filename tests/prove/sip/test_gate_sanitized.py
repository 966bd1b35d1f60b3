"""The gate reads what anybody sends: mutated messages, under the compiler's sanitizers."""

from __future__ import annotations

import os
import random
import struct
import subprocess
from pathlib import Path

from tests.peers.claims import Claim
from tests.peers.fuzz import mutated, seeds
from tests.peers.gate import SOURCE
from tests.peers.torture import MESSAGES

COUNT = 200_000
DRIVER = Path(__file__).parents[2] / "peers" / "gate_fuzz.c"
FLAGS = ("-std=gnu11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def test_no_byte_is_read_that_was_not_sent(tmp_path: Path, claim: Claim) -> None:
    program = tmp_path / "gate_fuzz"
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, *FLAGS, f"-I{SOURCE.parent}", str(SOURCE), str(DRIVER), "-o", str(program)], check=True)
    chance = random.Random(11)
    whole = [text.encode("utf-8", "surrogateescape") for text in seeds(5060, "127.0.0.1:5060")]
    corpus = [*MESSAGES.values(), *whole]
    made = list(corpus)
    texts = seeds(5060, "127.0.0.1:5060")
    while len(made) < COUNT:
        message = mutated(chance.choice(texts), chance)
        cut = chance.randrange(len(message) + 1) if chance.random() < 0.3 else len(message)
        made.append(message[:cut])
    fed = b"".join(struct.pack("=I", len(message)) + message for message in made)
    run = subprocess.run([program], input=fed, capture_output=True)
    judged = int(run.stdout or 0)
    figure = f"{judged}, {run.stderr.decode(errors='replace')[:200] or 'nothing'}"
    claim("the gate under sanitizers: messages judged, what they found", figure, judged == len(made) and not run.stderr)
