"""Events into a NATS JetStream stream. The id of an event is its message id, by which the server drops repeats."""

from __future__ import annotations

import asyncio
import time

import nats
from nats.aio.client import Client
from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError

from gateway.delivery.outlet import Message, Outcome
from gateway.delivery.settings import NatsOutlet

DUPLICATE_WINDOW_SECONDS = 120.0


class NatsStream:
    """Publishes to one stream; an event is acknowledged when the stream has stored it.

    Args:
        settings: Server, stream and subject.
    """

    def __init__(self, settings: NatsOutlet) -> None:
        self.shown = f"{settings.url} {settings.stream}"
        self._settings = settings
        self._client: Client | None = None
        self._stream: JetStreamContext | None = None
        self._connecting = asyncio.Lock()

    async def send(self, message: Message, timeout: float) -> Outcome:  # noqa: ASYNC109 (it is a setting)
        """Publishes one event; see ``Outlet.send``."""
        started = time.perf_counter()
        subject = f"{self._settings.subject}.{message.call}.{message.type.replace('.', '_')}"
        try:
            async with asyncio.timeout(timeout):
                stream = await self._connected()
                await stream.publish(
                    subject,
                    message.body,
                    timeout=timeout,
                    stream=self._settings.stream,
                    headers={"Nats-Msg-Id": message.id},
                )
        except TimeoutError:
            return Outcome("timeout", 0, time.perf_counter() - started, None, f"not stored within {timeout:g} s")
        except (Error, OSError) as error:
            # the type is enough: the error's own text may repeat the credentials
            return Outcome("unreachable", 0, time.perf_counter() - started, None, type(error).__name__)
        return Outcome("delivered", 0, time.perf_counter() - started, None, "stored")

    async def close(self) -> None:
        """Closes the connection."""
        if self._client is not None:
            await self._client.close()

    async def _connected(self) -> JetStreamContext:
        async with self._connecting:
            if self._stream is not None and self._client is not None and not self._client.is_closed:
                return self._stream
            settings = self._settings
            self._client = await nats.connect(
                settings.url.split(","),
                token=settings.token.get_secret_value() if settings.token else None,
                user_credentials=str(settings.credentials) if settings.credentials else None,
                allow_reconnect=False,
                connect_timeout=5,
                error_cb=_ignore,
            )
            stream = self._client.jetstream()
            try:
                await stream.stream_info(settings.stream)
            except NotFoundError:
                await stream.add_stream(
                    StreamConfig(
                        name=settings.stream,
                        subjects=[f"{settings.subject}.>"],
                        duplicate_window=DUPLICATE_WINDOW_SECONDS,
                    )
                )
            self._stream = stream
            return stream


async def _ignore(_error: Exception) -> None:
    """Takes what the client tells besides: whatever matters fails the publishing as well."""
