"""A SIP peer over TCP or TLS, otherwise as ``sip_peer``."""

from __future__ import annotations

import asyncio
import ssl

from tests.peers.sip_peer import Response, SipPeer


class StreamPeer(SipPeer):
    """One dialog's worth of a user agent client on a connection of its own; made by ``connect``."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def connect(cls, port: int, context: ssl.SSLContext | None = None) -> StreamPeer:
        """Connects.

        Raises:
            OSError: No connection comes about; ssl.SSLError for a failed handshake.
        """
        peer = cls(port)
        peer.socket.close()
        peer.transport = "TLS" if context else "TCP"
        name = "localhost" if context else None
        peer.reader, peer.writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
        peer.here = peer.contact = "{}:{}".format(*peer.writer.get_extra_info("sockname"))
        return peer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self, seconds: float = 5.0) -> Response:
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), seconds)).lstrip(b"\r\n")
        length = int(Response(head.decode()).header("Content-Length") or 0)
        return Response((head + await self.reader.readexactly(length)).decode())

    def close(self) -> None:
        self.writer.close()
