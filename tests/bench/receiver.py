"""What the receiver costs and how fast it is: legs with 50 packets a second each, sent by a process of its own.

    python tests/bench/receiver.py --legs 200 --seconds 5

Prints the CPU time of the receiver's thread per packet, the packets lost, and the time from a packet's arrival in the
kernel to the ``drain`` that hands it over: for the packet that completes a chunk, which is the newest in it.
"""

from __future__ import annotations

import argparse
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gateway.media.chunks import Chunk
from gateway.media.ports import RECEIVE_BUFFER
from gateway.media.receiver import Receiver


def send(ports: list[int], seconds: float) -> None:
    """Sends each leg a packet every 20 ms, the legs spread evenly over the 20 ms."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    targets = [("127.0.0.1", port) for port in ports]
    payload = bytes([0xD5]) * 160
    start = time.monotonic()
    for seq in range(int(seconds * 50)):
        for leg, target in enumerate(targets):
            if leg % 20 == 0:
                due = start + 0.02 * (seq + leg / len(targets))
                if (rest := due - time.monotonic()) > 0:
                    time.sleep(rest)
            sender.sendto(struct.pack("!BBHII", 0x80, 8, seq & 0xFFFF, seq * 160, leg + 1) + payload, target)


def thread_seconds() -> float:
    """Returns the CPU time of the receiver's thread so far."""
    for folder in Path("/proc/self/task").iterdir():
        if (folder / "comm").read_text() == "rtp-receiver\n":
            return int((folder / "schedstat").read_text().split()[0]) / 1e9
    raise RuntimeError("there is no receiver thread")


def measure(legs: int, seconds: float, tick_ms: int) -> None:
    """Runs one measurement and prints it."""
    receiver = Receiver(tick_ms=tick_ms)
    sockets = []
    for leg in range(legs):
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        bound.bind(("127.0.0.1", 0))
        receiver.add(leg, bound.fileno(), codecs={8: "alaw"}, remote=("127.0.0.1", 4000))
        sockets.append(bound)
    ports = ",".join(str(bound.getsockname()[1]) for bound in sockets)
    before, python_before = thread_seconds(), time.thread_time()
    latencies: list[float] = []
    with subprocess.Popen([sys.executable, __file__, "--send", ports, "--seconds", str(seconds)]) as process:
        while process.poll() is None:
            if select.select([receiver.fileno()], [], [], 0.1)[0]:
                chunks = [item for item in receiver.drain() if isinstance(item, Chunk)]
                now = time.monotonic_ns()
                latencies += [(now - chunk.arrived_last) / 1e6 for chunk in chunks]
    used, python_used = thread_seconds() - before, time.thread_time() - python_before
    for leg in range(legs):
        receiver.remove(leg)
    ended = 0
    while ended < legs:
        select.select([receiver.fileno()], [], [], 1)
        ended += sum(isinstance(item, Chunk) and item.last for item in receiver.drain())
    stats = [receiver.stats(leg) for leg in range(legs)]
    packets, expected = sum(one.packets for one in stats), legs * int(seconds * 50)
    latencies.sort()
    print(f"legs                        {legs}")
    print(f"packets sent                {expected}")
    print(f"packets lost                {expected - packets}")
    print(f"receiver thread, us/packet  {used / packets * 1e6:.2f}  ({used / seconds:.1%} of a core)")
    print(
        f"drain, us/chunk             {python_used / len(latencies) * 1e6:.2f}  ({python_used / seconds:.1%} of a core)"
    )
    p50, p99 = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    print(f"packet to drain, ms         p50 {p50:.2f}  p99 {p99:.2f}")
    receiver.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--legs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--tick-ms", type=int, default=5)
    parser.add_argument("--send", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send:
        send([int(port) for port in arguments.send.split(",")], arguments.seconds)
    else:
        measure(arguments.legs, arguments.seconds, arguments.tick_ms)


if __name__ == "__main__":
    main()
