"""A webhook consumer: checks signature, order and completeness of what the gateway sends.

It is what the demo listens with, a peer for the tests, and the command ``asr-gateway consume``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, TextIO

from aiohttp import web

from gateway.delivery import signing
from gateway.events import Event

BODY_LIMIT: Final = 16 * 1024 * 1024
IDS_LIMIT: Final = 200_000
CALLS_LIMIT: Final = 20_000


@dataclass(slots=True)
class Summary:
    """What came.

    Attributes:
        received: Requests.
        verified: Of these, those with a good signature.
        bad_signature: Of these, those without.
        malformed: Verified requests whose body is no event.
        refused: Verified requests that were answered with something else than 2xx.
        accepted: Durable events, each counted once.
        partials: Partials accepted.
        duplicates: Events that had been accepted before.
        out_of_order: Durable events whose ``seq`` is not the one after the last accepted of their call, and partials
            whose ``seq`` is not the last accepted.
    """

    received: int = 0
    verified: int = 0
    bad_signature: int = 0
    malformed: int = 0
    refused: int = 0
    accepted: int = 0
    partials: int = 0
    duplicates: int = 0
    out_of_order: int = 0

    @property
    def good(self) -> bool:
        """Whether everything was authentic, in order and without a gap."""
        return not (self.bad_signature or self.malformed or self.out_of_order)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with.

    Attributes:
        status: The HTTP status.
        headers: Further headers, such as Retry-After.
        delay: Seconds before the answer.
    """

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0


class Consumer:
    """An HTTP server that takes the events of one endpoint.

    It expects all events of a call: an endpoint that chose types sees gaps, and so would this.

    Args:
        secret: The endpoint's secret, ``whsec_…`` or ``whpk_…``; several are separated by white space.
        on_event: Called with each event accepted for the first time and the time of its arrival in seconds since the
            epoch.
        answer: Decides how an authentic event is answered; all get 204 without it.
        path: A file that each accepted event is appended to, as a line ``{"received": SECONDS, "headers":
            {…}, "body": "…"}``; ``asr-gateway webhooks verify`` checks it.
        on_body: Called with the bytes of every authentic request.

    Attributes:
        summary: What came so far.

    Raises:
        gateway.delivery.signing.SigningError: The secret cannot be used.
    """

    def __init__(
        self,
        secret: str,
        on_event: Callable[[Event, float], None] | None = None,
        *,
        answer: Callable[[Event], Answer] | None = None,
        path: Path | None = None,
        on_body: Callable[[bytes], None] | None = None,
    ) -> None:
        self._verifiers = [signing.verifier(each) for each in secret.split()]
        self._on_event = on_event
        self._answer = answer
        self._on_body = on_body
        self._path = path
        self._file: TextIO | None = None
        self._runner: web.AppRunner | None = None
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._seqs: OrderedDict[str, int] = OrderedDict()
        self.summary = Summary()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Begins to listen.

        Args:
            host: A numeric address.
            port: The port; 0 for a free one.

        Returns:
            The URL to post to.

        Raises:
            OSError: The address cannot be bound, or the file cannot be written.
        """
        if self._path is not None:
            self._file = self._path.open("a", encoding="utf-8")
        application = web.Application(client_max_size=BODY_LIMIT)
        application.router.add_post("/{tail:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound = self._runner.addresses[0]
        return f"http://{f'[{host}]' if ':' in host else host}:{bound[1]}/events"

    async def stop(self) -> None:
        """Stops listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._file is not None:
            self._file.close()
            self._file = None

    async def _handle(self, request: web.Request) -> web.Response:
        arrived = time.time()
        body = await request.read()
        self.summary.received += 1
        try:
            signing.verify(self._verifiers, request.headers, body, arrived)
        except signing.SigningError as error:
            self.summary.bad_signature += 1
            return web.Response(status=401, text=str(error))
        self.summary.verified += 1
        if self._on_body is not None:
            self._on_body(body)
        try:
            event = Event.from_wire(body)
        except ValueError:
            self.summary.malformed += 1
            return web.Response(status=400, text="not an event")
        answer = self._answer(event) if self._answer else Answer()
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if 200 <= answer.status < 300:
            self._accept(event, arrived, request.headers, body)
        else:
            self.summary.refused += 1
        return web.Response(status=answer.status, headers=answer.headers)

    def _accept(self, event: Event, arrived: float, headers: Mapping[str, str], body: bytes) -> None:
        if event.id in self._ids:
            self.summary.duplicates += 1
            return
        self._ids[event.id] = None
        if len(self._ids) > IDS_LIMIT:
            self._ids.popitem(last=False)
        last = self._seqs.pop(event.call.id, 0)
        if event.durable:
            self.summary.accepted += 1
            self.summary.out_of_order += event.seq != last + 1
            last = max(last, event.seq)
        else:
            self.summary.partials += 1
            self.summary.out_of_order += event.seq != last
        self._seqs[event.call.id] = last
        if len(self._seqs) > CALLS_LIMIT:
            self._seqs.popitem(last=False)
        if self._file is not None:
            kept = {name: headers[name] for name in (signing.ID, signing.TIMESTAMP, signing.SIGNATURE)}
            line = {"received": arrived, "headers": kept, "body": body.decode()}
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        if self._on_event is not None:
            self._on_event(event, arrived)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``asr-gateway consume``."""
    parser.add_argument("--listen", default="127.0.0.1:8090", metavar="ADDRESS:PORT", help="where to listen")
    parser.add_argument("--secret-file", required=True, type=Path, metavar="FILE", help="file with the whsec_… secret")
    parser.add_argument("--log", type=Path, metavar="FILE", help="append each event to this file, as a line of JSON")


def run(args: argparse.Namespace) -> int:
    """Receives events until interrupted, a line on the terminal for each, then a summary as JSON.

    Args:
        args: What ``add_arguments`` describes.

    Returns:
        0 when everything that came was authentic, in order and without a gap, 1 when not, 2 when it cannot start.
    """
    try:
        secret = args.secret_file.read_text(encoding="utf-8").strip()
        host, _, port = args.listen.rpartition(":")
        consumer = Consumer(secret, _print, path=args.log)
        return asyncio.run(_serve(consumer, host.strip("[]"), int(port)))
    except (OSError, ValueError) as error:
        print(f"asr-gateway consume: {error}", file=sys.stderr)
        return 2


def _print(event: Event, arrived: float) -> None:
    fields = json.loads(event.data.model_dump_json(exclude={"type", "utterances", "legs"}))
    seconds = time.strftime("%H:%M:%S", time.localtime(arrived))
    print(seconds, event.call.id, event.seq, event.type, json.dumps(fields, ensure_ascii=False), flush=True)


async def _serve(consumer: Consumer, host: str, port: int) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print("listening at", await consumer.start(host, port), flush=True)
    await stop.wait()
    await consumer.stop()
    print(json.dumps(asdict(consumer.summary)), flush=True)
    return 0 if consumer.summary.good else 1


def main() -> int:
    """Runs the consumer by itself."""
    parser = argparse.ArgumentParser(prog="asr-gateway consume", description="receive and check webhooks")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
