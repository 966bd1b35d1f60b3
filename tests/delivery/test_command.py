"""The commands that look into the outbox and have events sent again, while the gateway runs and without it."""

import asyncio
import json
import sqlite3
import sys
import time
from contextlib import closing

import pytest

from gateway import cli
from gateway.delivery.archive import Archive, ArchiveError, Selection
from gateway.delivery.consumer import Answer
from gateway.events import CallEnded, CallStarted, TranscriptCompleted


def run(capsys, *arguments) -> tuple[int, str, str]:
    capsys.readouterr()  # what the gateway in this process logged
    status = cli.main(["webhooks", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
async def delivered(deliverer, consumer, endpoint, calls, path):
    """A gateway that has delivered two calls, but for one dead letter."""
    refused = {("c1", 2)}
    url, peer, received = await consumer(lambda event: Answer(500 if (event.call.id, event.seq) in refused else 204))
    deliver = await deliverer(endpoint("a", url, retry_seconds=[0.01]), path=path)
    for call in ("c1", "c2"):
        for _ in range(3):
            deliver.publish(calls.held(call))
    assert await deliver.flush(5) == 0
    await deliver._outbox.flush()
    return deliver, refused, peer, received


@pytest.mark.usefixtures("delivered")
async def test_list_shows_what_was_selected(path, capsys):
    status, out, _ = run(capsys, "list", "--database", path)
    lines = out.splitlines()
    assert status == 0
    dead = [line.split()[2:] for line in lines if "dead" in line]
    assert dead == [["c1", "2", "call.updated", "a", "dead", "after", "2"]]
    assert len(lines) == 6
    for arguments, seqs in (
        (["--call", "c2"], [1, 2, 3]),
        (["--state", "dead"], [2]),
        (["--type", "call.*", "--call", "c1", "--state", "delivered"], [1, 3]),
        (["--endpoint", "other"], []),
        (["--since", "2099-01-01"], []),
        (["--until", "2099-01-01", "--limit", "2"], [1, 2]),
    ):
        _, out, _ = run(capsys, "list", "--json", "--database", path, *arguments)
        assert [json.loads(line)["seq"] for line in out.splitlines()] == seqs, arguments


async def test_show_gives_the_event_as_it_is_sent(delivered, path, capsys):
    _, _, _, received = delivered
    event = received[0]
    status, out, _ = run(capsys, "show", event.id, "--database", path)
    shown = json.loads(out)
    assert status == 0
    assert shown["event"] == json.loads(event.wire())
    assert [place["endpoint"] for place in shown["deliveries"]] == ["a"]
    assert run(capsys, "show", "none", "--database", path)[0] == 1


async def test_a_dead_letter_is_sent_again_by_the_running_gateway(delivered, path, capsys):
    deliver, refused, _, received = delivered
    refused.clear()
    status, out, _ = run(capsys, "replay", "--dead", "--database", path)
    assert (status, out.split()[0]) == (0, "1")
    async with asyncio.timeout(5):
        while received.seqs("c1") != [1, 3, 2]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert await deliver.flush(2) == 0
    await deliver._outbox.flush()
    assert run(capsys, "list", "--state", "dead", "--database", path)[1] == ""
    assert len({event.id for event in received}) == 6


async def test_a_replayed_call_comes_again_under_the_same_ids_in_order(delivered, path, capsys):
    deliver, _, peer, received = delivered
    before = peer.summary.received
    assert run(capsys, "replay", "--call", "c2", "--database", path)[1].startswith("3 ")
    async with asyncio.timeout(5):
        while peer.summary.received < before + 3:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert await deliver.flush(2) == 0
    assert peer.summary.duplicates == 3, "the consumer had them and says so by their ids"
    assert len(received) == 5


async def test_a_replay_asked_for_while_the_gateway_is_down_is_sent_at_its_start(
    delivered, deliverer, consumer, endpoint, path, capsys
):
    deliver, _, _, _ = delivered
    await deliver.stop()
    assert run(capsys, "replay", "--call", "c2", "--to", "new", "--database", path)[0] == 0
    url, peer, received = await consumer()
    again = await deliverer(endpoint("new", url), path=path)
    async with asyncio.timeout(5):
        while len(received) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert await again.flush(2) == 0
    assert received.seqs("c2") == [1, 2, 3]
    assert (peer.summary.duplicates, peer.summary.out_of_order) == (0, 0)


async def test_what_is_pending_is_not_sent_twice(deliverer, gate, endpoint, calls, path):
    deliver = await deliverer(endpoint("a", gate.url, timeout_seconds=30), path=path)
    for _ in range(3):
        deliver.publish(calls.held("c1"))
    await gate.requests(1)
    await deliver._outbox.flush()
    archive = Archive(path)
    assert archive.replay(Selection(call="c1")) == 0
    assert archive.replay(Selection(call="c1"), "a") == 3
    archive.close()
    await asyncio.sleep(1.2)
    gate.open.set()
    assert await deliver.flush(5) == 0
    assert [event.seq for event in gate.bodies] == [1, 2, 3]


async def test_the_archive_says_since_when_the_oldest_event_waits(deliverer, consumer, gate, endpoint, calls, path):
    url, _, received = await consumer()
    deliver = await deliverer(endpoint("slow", gate.url, timeout_seconds=30), endpoint("quick", url), path=path)
    with closing(Archive(path)) as archive:
        assert archive.oldest() == {}
        before = time.time()
        for number in (1, 2, 3):
            deliver.publish(calls.held("c1"))
            after = time.time()
            async with asyncio.timeout(5):
                while len(received) < number or archive.oldest().keys() != {"slow"}:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            if number == 1:
                first = archive.oldest()
                assert before - 0.001 <= first["slow"] <= after, "when it was accepted"
            assert archive.oldest() == first, "it is the oldest that waits"
        gate.open.set()
        assert await deliver.flush(5) == 0
        await deliver._outbox.flush()
        assert archive.oldest() == {}


@pytest.mark.usefixtures("delivered")
@pytest.mark.parametrize("reader", ["true", "head -1"])
async def test_a_reader_that_has_seen_enough_is_no_fault(path, reader):
    command = f"{sys.executable} -m gateway.cli webhooks list --database {path} | {reader}; echo ${{PIPESTATUS[0]}}"
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert errors == b""
    *_, status = output.split()
    assert status == b"0"


@pytest.mark.usefixtures("delivered")
async def test_a_file_that_is_damaged_is_named(path, tmp_path, capsys):
    whole = sqlite3.connect(path)
    whole.execute("VACUUM INTO ?", (str(damaged := tmp_path / "damaged.db"),))
    whole.close()
    size = damaged.stat().st_size
    with damaged.open("r+b") as file:
        file.seek(4096)  # the first page, which names the tables, is whole
        file.write(bytes(size - 4096))
    for arguments in (["list"], ["show", "an-id"], ["replay", "--dead"]):
        status, _, error = run(capsys, *arguments, "--database", damaged)
        assert status == 2
        assert "malformed" in error
    with closing(Archive(damaged)) as archive, pytest.raises(ArchiveError, match=r"damaged\.db: database disk image"):
        archive.oldest()


def test_without_a_file_or_a_choice_it_says_what_to_do(tmp_path, capsys):
    status, _, error = run(capsys, "list", "--database", tmp_path / "none.db")
    assert status == 2
    assert "no such file" in error
    status, _, error = run(capsys, "replay", "--database", tmp_path / "none.db")
    assert status == 2
    assert "say what to send again" in error


async def test_verify_finds_what_is_wrong_with_a_recorded_stream(
    deliverer, consumer, endpoint, calls, secret, tmp_path, capsys
):
    log = tmp_path / "events.jsonl"
    url, _, _ = await consumer(path=log)
    deliver = await deliverer(endpoint("a", url))
    deliver.publish(calls.event("c1", CallStarted(leg="caller", codec="alaw")))
    deliver.publish(calls.final("c1", 1, "hello"))
    deliver.publish(calls.event("c1", CallEnded(reason="bye", seconds=1.0)))
    deliver.publish(calls.event("c1", TranscriptCompleted(utterances=[], legs=[], complete=True)))
    assert await deliver.flush(5) == 0
    key = tmp_path / "secret"
    key.write_text(secret)
    good = log.read_text().splitlines()
    status, out, _ = run(capsys, "verify", log, "--secret-file", key)
    assert (status, out) == (0, "4 events, 0 partials, 0 repeats, 4 of 4 signatures verified, 0 faults\n")

    def verify(lines: list[str]) -> str:
        log.write_text("\n".join(lines) + "\n")
        found, printed, _ = run(capsys, "verify", log, "--secret-file", key)
        assert found == (0 if printed.endswith(" 0 faults\n") else 1)
        return printed

    assert "1 repeats" in verify([good[0], *good])
    assert "line 4: not authentic" in verify([*good[:3], good[3].replace("complete", "Complete")])
    assert "seq 2–3 never came" in verify([good[0], good[3]])
    assert "line 3: call c1, seq 2: came after seq 3" in verify([good[0], good[2], good[1], good[3]])
    assert "its call.transcript.completed has not come" in verify(good[:3])
    assert "line 2: not an event" in verify([good[0], "{}", *good[1:]])
    plain = [json.loads(line)["body"] for line in good]
    assert "0 of 4 signatures verified, 0 faults" in verify(plain)
    twice = [good[0], json.dumps({"event": json.loads(plain[0]) | {"id": "other", "time": "2026-01-01T00:00:00Z"}})]
    assert "two different events have this number" in verify([*twice, *good[1:]])


def test_times_of_the_selection_are_those_of_the_events():
    now = time.time()
    where, arguments = Selection(since=now, until=now + 1).where()
    assert where.count("events.number") == 2
    assert arguments == [int(now * 1e6), int((now + 1) * 1e6)]
