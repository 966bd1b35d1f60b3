"""What the receiver costs and how fast it is: legs with 50 packets a second each, sent by a process of its own.

    python tests/bench/receiver.py --legs 200 --seconds 5

Prints the CPU time of the receiver's thread per packet beside that of a bare loop of ``epoll_wait`` and ``recv`` in C,
the packets lost, and the time from a packet's arrival in the kernel to the ``drain`` that hands it over: for the packet
that completes a chunk, which is the newest in it. All that a leg has runs: timeline, activity, RTCP.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gateway.calls.sensitive import Withholding
from gateway.media.activity import SpeechActivity
from gateway.media.chunks import Chunk
from gateway.media.ports import RECEIVE_BUFFER
from gateway.media.receiver import Receiver
from gateway.media.rtcp import Reporter
from gateway.media.timeline import Timeline
from tests.peers.native import rtp_native

TICK = 0.2


@dataclass
class Leg:
    """What the gateway keeps of a leg, without signalling and recogniser."""

    socket: socket.socket
    reporter: Reporter
    timeline: Timeline = field(default_factory=Timeline)
    activity: SpeechActivity = field(default_factory=SpeechActivity)
    withholding: Withholding = field(default_factory=Withholding)
    payload: int = 0


@dataclass(frozen=True)
class Figures:
    """The result of one run."""

    legs: int
    sent: int
    received: int
    lost: int
    dropped: int
    bytes_right: bool
    thread_us: float
    thread_share: float
    process_share: float
    chunk_us: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    reports: int
    activity_share: float


def sockets(count: int) -> list[socket.socket]:
    """Binds so many sockets, as the gateway's ports are."""
    bound = []
    for _ in range(count):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        one.bind(("127.0.0.1", 0))
        bound.append(one)
    return bound


def sender(bound: list[socket.socket], seconds: float) -> subprocess.Popen[bytes]:
    """Starts the process that sends, on another core than ours where there is one."""
    ports = ",".join(str(one.getsockname()[1]) for one in bound)
    return subprocess.Popen([sys.executable, __file__, "--send", ports, "--seconds", str(seconds)])


def send(ports: list[int], seconds: float) -> None:
    """Sends each leg a packet every 20 ms, the legs spread evenly over the 20 ms."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        rtp_native().send(one.fileno(), ports, int(seconds * 50))


def thread_seconds() -> float:
    """Returns the CPU time of the receiver's thread so far."""
    for folder in Path("/proc/self/task").iterdir():
        if (folder / "comm").read_text() == "rtp-receiver\n":
            return int((folder / "schedstat").read_text().split()[0]) / 1e9
    raise RuntimeError("there is no receiver thread")


def floor(legs: int, seconds: float, tick_ms: int = 5) -> float:
    """Returns what the bare loop takes for a packet, in µs of CPU time."""
    bound = sockets(legs)
    with sender(bound, seconds):
        packets, cpu = rtp_native().floor([one.fileno() for one in bound], seconds + 1, tick_ms)
    for one in bound:
        one.close()
    return cpu / packets * 1e6


def measure(legs: int, seconds: float, tick_ms: int = 5, pauses: tuple[float, ...] = ()) -> Figures:
    """Runs the receiver with all that a leg has.

    Args:
        legs: How many.
        seconds: How long they talk.
        tick_ms: The receiver's tick; 0 for none.
        pauses: Seconds at which Python stands still for 300 ms.
    """
    receiver = Receiver(tick_ms=tick_ms)
    made: dict[int, Leg] = {}
    for leg, one in enumerate(sockets(legs)):
        receiver.add(leg, one.fileno(), codecs={8: "alaw"}, remote=("127.0.0.1", 4000), mux=True, ssrc=leg)
        made[leg] = Leg(one, Reporter(leg, "bench", time.monotonic()))
    before, python_before, process_before = thread_seconds(), time.thread_time(), time.process_time()
    latencies: list[float] = []
    right, activity, reports = True, 0.0, 0

    def take() -> int:
        nonlocal right, activity
        ended = 0
        items = receiver.drain()
        now = time.monotonic_ns()
        for item in items:
            if not isinstance(item, Chunk):
                continue
            leg = made[item.leg]
            if item.arrived_last:
                latencies.append((now - item.arrived_last) / 1e6)
            leg.timeline.add(item)
            if leg.withholding.withheld(item):
                continue
            first = (item.leg + item.first // 160) & 0xFF
            right = right and (not item.payload or (item.payload[0] == first and len(item.payload) == item.samples))
            leg.payload += len(item.payload)
            begun = time.perf_counter()
            leg.activity.feed(item.levels, item.first)
            activity += time.perf_counter() - begun
            ended += item.last
        return ended

    begun = time.monotonic()
    due, standing = begun + TICK, list(pauses)
    with sender([leg.socket for leg in made.values()], seconds) as process:
        while process.poll() is None:
            if select.select([receiver.fileno()], [], [], 0.05)[0]:
                take()
            if standing and time.monotonic() - begun > standing[0]:
                standing.pop(0)
                until = time.monotonic() + 0.3
                while time.monotonic() < until:
                    sum(range(100_000))  # holds the GIL
            if (now := time.monotonic()) > due:
                due = now + TICK
                for number, leg in made.items():
                    if leg.reporter.due <= now:
                        report = leg.reporter.report(receiver.stats(number), now, random.random())
                        reports += receiver.send_control(number, report)
    used, python_used = thread_seconds() - before, time.thread_time() - python_before
    process_used = time.process_time() - process_before
    for leg in made:
        receiver.remove(leg)
    ended = 0
    while ended < legs:
        select.select([receiver.fileno()], [], [], 1)
        ended += take()
    stats = [receiver.stats(leg) for leg in made]
    packets, expected = sum(one.packets for one in stats), legs * int(seconds * 50)
    for leg in made.values():
        leg.timeline.verify()
        right = right and leg.payload == leg.timeline.duration == int(seconds * 50) * 160
        leg.socket.close()
    dropped = receiver.dropped()
    receiver.close()
    latencies.sort()
    return Figures(
        legs=legs,
        sent=expected,
        received=packets,
        lost=expected - packets,
        dropped=dropped,
        bytes_right=right,
        thread_us=used / packets * 1e6,
        thread_share=used / seconds,
        process_share=process_used / seconds,
        chunk_us=python_used / len(latencies) * 1e6,
        p50_ms=latencies[len(latencies) // 2],
        p99_ms=latencies[len(latencies) * 99 // 100],
        worst_ms=latencies[-1],
        reports=reports,
        activity_share=activity / seconds,
    )


def one_core() -> None:
    """Keeps this process to one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--legs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--tick-ms", type=int, default=5)
    parser.add_argument("--send", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send:
        send([int(port) for port in arguments.send.split(",")], arguments.seconds)
        return
    bare = floor(arguments.legs, min(arguments.seconds, 5), arguments.tick_ms or 5)
    found = measure(arguments.legs, arguments.seconds, arguments.tick_ms)
    print(f"legs                        {found.legs}")
    print(f"packets sent, lost          {found.sent}, {found.lost}")
    print(f"bare recv loop, us/packet   {bare:.2f}")
    print(f"receiver thread, us/packet  {found.thread_us:.2f}  ({found.thread_share:.1%} of a core)")
    print(f"whole process               {found.process_share:.1%} of a core")
    print(f"Python, us/chunk            {found.chunk_us:.2f}  (speech activity {found.activity_share:.1%} of a core)")
    print(f"packet to drain, ms         p50 {found.p50_ms:.2f}  p99 {found.p99_ms:.2f}  worst {found.worst_ms:.2f}")


if __name__ == "__main__":
    main()
