import asyncio
import base64
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uuid_utils
from aiohttp import web

from gateway.delivery.consumer import Consumer
from gateway.delivery.observer import Observer
from gateway.delivery.outbox import Outbox
from gateway.delivery.settings import Delivery, Endpoint
from gateway.delivery.store import Store
from gateway.delivery.webhooks import Deliverer
from gateway.events import CallInfo, CallUpdated, Event, TranscriptFinal, TranscriptPartial

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


class Calls:
    """Makes events, numbered as gateway/calls numbers them."""

    def __init__(self) -> None:
        self.seqs: dict[str, int] = {}
        self.revisions = itertools.count(1)

    def _event(self, call: str, seq: int, data) -> Event:
        info = CallInfo(id=call, sip_call_ids=[f"{call}@pbx"], from_number="100", to_number="200", headers={})
        return Event(id=str(uuid_utils.uuid7()), time=datetime.now(UTC), call=info, seq=seq, data=data)

    def _next(self, call: str) -> int:
        self.seqs[call] = self.seqs.get(call, 0) + 1
        return self.seqs[call]

    def event(self, call: str, data) -> Event:
        return self._event(call, self._next(call), data)

    def held(self, call: str) -> Event:
        return self._event(call, self._next(call), CallUpdated(leg="caller", change="held"))

    def _words(self, kind, leg: str, utterance: int, text: str):
        return kind(
            leg=leg,
            utterance=utterance,
            revision=next(self.revisions),
            text=text,
            start_ms=0,
            end_ms=500,
            time=datetime.now(UTC),
        )

    def partial(self, call: str, utterance: int, text: str, leg: str = "caller") -> Event:
        return self._event(call, self.seqs.get(call, 0), self._words(TranscriptPartial, leg, utterance, text))

    def final(self, call: str, utterance: int, text: str, leg: str = "caller") -> Event:
        return self._event(call, self._next(call), self._words(TranscriptFinal, leg, utterance, text))


class Recorder(Observer):
    """Keeps what delivery tells."""

    def __init__(self) -> None:
        self.attempts: list[tuple[str, str, str, int]] = []
        self.delivered_events: list[tuple[str, Event, float]] = []
        self.drops: list[tuple[str, str, str]] = []
        self.dead_letters: list[tuple[str, str]] = []
        self.disabled_endpoints: list[str] = []
        self.undurables: list[str] = []
        self.storages: list[tuple[bool, str]] = []

    def attempted(self, endpoint, event_type, result, seconds, status):
        assert seconds >= 0
        self.attempts.append((endpoint, event_type, result, status))

    def delivered(self, endpoint, event, at):
        self.delivered_events.append((endpoint, event, at))

    def dropped(self, endpoint, event_type, reason):
        self.drops.append((endpoint, event_type, reason))

    def dead_letter(self, endpoint, event_type):
        self.dead_letters.append((endpoint, event_type))

    def disabled(self, endpoint):
        self.disabled_endpoints.append(endpoint)

    def undurable(self, event_type):
        self.undurables.append(event_type)

    def storage(self, ok, text):
        self.storages.append((ok, text))


class Received(list[Event]):
    """What a consumer accepted, in order."""

    def seqs(self, call: str) -> list[int]:
        return [event.seq for event in self if event.call.id == call and event.durable]

    def texts(self) -> list[str]:
        return [event.data.text for event in self]


class Gate:
    """Answers nothing while closed, and notes what waits."""

    def __init__(self):
        self.bodies = []
        self.open = asyncio.Event()
        self.arrived = asyncio.Event()

    async def start(self):
        application = web.Application()
        application.router.add_post("/", self.handle)
        self.runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}/"

    async def handle(self, request):
        self.bodies.append(Event.from_wire(await request.read()))
        self.arrived.set()
        await self.open.wait()
        return web.Response()

    async def requests(self, count):
        async with asyncio.timeout(5):
            while len(self.bodies) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.bodies


@pytest.fixture
async def gate():
    made = Gate()
    made.url = await made.start()
    yield made
    made.open.set()
    await made.runner.cleanup()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def stored() -> Callable[[Path], dict[tuple[str, int], int]]:
    """Counts what is on disk, by endpoint and state."""

    def read(path: Path) -> dict[tuple[str, int], int]:
        store = Store(path)
        try:
            return store.states()
        finally:
            store.close()

    return read


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def secret() -> str:
    return SECRET


@pytest.fixture
async def consumer() -> AsyncIterator[Callable[..., Awaitable[tuple[str, Consumer, Received]]]]:
    started: list[Consumer] = []

    async def start(answer=None, path: Path | None = None, port: int = 0) -> tuple[str, Consumer, Received]:
        received = Received()
        made = Consumer(SECRET, lambda event, _at: received.append(event), answer=answer, path=path)
        url = await made.start("127.0.0.1", port)
        started.append(made)
        return url, made, received

    yield start
    for one in started:
        await one.stop()


@pytest.fixture
def endpoint() -> Callable[..., Endpoint]:
    def make(name: str, url: str, **settings) -> Endpoint:
        return Endpoint(name=name, url=url, secret=SECRET, **{"retry_seconds": [0.05] * 4, **settings})

    return make


@pytest.fixture
async def deliverer_of(tmp_path: Path, recorder: Recorder) -> AsyncIterator[Callable[..., Awaitable[Deliverer]]]:
    """Starts a deliverer with outlets of any kind, given as ``Delivery`` has them."""
    started: list[Deliverer] = []

    async def start(*, outbox: Outbox | None = None, path: Path | None = None, **settings) -> Deliverer:
        path = path or tmp_path / "outbox.db"
        outbox = outbox or Outbox(path, probe_seconds=0.05, busy_seconds=0.05)
        made = Deliverer(outbox, Delivery(database=path, **settings), recorder)
        await made.start()
        started.append(made)
        return made

    yield start
    for one in started:
        await one.stop()


@pytest.fixture
def deliverer(deliverer_of) -> Callable[..., Awaitable[Deliverer]]:
    """Starts a deliverer with webhook endpoints."""
    return lambda *endpoints, **settings: deliverer_of(endpoints=list(endpoints), **settings)
