"""A webhook consumer in a process of its own that costs little: it answers after a set latency and checks the order.

``python -m tests.peers.webhook_server SECRET LATENCY_SECONDS [PORT [FILE]]`` prints its port, and at the
end of its input a summary as JSON. FILE gets the body of each event that completes a call, one line each.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import BinaryIO, cast

import uvloop

from gateway.delivery import signing

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
FIELDS = re.compile(rb"^([^:\r\n]+): *([^\r\n]*)\r$", re.MULTILINE)
TOLERANCE = 7200.0  # its senders may live in a time of their own
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Server(asyncio.Protocol):
    """One connection; requests come one after the other."""

    verifiers: list[signing.Verifier] = []  # noqa: RUF012
    latency = 0.0
    last: dict[str, int] = {}  # noqa: RUF012 (one process, one consumer)
    kept: BinaryIO | None = None
    count = duplicates = gaps = forged = open_now = most_open = 0
    first_open: list[int] = []  # noqa: RUF012

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, blank, rest = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = LENGTH.search(head)
        size = int(length[1]) if length else 0
        if len(rest) < size:
            return
        body, self.buffer = rest[:size], rest[size:]
        Server.open_now += 1
        Server.most_open = max(Server.most_open, Server.open_now)
        if len(self.first_open) < 200:
            self.first_open.append(Server.open_now)
        self._check(head, body)
        asyncio.get_running_loop().call_later(self.latency, self._answer)

    def _answer(self) -> None:
        Server.open_now -= 1
        self.transport.write(ANSWER)

    def _check(self, head: bytes, body: bytes) -> None:
        Server.count += 1
        fields = {name.decode().lower(): value.decode() for name, value in FIELDS.findall(head + b"\r")}
        try:
            signing.verify(self.verifiers, fields, body, time.time(), TOLERANCE)
        except signing.SigningError:
            Server.forged += 1
        event = json.loads(body)
        call, seq = event["call"]["id"], event["seq"]
        last = self.last.get(call, 0)
        Server.duplicates += seq <= last
        Server.gaps += seq > last + 1
        self.last[call] = max(seq, last)
        if self.kept is not None and event["type"] == "call.transcript.completed":
            self.kept.write(body + b"\n")
            self.kept.flush()


async def main() -> None:
    Server.verifiers, Server.latency = [signing.verifier(sys.argv[1])], float(sys.argv[2])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    names = ("count", "duplicates", "gaps", "forged", "most_open", "first_open")
    print(json.dumps({name: getattr(Server, name) for name in names}), flush=True)


if __name__ == "__main__":
    with Path(sys.argv[4] if len(sys.argv) > 4 else os.devnull).open("wb") as Server.kept:
        uvloop.run(main())
