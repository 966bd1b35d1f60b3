"""Many legs for the benches: dialled over SIP, and spoken on by a process of its own that costs little.

What is said are the words of the test recogniser, in turns as people talk: five seconds of words, seven of silence, the
two legs of a call one after the other.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gateway.asr.fake.words import say, text_of
from tests.peers.native import rtp_native
from tests.peers.sip_peer import SipPeer, sdp

PACKETS = 50  # a second
TURN, CYCLE = 5.0, 12.0  # seconds
RATE = 80  # calls begun or ended in a second; the gateway takes 100


@dataclass(frozen=True)
class Speech:
    """What is said on each leg: A-law, and its words."""

    audio: bytes
    words: list[str]


def speech(seconds: float) -> Speech:
    """Returns turns of words that fill so many seconds, each word once."""
    audio, words = b"", []
    for turn in range(int(seconds / CYCLE)):
        codes = [turn * 16 + index for index in range(16)]
        said = say(codes)[: int(TURN * 8000)]
        audio += said + b"\xd5" * (int(CYCLE * 8000) - len(said))
        words += [text_of(code) for code in codes]
    return Speech(audio, words)


class Legs:
    """Legs at one SIP server, two to a call.

    Args:
        count: How many; an even number.
        port: The server's SIP port.
        user: Who is called.
    """

    def __init__(self, count: int, port: int, *, user: str = "100") -> None:
        self._peers = [SipPeer(port, user=user) for _ in range(count)]
        self._dice = random.Random(1)
        self._source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._source.bind(("127.0.0.1", 0))
        self.ports: list[int] = []

    async def dial(self) -> None:
        """Calls; returns when all are answered."""
        media = f"m=audio {self._source.getsockname()[1]} RTP/AVP 8\r\na=sendonly\r\n"

        async def one(index: int, peer: SipPeer) -> int:
            leg = ("caller", "agent")[index % 2]
            headers = f"X-Call-Id: call-{index // 2}\r\nX-Call-Leg: {leg}\r\n"
            await asyncio.sleep(index / RATE)
            answer = await peer.invite(sdp(media), headers=headers)
            assert answer.code == 200, answer.text
            found = re.search(r"^m=audio (\d+)", answer.body, re.MULTILINE)
            assert found, answer.text
            return int(found[1])

        self.ports = list(await asyncio.gather(*(one(index, peer) for index, peer in enumerate(self._peers))))

    def speak(self, said: Speech, seconds: float) -> subprocess.Popen[bytes]:
        """Begins to send on all legs; ends by itself.

        The legs begin at different moments of a second, as those of real calls, and speak at different ones of a turn.
        """
        lead = 0
        starts, leads = [], []
        for index in range(len(self.ports)):
            starts.append(self._dice.randrange(PACKETS))
            lead = (lead + int(CYCLE * PACKETS) // 2) if index % 2 else self._dice.randrange(int(CYCLE * PACKETS))
            leads.append(lead % int(CYCLE * PACKETS))
        order = {"ports": self.ports, "starts": starts, "leads": leads, "packets": int(seconds * PACKETS)}
        process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[self._source.fileno()]
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps({"fd": self._source.fileno(), **order}).encode() + b"\n" + said.audio)
        process.stdin.close()
        return process

    async def hang_up(self) -> None:
        """Ends all calls."""

        async def one(index: int, peer: SipPeer) -> None:
            await asyncio.sleep(index / RATE)
            assert (await peer.bye()).code == 200
            peer.close()

        await asyncio.gather(*(one(index, peer) for index, peer in enumerate(self._peers)))
        self._source.close()


def elsewhere() -> None:
    """Keeps this process to the last core, so that what is measured has the others."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def main(order: dict[str, Sequence[int]], audio: bytes) -> None:
    elsewhere()
    sent = rtp_native().speak(order["fd"], order["ports"], audio, order["starts"], order["leads"], order["packets"])
    print(sent)


if __name__ == "__main__":
    main(json.loads(sys.stdin.buffer.readline()), sys.stdin.buffer.read())
