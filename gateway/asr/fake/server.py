"""The test server: every protocol's front end over one core, each on a port of its own."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.asr.fake.core import Core
from gateway.asr.fake.deepgram import DeepgramSocket
from gateway.asr.fake.palatine import PalatineSocket
from gateway.asr.fake.socket import ServerSocket
from gateway.asr.fake.vosk import VoskSocket

if TYPE_CHECKING:
    import grpc.aio

RECEIVE_BUFFER = 16384  # bytes; small, so that a slow reader is soon felt by the sender

WEBSOCKETS: dict[str, tuple[Callable[[Core], ServerSocket], str]] = {
    "palatine": (PalatineSocket, "/api/v1/stream/asr"),
    "vosk": (VoskSocket, "/"),
    "deepgram": (DeepgramSocket, "/v1/listen"),
}
# Over gRPC; these need the extra "yandex".
GRPC = ("yandex-v3", "yandex-v2")


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate and its key, in PEM files."""

    certificate: Path
    key: Path


class FakeServer:
    """Serves protocols until it is stopped.

    Args:
        core: The recogniser.
        host: Address to listen at.
        tls: For ``wss``; None for plain.

    Attributes:
        urls: Where each protocol is served.
    """

    def __init__(self, core: Core, host: str = "127.0.0.1", tls: Tls | None = None) -> None:
        self.core = core
        self.urls: dict[str, str] = {}
        self._host = host
        self._tls = tls
        self._servers: list[asyncio.Server] = []
        self._grpc: list[grpc.aio.Server] = []
        self._sockets: set[ServerSocket] = set()

    async def serve(self, protocol: str, port: int = 0) -> str:
        """Serves a protocol.

        Returns:
            Its URL; ``HOST:PORT`` for gRPC.

        Raises:
            KeyError: There is no such protocol.
            ModuleNotFoundError: It needs a package that is not installed.
            OSError: The port is taken.
        """
        if protocol in GRPC:
            return await self._serve_grpc(protocol, port)
        make, path = WEBSOCKETS[protocol]
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        try:
            listening.bind((self._host, port))
        except OSError:
            listening.close()
            raise

        def connection() -> ServerSocket:
            made = make(self.core)
            self._sockets.add(made)
            return made

        loop = asyncio.get_running_loop()
        server = await loop.create_server(connection, sock=listening, ssl=self._context(), backlog=4096)
        self._servers.append(server)
        host = f"[{self._host}]" if ":" in self._host else self._host
        scheme = "wss" if self._tls else "ws"
        url = f"{scheme}://{host}:{listening.getsockname()[1]}{path}"
        self.urls[protocol] = url
        return url

    async def stop(self) -> None:
        """Ends everything at once, as a killed server does."""
        for server in self._servers:
            server.close()
        for connection in self._sockets:
            connection.drop()
        await asyncio.gather(*(server.stop(None) for server in self._grpc))
        self._grpc.clear()
        self._servers.clear()
        self._sockets.clear()
        await asyncio.sleep(0)

    async def _serve_grpc(self, protocol: str, port: int) -> str:
        import grpc
        import grpc.aio

        from gateway.asr.fake import yandex
        from gateway.asr.grpc_channels import keep_grpc_running

        keep_grpc_running()

        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        yandex.add(protocol, self.core, server)
        host = f"[{self._host}]" if ":" in self._host else self._host
        try:
            if self._tls is None:
                bound = server.add_insecure_port(f"{host}:{port}")
            else:
                pair = (self._tls.key.read_bytes(), self._tls.certificate.read_bytes())
                bound = server.add_secure_port(f"{host}:{port}", grpc.ssl_server_credentials([pair]))
        except RuntimeError as error:
            raise OSError(f"{host}:{port} cannot be listened at: {error}") from error
        await server.start()
        self._grpc.append(server)
        self.urls[protocol] = f"{host}:{bound}"
        return self.urls[protocol]

    def _context(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._tls.certificate, self._tls.key)

        def refuse(*_: object) -> int | None:
            for fault in self.core.options.plan.faults:
                if fault.kind == "tls" and fault.times > 0:
                    fault.times -= 1
                    return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
            return None

        context.sni_callback = refuse
        return context
