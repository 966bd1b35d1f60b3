"""uvicorn on the gateway's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from gateway.web.api import build
from gateway.web.parts import Parts

# How long answers may take to end when the gateway stops; streams end by themselves (seconds).
STOP_SECONDS = 2


class _Server(uvicorn.Server):
    """Leaves the signals to the gateway."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Does nothing."""
        yield


class WebServer:
    """Serves the API and the page.

    Args:
        parts: What it shows.

    Attributes:
        url: Where it is reached.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._server: _Server | None = None
        self.url = ""

    async def start(self) -> None:
        """Binds the port and serves from now on.

        Raises:
            OSError: The port is taken, or the certificate cannot be read.
        """
        settings = self._parts.settings.web
        host, _, port = settings.listen.rpartition(":")
        address = host.strip("[]")
        self._socket = socket.create_server(
            (address, int(port)), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=256
        )
        self._socket.setblocking(False)
        config = uvicorn.Config(
            build(self._parts),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_SECONDS,
            ws="none",
            ssl_certfile=settings.certificate or None,
            ssl_keyfile=settings.key or None,
        )
        try:
            config.load()
        except BaseException:
            self._socket.close()
            raise
        self._server = _Server(config)
        self._task = asyncio.get_running_loop().create_task(self._server.serve([self._socket]))
        scheme = "https" if settings.certificate else "http"
        self.url = f"{scheme}://{host}:{self._socket.getsockname()[1]}/"

    async def stop(self) -> None:
        """Ends the streams, lets other answers end, and closes the port."""
        if self._server is None:
            return
        self._parts.board.feed.close()
        self._server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
