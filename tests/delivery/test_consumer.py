import asyncio
import json
import signal
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from gateway.delivery import signing
from gateway.delivery.consumer import Answer, Consumer
from gateway.events import Event

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def post(secret):
    async with aiohttp.ClientSession() as session:

        async def send(url, event, *, key=None, body=None):
            body = event.wire() if body is None else body
            headers = signing.headers([signing.signer(key or secret)], "id1", int(time.time()), body)
            async with session.post(url, data=body, headers=headers) as response:
                return response.status, await response.text()

        yield send


async def test_it_counts_gaps_repeats_and_what_comes_too_early(consumer, calls, post):
    url, peer, received = await consumer()
    one, two, three, four = (calls.held("c1") for _ in range(4))
    for event in (one, two, two, four, three):
        assert (await post(url, event))[0] == 204
    assert received == [one, two, four, three]
    summary = peer.summary
    assert (summary.received, summary.verified, summary.accepted) == (5, 5, 4)
    assert (summary.duplicates, summary.out_of_order) == (1, 2)
    assert not summary.good


async def test_calls_are_counted_apart_and_begin_with_one(consumer, calls, post):
    url, peer, _ = await consumer()
    for call in ("c1", "c2", "c1", "c2"):
        await post(url, calls.held(call))
    assert peer.summary.good
    calls.held("c3")
    await post(url, calls.held("c3"))
    assert peer.summary.out_of_order == 1


async def test_a_partial_must_carry_the_number_of_the_event_before_it(consumer, calls, post):
    url, peer, received = await consumer()
    await post(url, calls.held("c1"))
    early = calls.partial("c1", 1, "he")
    await post(url, early)
    assert peer.summary.good
    stale = calls.partial("c1", 1, "hell")
    await post(url, calls.final("c1", 1, "hello"))
    await post(url, stale)
    assert (peer.summary.accepted, peer.summary.partials, peer.summary.out_of_order) == (2, 2, 1)
    assert received[1] == early


async def test_what_is_not_authentic_or_no_event_is_refused(consumer, calls, post):
    url, peer, received = await consumer()
    assert await post(url, calls.held("c1"), key="whsec_" + "A" * 32) == (401, "no signature fits")
    assert await post(url, None, body=b"[1, 2]") == (400, "not an event")
    assert await post(url, None, body=b"{") == (400, "not an event")
    assert (peer.summary.bad_signature, peer.summary.malformed, received) == (1, 2, [])


async def test_an_event_that_was_refused_may_come_again(consumer, calls, post):
    answers = [Answer(503, {"retry-after": "7"}), Answer()]
    url, peer, received = await consumer(lambda _: answers.pop(0))
    event = calls.held("c1")
    assert (await post(url, event))[0] == 503
    assert (await post(url, event))[0] == 204
    assert received == [event]
    assert (peer.summary.refused, peer.summary.duplicates) == (1, 0)
    assert peer.summary.good


async def test_it_writes_what_it_accepts(consumer, calls, post, tmp_path):
    url, _, _ = await consumer(path=tmp_path / "events.jsonl")
    event = calls.final("c1", 1, "grüß dich")
    before = time.time()
    await post(url, event)
    (line,) = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    fields = json.loads(line)
    assert before <= fields["received"] <= time.time()
    assert Event.from_wire(fields["body"].encode()) == event
    assert "grüß dich" in line


def test_a_bad_secret_is_refused_at_once():
    with pytest.raises(signing.SigningError, match="whsec_"):
        Consumer("nothing")


async def start_command(tmp_path, secret, *arguments):
    file = tmp_path / "secret"
    file.write_text(secret + "\n")
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.delivery.consumer", "--secret-file", str(file), *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_the_command_listens_and_sums_up(tmp_path, secret, calls, post):
    log = tmp_path / "events.jsonl"
    process = await start_command(tmp_path, secret, "--listen", "127.0.0.1:0", "--log", str(log))
    url = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().removeprefix("listening at ").strip()
    await post(url, calls.final("c1", 1, "hello there"))
    process.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(process.communicate(), 20)
    line, summary = out.decode().splitlines()
    assert "c1 1 transcript.final" in line
    assert "hello there" in line
    assert json.loads(summary)["accepted"] == 1
    assert (process.returncode, err) == (0, b"")
    assert len(log.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("secret_text", "listen", "fault"),
    [("whsec_AA==", "127.0.0.1:0", "holds 1 bytes"), (None, "127.0.0.1:http", "invalid literal")],
)
async def test_the_command_says_why_it_cannot_start(tmp_path, secret, secret_text, listen, fault):
    process = await start_command(tmp_path, secret_text or secret, "--listen", listen)
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert fault in err.decode()
