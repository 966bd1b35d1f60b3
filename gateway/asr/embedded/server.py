"""The WebSocket server: one connection, one session, in Palatine's protocol."""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
from typing import Any
from urllib.parse import urlsplit

import structlog
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HandshakeRequest
from websockets.http11 import Response

from gateway.asr.embedded import protocol
from gateway.asr.embedded.detector import DetectorPool
from gateway.asr.embedded.dispatcher import Dispatcher
from gateway.asr.embedded.faults import ListenFailed
from gateway.asr.embedded.protocol import CLOSE_NORMAL, PATH, ErrorCode, ProtocolError, Request
from gateway.asr.embedded.session import Session

MAX_MESSAGE_BYTES = 2 * 1024 * 1024
"""A minute of 16 kHz linear16 and more; what an unauthorised client can make the server hold is a few of these."""
MESSAGES_WAITING = 4
CLOSE_SECONDS = 2.0
DRAIN_SECONDS = 2.0
JOBS_A_SESSION = 3
"""A partial, a final, and the final of a session just ended whose place is already taken by a new one."""

log = structlog.get_logger(__name__)

# The library logs whole requests, tokens included, at debug level.
_library_log = logging.getLogger(f"{__name__}.websockets")
_library_log.setLevel(logging.ERROR)


class Server:
    """Serves sessions.

    Args:
        host: Numeric address to listen at.
        port: Port; 0 for any that is free.
        token: What clients must show.
        max_sessions: Sessions at once; a further one gets ML_SERVICE_ERROR.
    """

    def __init__(self, host: str, port: int, token: str, max_sessions: int) -> None:
        self._host = host
        self._port = port
        self._token = token
        self._max_sessions = max_sessions
        self._dispatcher = Dispatcher(JOBS_A_SESSION * max_sessions, self._worker_lost)
        self._detectors = DetectorPool(max_sessions)
        self._sessions: set[Session] = set()
        self._taken = 0
        self._draining = asyncio.Event()
        self._server: WebSocketServer | None = None

    @property
    def url(self) -> str:
        """Where clients connect, without a query; known once started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self._port}{PATH}"

    async def start(self) -> None:
        """Loads the model, then listens.

        Raises:
            StartError: What is wrong and what to do about it.
        """
        self._detectors.give_back(await self._detectors.take(8000))
        await self._dispatcher.start()
        try:
            self._server = await serve(
                self._serve,
                self._host,
                self._port,
                process_request=_refuse_other_paths,
                compression=None,  # speech does not compress, and each deflate window costs memory
                max_size=MAX_MESSAGE_BYTES,
                max_queue=MESSAGES_WAITING,
                close_timeout=CLOSE_SECONDS,
                server_header=None,
                logger=_library_log,
            )
        except OSError as error:
            await self._dispatcher.stop()
            raise ListenFailed(f"{self._host}:{self._port}", error.strerror or str(error)) from error
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Takes no more sessions, gives those that are open a moment for their last words, and ends."""
        self._draining.set()
        if self._server is not None:
            self._server.close(close_connections=False)
            try:
                async with asyncio.timeout(DRAIN_SECONDS + 2 * CLOSE_SECONDS):
                    await self._server.wait_closed()
            except TimeoutError:
                for connection in self._server.connections:
                    connection.transport.abort()
        await self._dispatcher.stop()
        log.info("asr_server_stopped", dropped_partials=self._dispatcher.dropped_partials)

    def _worker_lost(self) -> None:
        for session in self._sessions:
            session.fail(
                ProtocolError(
                    ErrorCode.ML_SERVICE, "ML service unavailable: the recogniser died. Please try again later."
                )
            )

    async def _serve(self, connection: ServerConnection) -> None:
        try:
            try:
                await self._converse(connection)
            except ProtocolError as error:
                await _end(connection, error)
            except ConnectionClosed:
                pass
            except Exception:
                log.exception("session_crashed")
                await _end(connection, ProtocolError(ErrorCode.INTERNAL, "Internal server error"))
        except ConnectionClosed:
            pass

    async def _converse(self, connection: ServerConnection) -> None:
        handshake = connection.request
        if handshake is None:
            raise RuntimeError("the connection handler runs after the handshake")
        request = protocol.read_request(handshake.path, handshake.headers.get("Authorization"), self._token)
        if self._taken >= self._max_sessions:
            raise ProtocolError(
                ErrorCode.ML_SERVICE, f"ML service unavailable: all {self._max_sessions} sessions are in use"
            )
        if not self._dispatcher.ready:
            raise ProtocolError(
                ErrorCode.ML_SERVICE, "ML service unavailable: the recogniser is being started. Please try again later."
            )
        self._taken += 1
        try:
            await self._recognise(connection, request)
        finally:
            self._taken -= 1

    async def _recognise(self, connection: ServerConnection, request: Request) -> None:
        async def show(chunk_text: str, full_text: str, processed_ms: int) -> None:
            with contextlib.suppress(ConnectionClosed):  # the reader sees it too, and ends the session
                await connection.send(protocol.partial(chunk_text, full_text, processed_ms))

        session = Session(request, await self._detectors.take(request.sample_rate), self._dispatcher, show)
        self._sessions.add(session)
        bound = log.bind(session=session.number)
        bound.info("session_opened", codec=request.codec, rate=request.sample_rate, language=request.language)
        reader = asyncio.create_task(_read(connection, session, request))
        draining = asyncio.create_task(self._draining.wait())
        gone = asyncio.create_task(connection.wait_closed())
        outcome = "client_gone"
        try:
            events: set[asyncio.Future[Any]] = {reader, draining, gone, session.failure}
            await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
            if session.failure.done():
                raise session.failure.result()
            if gone.done():
                return
            if not reader.done():
                await _last_words(reader, session)
                raise ProtocolError(ErrorCode.ML_SERVICE, "ML service unavailable: the server is shutting down")
            await connection.send(protocol.final(reader.result()))
            await connection.close(CLOSE_NORMAL)
            outcome = "completed"
        except ProtocolError as error:
            outcome = error.code.value
            raise
        finally:
            for task in (reader, draining, gone):
                task.cancel()
            await asyncio.gather(reader, draining, gone, return_exceptions=True)
            self._sessions.discard(session)
            self._detectors.give_back(await session.close())
            bound.info("session_closed", outcome=outcome, seconds=session.seconds)


async def _read(connection: ServerConnection, session: Session, request: Request) -> float:
    await connection.send(protocol.config(request))
    while True:
        message = await connection.recv()
        if isinstance(message, str):
            raise ProtocolError(
                ErrorCode.PROCESSING, "Text messages are not part of the protocol: send audio as binary messages"
            )
        if not message:
            return await session.finish()
        await session.push(message)


async def _last_words(reader: asyncio.Task[float], session: Session) -> None:
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    with contextlib.suppress(TimeoutError, ProtocolError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await session.finish()


async def _end(connection: ServerConnection, error: ProtocolError) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.send(protocol.error(error))
        await connection.close(error.close_code, error.message[:100])
    except TimeoutError:  # the client does not read
        connection.transport.abort()


def _refuse_other_paths(connection: ServerConnection, request: HandshakeRequest) -> Response | None:
    if urlsplit(request.path).path == PATH:
        return None
    return connection.respond(http.HTTPStatus.NOT_FOUND, f"There is nothing here; the stream is at {PATH}\n")
