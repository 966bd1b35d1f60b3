"""What a leg costs in Asterisk: its chan_websocket sends each leg's A-law to a WebSocket server, one way.

    python tests/bench/chan_websocket.py --legs 200 --seconds 60

The peer to compare ``tests/bench/asr.py`` with: the same legs, the same RTP, the same machine. It decodes nothing and
recognises nothing either; what it has not is everything else that the gateway does with a leg.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import uvloop
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tests.bench import usage
from tests.bench.legs import Legs, elsewhere, speech
from tests.peers.asterisk import Asterisk

WARM = 5.0
MODULES = """
load = bridge_simple.so
load = res_http_websocket.so
load = res_websocket_client.so
load = chan_websocket.so
"""
DIALPLAN = """
[phones]
exten => ws,1,Answer()
 same => n,Dial(WebSocket/sink/c(alaw)d(in))
"""
CLIENT = """
[sink]
type = websocket_client
connection_type = per_call_config
uri = ws://127.0.0.1:{port}/media
protocols = media
connection_timeout = 2000
"""


@dataclass(frozen=True)
class Figures:
    """The result of one run.

    Attributes:
        leg_hour: CPU-seconds of Asterisk for an hour of a leg.
        legs: How many there were.
        lost: Samples that were sent by RTP and did not reach the server.
        leg_bytes: Memory for each leg.
    """

    legs: int
    seconds: float
    leg_hour: float
    lost: int
    leg_bytes: float


class Sink(asyncio.Protocol):
    """A WebSocket server that counts the payload of binary messages."""

    taken = 0

    def __init__(self) -> None:
        self._core: ServerProtocol | None = ServerProtocol(subprotocols=["media"])  # type: ignore[list-item]
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._core is not None:
            self._core.receive_data(data)
            for request in self._core.events_received():
                assert isinstance(request, Request)
                assert isinstance(request.headers, Headers)
                self._core.send_response(self._core.accept(request))
                self._transport.write(b"".join(self._core.data_to_send()))
                self._core = None  # Asterisk sends nothing before the answer
                return
            return
        data = self._rest + data
        at, size = 0, len(data)
        while size - at >= 4:
            length, begin = data[at + 1] & 0x7F, at + 6
            if length == 126:
                length, begin = int.from_bytes(data[at + 2 : at + 4]), at + 8
            if begin + length > size:
                break
            if data[at] & 0x0F == 2:
                Sink.taken += length
            at = begin + length
        self._rest = data[at:]


async def sink() -> None:
    """Prints the port, and at the end of the input the bytes taken."""
    elsewhere()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(Sink.taken, flush=True)


async def measure(count: int = 200, seconds: float = 60.0) -> Figures:
    """Runs Asterisk once."""
    with start_sink() as taking:
        assert taking.stdout is not None
        port = int(taking.stdout.readline())
        more = {
            "modules.conf": MODULES,
            "extensions.conf": DIALPLAN,
            "websocket_client.conf": CLIENT.format(port=port),
            "http.conf": "[general]\nenabled = no",
            "chan_websocket.conf": "[global]\ncontrol_message_format = json",
        }
        async with Asterisk("127.0.0.1:9", more=more) as asterisk:
            pid = usage.family(asterisk.pid)[-1]
            empty = usage.memory(pid)
            legs = Legs(count, asterisk.port, user="ws")
            await legs.dial()
            await asterisk.until("core show channels count", f"{2 * count} active channels", 30)
            with legs.speak(speech(seconds), WARM + seconds + 2) as sender:
                await asyncio.sleep(WARM)
                begun, before = asyncio.get_running_loop().time(), usage.cpu_seconds(pid)
                await asyncio.sleep(seconds)
                used = usage.cpu_seconds(pid) - before
                took = asyncio.get_running_loop().time() - begun
                full = usage.memory(pid)
                assert sender.stdout is not None
                sent = int(sender.stdout.read()) * 160
            await legs.hang_up()
            await asterisk.until("core show channels count", "0 active channels", 30)
        said, _ = taking.communicate()
    return Figures(count, took, used * 3600 / took / count, sent - int(said), (full - empty) / count)


def start_sink() -> subprocess.Popen[bytes]:
    """Starts the server in a process of its own."""
    return subprocess.Popen([sys.executable, __file__, "--sink"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def shown(found: Figures) -> list[str]:
    """Returns the figures as lines."""
    return [
        f"Asterisk 22, chan_websocket, one way: {found.legs} legs, {found.seconds:.0f} s",
        f"  CPU-seconds per leg-hour  {found.leg_hour:.2f}",
        f"  memory per leg            {found.leg_bytes / 1024:.0f} KiB",
        f"  samples lost              {found.lost}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--legs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--sink", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.sink:
        uvloop.run(sink())
        return
    print("\n".join(shown(asyncio.run(measure(given.legs, given.seconds)))))


if __name__ == "__main__":
    main()
