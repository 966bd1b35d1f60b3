import asyncio
import os
import random
import sys
from pathlib import Path

from gateway.delivery.consumer import Answer

ROOT = Path(__file__).parents[2]
KILLS = 6


async def test_kill_9_loses_nothing_and_keeps_the_order(deliverer, consumer, endpoint, secret, tmp_path):
    draw = random.Random(20)
    url, peer, received = await consumer(lambda _: Answer(500 if draw.random() < 0.2 else 204))
    path = tmp_path / "outbox.db"
    on_disk: dict[str, int] = {}
    for run in range(KILLS):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("publisher.py")),
            str(path),
            url,
            secret,
            str(run),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdout is not None
        told = 0
        wanted = draw.randrange(20, 400)
        while line := await asyncio.wait_for(process.stdout.readline(), 20):
            # a last line may be cut off by the kill; what was not told in full is not claimed
            if line.endswith(b"\n"):
                call, seq = line.decode().split()
                assert int(seq) == on_disk.get(call, 0) + 1
                on_disk[call] = int(seq)
                told += 1
            if told == wanted:
                process.kill()
        await process.wait()
    assert len(on_disk) > 12
    last = await deliverer(endpoint("a", url, retry_seconds=[0.01] * 100), path=path)
    assert await last.flush(30) == 0
    for call, seq in on_disk.items():
        seqs = received.seqs(call)
        assert seqs[:seq] == list(range(1, seq + 1))
        assert seqs == sorted(seqs)
    assert peer.summary.out_of_order == peer.summary.bad_signature == 0
    assert len({event.id for event in received}) == len(received)
