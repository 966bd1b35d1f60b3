"""Messages of a server that came together, as the owner of the connection is told."""

from __future__ import annotations

import asyncio

from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from gateway.asr.websocket import Closed, WebSocket


class Owner:
    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.closings: list[Closed] = []
        self.open = asyncio.Event()
        self.over = asyncio.Event()

    def opened(self) -> None:
        self.open.set()

    def text(self, message: str, times: int) -> None:
        self.told.append((message, times))

    def closed(self, closed: Closed) -> None:
        self.closings.append(closed)
        self.over.set()


async def test_the_same_message_several_times_at_once_is_told_with_its_count_and_in_order() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        core = ServerProtocol()
        core.receive_data(await reader.readuntil(b"\r\n\r\n"))
        (request,) = core.events_received()
        core.send_response(core.accept(request))  # type: ignore[arg-type]
        sent = [(Opcode.TEXT, b"a")] * 3 + [(Opcode.TEXT, b"b"), (Opcode.PING, b""), (Opcode.TEXT, b"b")]
        sent += [(Opcode.TEXT, b"b"), (Opcode.TEXT, b"a"), (Opcode.CLOSE, b"\x0f\xa2gone")]
        served = b"".join(Frame(opcode, data).serialize(mask=False) for opcode, data in sent)
        writer.write(b"".join(core.data_to_send()) + served)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    owner = Owner()
    port = server.sockets[0].getsockname()[1]
    WebSocket(f"ws://127.0.0.1:{port}/", {}, owner, connect_seconds=10)
    async with asyncio.timeout(20):
        await owner.over.wait()
    server.close()
    assert owner.told == [("a", 3), ("b", 1), ("b", 2), ("a", 1)]
    assert [(closed.code, closed.reason) for closed in owner.closings] == [(4002, "gone")]
