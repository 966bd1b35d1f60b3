"""gRPC connections to one endpoint, shared by its calls.

A server limits the streams of one connection (100 is usual), and gRPC lets further calls wait without a word: so there
are as many connections as the calls need.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grpc
import grpc.aio

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.use_local_subchannel_pool", 1),  # otherwise all channels to one address share one connection
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # gRPC's own back-off goes up to 2 minutes; when to try again is decided above
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),  # the vendor warns that 4 MB may not do
)


@cache
def keep_grpc_running() -> None:
    """Keeps gRPC's own thread until the process ends.

    Otherwise it is stopped whenever the last channel, call and server are gone, and the event loop stands still while
    it waits for operations that were cancelled: for minutes, in the worst case.
    """
    grpc.aio.init_grpc_aio()


class _Connection:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.calls = 0


class Channels:
    """Makes connections as they are needed.

    Args:
        endpoint: ``HOST:PORT``.
        tls: Whether they are encrypted.
        ca_file: Certificates to trust in place of the usual ones; empty for those.
        calls_per_connection: Beyond, another connection is made.

    Raises:
        ValueError: ``ca_file`` cannot be read.
    """

    def __init__(self, endpoint: str, *, tls: bool, ca_file: str, calls_per_connection: int) -> None:
        self._endpoint = endpoint
        self._limit = calls_per_connection
        self._connections: list[_Connection] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._credentials: grpc.ChannelCredentials | None = None
        if tls:
            try:
                roots = Path(ca_file).read_bytes() if ca_file else None
            except OSError as error:
                raise ValueError(f"ca_file: {error}") from error
            self._credentials = grpc.ssl_channel_credentials(root_certificates=roots)

    def __len__(self) -> int:
        return len(self._connections)

    @contextlib.contextmanager
    def one(self) -> Iterator[grpc.aio.Channel]:
        """Gives a channel for one call."""
        connection = next((known for known in self._connections if known.calls < self._limit), None)
        if connection is None:
            connection = _Connection(self._make())
            self._connections.append(connection)
        connection.calls += 1
        try:
            yield connection.channel
        finally:
            connection.calls -= 1
            if not connection.calls and len(self._connections) > 1:
                self._connections.remove(connection)
                task = asyncio.get_running_loop().create_task(connection.channel.close())
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Closes all connections, and cancels the calls on them."""
        connections, self._connections = self._connections, []
        await asyncio.gather(*(connection.channel.close() for connection in connections), *self._closing)

    def _make(self) -> grpc.aio.Channel:
        keep_grpc_running()
        if self._credentials is None:
            return grpc.aio.insecure_channel(self._endpoint, options=OPTIONS)
        return grpc.aio.secure_channel(self._endpoint, self._credentials, options=OPTIONS)
