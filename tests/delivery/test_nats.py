"""A real NATS server: events arrive in its stream in order, once each, over its restarts."""

import asyncio
import json
import os
import shutil
import socket

import nats
import pytest

from gateway.delivery.nats import NatsStream
from gateway.delivery.outlet import Message
from gateway.delivery.settings import NatsOutlet
from tests.peers.gateway import free_port

TOKEN = "letmein"


class Server:
    """nats-server with JetStream on a port and a folder of its own."""

    def __init__(self, folder):
        self.port = free_port(socket.SOCK_STREAM)
        self.url = f"nats://127.0.0.1:{self.port}"
        self._folder = folder
        self._process = None

    async def start(self):
        program = shutil.which("nats-server", path=os.defpath + ":/usr/sbin")  # Debian has it there
        assert program, "apt-get install nats-server"
        self._process = await asyncio.create_subprocess_exec(
            *(program, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._folder), "--auth", TOKEN),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return

    async def stop(self):
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def messages(self):
        client = await nats.connect(self.url, token=TOKEN)
        stream = client.jetstream()
        info = await stream.stream_info("ASR")
        got = [await stream.get_msg("ASR", number) for number in range(1, info.state.messages + 1)]
        await client.close()
        return got


@pytest.fixture
async def server(tmp_path):
    made = Server(tmp_path / "js")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def outlet(server):
    return NatsOutlet(name="bus", url=server.url, token=TOKEN, retry_seconds=[0.05] * 100, timeout_seconds=2)


async def test_events_are_stored_in_order_under_the_subject_of_their_call(deliverer_of, server, outlet, calls):
    deliver = await deliverer_of(nats=[outlet])
    sent = [calls.held(f"c{index % 3}") for index in range(60)]
    for event in sent:
        deliver.publish(event)
    assert await deliver.flush(10) == 0
    got = await server.messages()
    assert sorted(message.data for message in got) == sorted(event.wire() for event in sent)
    for call in ("c0", "c1", "c2"):
        of_call = [json.loads(message.data)["seq"] for message in got if message.subject == f"asr.{call}.call_updated"]
        assert of_call == list(range(1, 21))
    assert {message.headers["Nats-Msg-Id"] for message in got} == {event.id for event in sent}


async def test_over_a_restart_of_the_server_every_event_is_stored_once(deliverer_of, server, outlet, calls):
    deliver = await deliverer_of(nats=[outlet])
    for _ in range(10):
        deliver.publish(calls.held("c1"))
    assert await deliver.flush(10) == 0
    await server.stop()
    for _ in range(10):
        deliver.publish(calls.held("c1"))
    assert await deliver.flush(0.3) == 10
    await server.start()
    assert await deliver.flush(15) == 0
    assert [json.loads(message.data)["seq"] for message in await server.messages()] == list(range(1, 21))


async def test_a_repeat_is_dropped_by_the_server(server, outlet):
    stream = NatsStream(outlet)
    for _ in range(3):
        assert (await stream.send(Message("same", "c1", "call.started", b"{}"), 5)).result == "delivered"
    await stream.close()
    assert len(await server.messages()) == 1


async def test_a_wrong_token_is_a_failure_that_does_not_tell_it(server):
    stream = NatsStream(NatsOutlet(name="bus", url=server.url, token="wrong"))
    outcome = await stream.send(Message("id", "c1", "call.started", b"{}"), 3)
    await stream.close()
    assert outcome.result in ("unreachable", "timeout")
    assert "wrong" not in outcome.text
