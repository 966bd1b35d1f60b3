"""The consumers of the docs, as they are printed there: fed by the real delivery, with a repeat and a forgery."""

import asyncio
import os
import shutil
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from gateway import schema
from gateway.delivery import signing
from gateway.delivery.outbox import Outbox
from gateway.delivery.settings import Delivery, Endpoint
from gateway.delivery.webhooks import Deliverer
from tests.peers.gateway import SECRET, free_port

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PACKAGES = Path(__file__).parents[1] / "peers" / "js" / "node_modules"
COMMANDS = {"consumer.py": [sys.executable], "consumer.mjs": ["node"]}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_is_short(name: str) -> None:
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.parametrize("name", COMMANDS)
async def test_an_example_consumes_a_call(name: str, tmp_path: Path) -> None:
    script = tmp_path / name
    shutil.copy(EXAMPLES / name, script)
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(*COMMANDS[name], str(script), str(port)),
        env={**os.environ, "WEBHOOK_SECRET": SECRET},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = f"http://127.0.0.1:{port}/"
    events = schema.examples()
    # two secrets, as during a rotation: the official library must find its signature
    endpoint = Endpoint(name="a", url=url, secret="whsec_" + "QkJC" * 8, other_secret=SECRET, retry_seconds=[0.1] * 100)
    path = tmp_path / "outbox.db"
    deliver = Deliverer(Outbox(path), Delivery(database=path, endpoints=[endpoint]))
    try:
        await deliver.start()
        for event in events:
            deliver.publish(event)
        assert await deliver.flush(20) == 0
        async with aiohttp.ClientSession() as session:
            body = events[0].wire()
            headers = signing.headers([signing.signer(SECRET)], events[0].id, int(time.time()), body)
            async with session.post(url, data=body, headers=headers) as repeat:
                assert repeat.status == 204
            async with session.post(url, data=body.replace(b"alaw", b"ulaw"), headers=headers) as forged:
                assert forged.status == 401
        process.terminate()
        output = (await asyncio.wait_for(process.stdout.read(), 10)).decode().splitlines()
    finally:
        await deliver.stop()
        if process.returncode is None:
            process.kill()
        await process.wait()
    call = events[0].call.id
    durable = [event for event in events if event.durable]
    assert [line.split()[:2] for line in output] == [[call, str(event.seq)] for event in durable]
    assert f"{call} 5 caller #1: good mourning" in output
    assert f"{call} 6 caller #1: good morning" in output
    assert output[-1] == f"{call} {len(durable)} complete: good morning"
