"""Yandex SpeechKit over gRPC: the engine and its sessions, the same for API v3 and v2.

What differs is a ``Dialect``. A session has one task that opens the call and reads, and one that writes: gRPC's
``write`` waits while the peer's window is full, ``send`` never does.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol

import grpc
import grpc.aio
import structlog
from yandex.cloud.iam.v1.iam_token_service_pb2 import CreateIamTokenRequest
from yandex.cloud.iam.v1.iam_token_service_pb2_grpc import IamTokenServiceStub

from gateway.asr.engine import End, EngineEvent, Failure, Idle, Limits, Listener, Ready
from gateway.asr.grpc_channels import Channels
from gateway.asr.heard import Heard
from gateway.asr.kinds import Context
from gateway.asr.options import Yandex
from gateway.asr.yandex_auth import AuthError, Credentials, credentials_of
from gateway.asr.yandex_v2 import V2
from gateway.asr.yandex_v3 import V3
from gateway.media import g711
from gateway.media.chunks import SAMPLE_RATE

log = structlog.get_logger()

CONGESTED = SAMPLE_RATE  # samples that wait for the peer's window
STALL_SECONDS = 10.0  # a write that waits longer is not taken any more: a dead link, or a hanging server

_PERMANENT = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
}
# gRPC's own words where the service ended the call while it was being written to, and its status got lost on the way.
# What was wrong shows when another session is opened.
_STATUS_LOST = "Internal error from Core"
# Over a limit of a session the service says one of these, too; in a session that worked they come from such a limit.
_LIMITS = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.OUT_OF_RANGE}


class Reader(Protocol):
    """Reads the responses of one session.

    Attributes:
        received: Seconds of audio that the service says it got; None while it has not said.
        heard: Samples that it has worked through, likewise.
    """

    received: float | None
    heard: int | None

    def read(self, response: Any, written: int) -> Iterable[EngineEvent]:
        """Returns what a response says, which came when so many samples had been written."""


class Dialect(Protocol):
    """One version of the API."""

    def call(self, channel: grpc.aio.Channel) -> Any:
        """Returns the method's multi-callable."""

    def options(self) -> Any:
        """Returns the first message."""

    def audio(self, pcm: bytes) -> Any:
        """Returns a message of linear PCM."""

    def silence(self, samples: int) -> Any:
        """Returns a message that says how long nothing came."""

    def reader(self) -> Reader:
        """Returns a reader for a new session."""


class YandexEngine:
    """Opens sessions at Yandex SpeechKit.

    Args:
        settings: Where it is and how to ask.
        context: Name, limits of time, circuit.

    Raises:
        ValueError: The settings cannot work.
    """

    Settings = Yandex

    def __init__(self, settings: Yandex, context: Context) -> None:
        self.name = context.name
        self.gate = context.gate
        self.limits = Limits(
            seconds=settings.session_seconds,
            bytes=settings.session_bytes,
            bytes_per_sample=2,
            idle=Idle.SILENCE if settings.idle == "silence" else Idle.CLOSE,
            idle_seconds=settings.idle_seconds,
            message_ms=settings.message_ms,
            replay_speed=settings.replay_speed,
        )
        self._context = context
        self._folder = settings.folder_id
        self._dialect: Dialect = V3(settings) if settings.api == "v3" else V2(settings)
        self._channels = Channels(
            settings.endpoint,
            tls=settings.tls,
            ca_file=settings.ca_file,
            calls_per_connection=settings.streams_per_connection,
        )
        self._iam = Channels(
            settings.iam_endpoint, tls=settings.tls, ca_file=settings.ca_file, calls_per_connection=100
        )
        self._credentials = credentials_of(settings, self._exchange)

    def open(self, codec: str, listener: Listener) -> YandexSession:
        """Starts a session; ``Ready`` or ``Failure`` follows."""
        return YandexSession(
            self._dialect, self._channels, self._credentials, self._folder, codec, listener, self._context
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._channels.close()
        await self._iam.close()

    async def _exchange(self, signed: str) -> tuple[str, float]:
        with self._iam.one() as channel:
            stub: Any = IamTokenServiceStub(channel)
            try:
                answer = await stub.Create(CreateIamTokenRequest(jwt=signed), timeout=self._context.connect_seconds)
            except grpc.aio.AioRpcError as error:
                text = f"no IAM token: {error.code().name} {error.details() or ''}".rstrip()
                raise AuthError(text, retryable=error.code() not in _PERMANENT) from error
        return answer.iam_token, float(answer.expires_at.seconds)


class YandexSession:
    """One session. See ``EngineSession``."""

    def __init__(
        self,
        dialect: Dialect,
        channels: Channels,
        credentials: Credentials,
        folder: str,
        codec: str,
        listener: Listener,
        context: Context,
    ) -> None:
        self._dialect = dialect
        self._channels = channels
        self._credentials = credentials
        self._folder = folder
        self._codec = codec
        self._listener = listener
        self._context = context
        self._reader = dialect.reader()
        self._heard = Heard(context.heard)
        self._waiting: deque[tuple[Any, int]] = deque()  # messages and their samples
        self._queued = 0
        self._more = asyncio.Event()
        self._finishing = False
        self._over = False
        self._answered = False
        self._authorization = ""
        self._writer: asyncio.Task[None] | None = None
        self.request_id = str(uuid.uuid4())
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def congested(self) -> bool:
        """True while the service takes audio more slowly than it is sent."""
        return self._queued > CONGESTED

    def send(self, payload: bytes) -> None:
        """Sends G.711 audio as one message of linear PCM."""
        self._put(self._dialect.audio(g711.to_linear16(self._codec, payload)), len(payload))

    def silence(self, samples: int) -> None:
        """Says that nothing came for so long."""
        self._put(self._dialect.silence(samples), samples)

    def finish(self) -> None:
        """Ends the stream; the last results follow."""
        self._finishing = True
        self._more.set()

    def abort(self) -> None:
        """Drops the session."""
        self._over = True
        self._task.cancel()

    # inside

    def _put(self, message: Any, samples: int) -> None:
        self._waiting.append((message, samples))
        self._queued += samples
        self._more.set()

    async def _run(self) -> None:
        seconds = self._context.connect_seconds
        try:
            with self._channels.one() as channel:
                async with asyncio.timeout(seconds) as opening:
                    self._authorization = await self._credentials.authorization()
                    call = self._dialect.call(channel)(metadata=self._metadata())
                    try:
                        try:
                            await call.write(self._dialect.options())
                        except asyncio.InvalidStateError:  # gRPC's word for a call that has ended
                            await self._ended(call)
                            return
                        opening.reschedule(None)
                        self._tell(Ready())
                        self._writer = asyncio.get_running_loop().create_task(self._write(call))
                        async for response in call:
                            self._take(response)
                        await self._ended(call)
                    finally:
                        if self._writer is not None:
                            self._writer.cancel()
                        call.cancel()
        except TimeoutError:
            self._fail("NO_CONNECTION", f"no session within {seconds:g} s")
        except AuthError as error:
            self._fail("AUTH_ERROR", str(error), retryable=error.retryable)
        except grpc.aio.AioRpcError as error:
            self._refused(error.code(), error.details() or "")

    async def _ended(self, call: Any) -> None:
        """The service has said all."""
        code = await call.code()
        if code is not grpc.StatusCode.OK:
            self._refused(code, await call.details() or "")
        elif self._finishing and not self._waiting:
            received = self._reader.received
            self._tell(End(self._heard.position / SAMPLE_RATE if received is None else received))
            self._over = True
        else:
            self._fail("ENDED_EARLY", "the service ended the session before the audio did")

    async def _write(self, call: Any) -> None:
        try:
            while True:
                while self._waiting:
                    message, samples = self._waiting[0]
                    async with asyncio.timeout(STALL_SECONDS):
                        await call.write(message)
                    self._waiting.popleft()
                    self._queued -= samples
                    self._heard.wrote(samples, time.monotonic())
                if self._finishing:
                    await call.done_writing()
                    return
                self._more.clear()
                await self._more.wait()
        except TimeoutError:
            self._fail("STALLED", f"the service took no audio for {STALL_SECONDS:g} s")
            self._task.cancel()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the reading side has the status, and tells it

    def _take(self, response: Any) -> None:
        self._answered = True
        for event in self._reader.read(response, self._heard.position):
            self._tell(event)
        if self._reader.heard is not None:
            self._heard.heard(self._reader.heard, time.monotonic())

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        log.info("asr_session", engine=self._context.name, request_id=self.request_id)
        metadata = [("authorization", self._authorization), ("x-client-request-id", self.request_id)]
        if self._folder:
            metadata.append(("x-folder-id", self._folder))
        return tuple(metadata)

    def _tell(self, event: EngineEvent) -> None:
        if not self._over:
            self._listener(event)

    def _refused(self, code: grpc.StatusCode, details: str) -> None:
        failure = failure_of(code, details, answered=self._answered)
        retryable = failure.retryable
        if code is grpc.StatusCode.UNAUTHENTICATED:
            retryable = self._credentials.refused(self._authorization)
        self._fail(failure.code, failure.text, retryable=retryable, quota=failure.quota)

    def _fail(self, code: str, text: str, *, retryable: bool = True, quota: bool = False) -> None:
        if not self._over:
            self._over = True
            self._listener(Failure(code, f"{text} (request {self.request_id})", retryable, quota))


def failure_of(code: grpc.StatusCode, details: str, *, answered: bool) -> Failure:
    """Returns what a gRPC status means.

    Args:
        code: The status.
        details: The service's own words.
        answered: Whether the session had results: it was opened rightly then.
    """
    if code is grpc.StatusCode.INTERNAL and details == _STATUS_LOST:
        return Failure("CONNECTION_LOST", "the service ended the call while it was written to", retryable=True)
    text = f"{code.name}: {details}" if details else code.name
    quota = code is grpc.StatusCode.RESOURCE_EXHAUSTED
    retryable = code not in _PERMANENT or (answered and code in _LIMITS)
    return Failure(code.name, text, retryable, quota)
