"""Many callers at once, each with words of its own in its RTP (``recogniser`` reads them back)."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import time
from dataclasses import dataclass

from gateway.asr.fake.words import PAIRS
from tests.peers.recogniser import spoken, word
from tests.peers.sip_peer import SipPeer, sdp

FRAME = 160  # bytes in 20 ms


@dataclass
class Talker:
    """One caller.

    Attributes:
        words: What it says.
        audio: In these bytes of A-law.
    """

    peer: SipPeer
    words: list[str]
    audio: bytes
    rtp: socket.socket
    to: tuple[str, int] = ("", 0)

    def packet(self, number: int) -> None:
        header = struct.pack(">BBHII", 0x80, 0x80 * (number == 0) | 8, number, number * FRAME, id(self) & 0xFFFFFFFF)
        # a host that answers with ICMP is a gateway that has closed the port: its own test sees that
        with contextlib.suppress(ConnectionError):
            self.rtp.sendto(header + self.audio[number * FRAME : (number + 1) * FRAME], self.to)


def talkers(port: int, count: int, *, words: int, address: str = "127.0.0.1") -> list[Talker]:
    """Returns callers who say ``words`` words each, all different, at 400 ms a word."""
    chance = random.Random(7)
    made = []
    for _ in range(count):
        values = chance.sample(range(len(PAIRS)), words)
        rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        rtp.bind((address, 0))
        rtp.setblocking(False)
        audio = spoken(values, gap_ms=100)
        made.append(Talker(SipPeer(port, address=address), [word(value) for value in values], audio, rtp))
    return made


async def call_all(callers: list[Talker]) -> None:
    """Places all calls."""
    for caller in callers:
        here, port = caller.rtp.getsockname()
        answered = await caller.peer.invite(sdp(f"m=audio {port} RTP/AVP 8\r\n", address=here))
        assert answered.code == 200, answered.text
        address = answered.body.partition("c=IN IP4 ")[2].partition("\r")[0]
        caller.to = (address, int(answered.body.partition("m=audio ")[2].partition(" ")[0]))


async def talk_all(callers: list[Talker]) -> None:
    """Sends all audio in real time, a packet of each caller every 20 ms."""
    began = time.monotonic()
    for number in range(max(len(caller.audio) for caller in callers) // FRAME):
        await asyncio.sleep(max(0.0, began + number * 0.02 - time.monotonic()))
        for caller in callers:
            caller.packet(number)


async def hang_up_all(callers: list[Talker]) -> None:
    """Ends all calls with BYE."""
    for caller in callers:
        assert (await caller.peer.bye()).code == 200


def close_all(callers: list[Talker]) -> None:
    """Closes all sockets."""
    for caller in callers:
        caller.peer.close()
        caller.rtp.close()
