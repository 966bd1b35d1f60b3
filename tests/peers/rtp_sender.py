"""Sends G.711 as RTP in real time, several streams side by side."""

from __future__ import annotations

import asyncio
import socket
import struct

from pylibsrtp import Policy, Session

FRAME = 160
SECONDS = FRAME / 8000


class RtpSender:
    """One stream; ``play`` may be called again and goes on with its sequence and time.

    Args:
        target: Port on this machine.
        ssrc: Of the stream.
        payload_type: 8 for A-law, 0 for µ-law.
        key: SRTP's key and salt, 30 bytes (AES_CM_128_HMAC_SHA1_80); empty for plain RTP.
        sequence: Of the first packet.
    """

    def __init__(self, target: int, *, ssrc: int, payload_type: int = 8, key: bytes = b"", sequence: int = 0) -> None:
        self.sent = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", target))
        self._ssrc = ssrc
        self._payload_type = payload_type
        self._sequence = sequence
        self._srtp: Session | None = None
        if key:
            profile = Policy.SRTP_PROFILE_AES128_CM_SHA1_80
            self._srtp = Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile))

    async def play(self, payload: bytes) -> None:
        """Sends whole packets of 20 ms, each when it is due."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for index in range(len(payload) // FRAME):
            await asyncio.sleep(began + index * SECONDS - loop.time())
            head = struct.pack(">BBHII", 0x80, self._payload_type, self._sequence & 0xFFFF, self.sent, self._ssrc)
            packet = head + payload[index * FRAME : (index + 1) * FRAME]
            self._socket.send(self._srtp.protect(packet) if self._srtp else packet)
            self._sequence += 1
            self.sent += FRAME

    def close(self) -> None:
        self._socket.close()
