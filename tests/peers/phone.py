"""A phone that speaks, presses keys and says what is secret: one RTP stream of a call, in real time."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import time
from types import TracebackType

from tests.peers.recogniser import frame
from tests.peers.sip_peer import SipPeer, sdp

# What is said, as words of ``recogniser``.
OPEN, SECRET = 0x11, 0x66


class Phone:
    """Calls while its context is entered.

    Attributes:
        peer: Its side of the dialog.
        at: The timestamp of its next packet.
        secret: Whether it says ``SECRET`` between its keys.
        steady: Whether its timestamps go on while the test waits or the machine is busy, as those of a device do.
    """

    def __init__(self, sip_port: int) -> None:
        self.peer = SipPeer(sip_port)
        self.at = 0
        self.secret = self.steady = False
        self._media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._media.bind(("127.0.0.1", 0))
        self._seq = 0

    async def __aenter__(self) -> Phone:
        port = self._media.getsockname()[1]
        answer = await self.peer.invite(sdp(f"m=audio {port} RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"))
        found = re.search(r"m=audio (\d+)", answer.body)
        assert found is not None, answer.text
        self._target = ("127.0.0.1", int(found[1]))
        self._begun = time.monotonic()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._media.close()
        self.peer.close()

    async def say(self, value: int, packets: int) -> None:
        """Sends so many packets of 20 ms of a word."""
        for _ in range(packets):
            if self.steady:
                self.at = max(self.at, int((time.monotonic() - self._begun) * 50) * 160)
            self._send(8, self.at, frame(value))
            self.at += 160
            await asyncio.sleep(0.02)

    async def press(self, keys: str) -> None:
        """Sends keys as telephone events of 80 ms, and says something after each."""
        for key in keys:
            code = "0123456789*#".index(key)
            begun = self.at
            for packet in range(1, 7):
                last = packet > 4
                self._send(101, begun, struct.pack("!BBH", code, 0x80 * last | 10, min(packet, 4) * 160))
                self.at += 160 if packet < 5 else 0
                await asyncio.sleep(0.02)
            await self.say(SECRET if self.secret else OPEN, 3)

    def _send(self, payload_type: int, timestamp: int, payload: bytes) -> None:
        head = struct.pack("!BBHII", 0x80, payload_type, self._seq & 0xFFFF, timestamp, 7)
        self._media.sendto(head + payload, self._target)
        self._seq += 1
