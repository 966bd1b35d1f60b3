"""The receiver, compiled with AddressSanitizer and UBSan, under millions of hostile datagrams; a process of its own.

    LD_PRELOAD=libasan.so python fuzz_target.py MODULE RTP_NATIVE DATAGRAMS

MODULE is the receiver's extension module, RTP_NATIVE the tests' own. Some legs are flooded, each from the address that
its signalling named and from others, some of them with SRTP; others talk undisturbed, and what comes of them must be
what was sent, to the byte. Prints one line of JSON. Memory errors end the process; leaks are reported at its end.
"""

from __future__ import annotations

import array
import fcntl
import json
import random
import select
import socket
import struct
import sys
import termios
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.peers.native import load

FUZZED, WITH_SRTP, GOOD = 64, 16, 4
BATCH = 120  # datagrams for each leg at a time: what a socket's buffer holds
CHURN = 40  # batches after which some legs are ended, negotiated anew or added
KEYS = ("AES_CM_128_HMAC_SHA1_80", bytes(range(30)), bytes(range(30, 60)))


def bind() -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    one.bind(("127.0.0.1", 0))
    return one


def unread(one: socket.socket) -> int:
    size = array.array("i", [0])
    fcntl.ioctl(one.fileno(), termios.FIONREAD, size)
    return size[0]


def voice(leg: int, seq: int) -> bytes:
    return random.Random(leg << 32 | seq).randbytes(160)


class Undisturbed(threading.Thread):
    """Sends the good legs their packets, 50 a second each, until told to stop."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__()
        self.ports, self.stop, self.sent = ports, threading.Event(), 0

    def run(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            while not self.stop.wait(0.02):
                for leg, port in enumerate(self.ports):
                    head = struct.pack("!BBHII", 0x80, 8, self.sent & 0xFFFF, self.sent * 160 & 0xFFFFFFFF, leg)
                    one.sendto(head + voice(leg, self.sent), ("127.0.0.1", port))
                self.sent += 1


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main(module: str, native: str, datagrams: int) -> None:
    receiver_module = load("gateway.media.receiver", Path(module))
    fuzz = load("rtp_native", Path(native)).fuzz
    from gateway.media.chunks import Chunk, Control, Digit

    receiver = receiver_module.Receiver(tick_ms=1, backlog=4096)
    senders = [bind() for _ in range(4)]
    named = senders[0].getsockname()
    legs: dict[int, socket.socket] = {}
    clocks: dict[int, int] = {}
    heard: dict[int, bytearray] = {leg: bytearray() for leg in range(GOOD)}
    counts = {"chunks": 0, "digits": 0, "controls": 0, "legs": 0}

    def add(leg: int, one: socket.socket) -> None:
        options: dict[str, object] = {"codecs": {8: "alaw", 0: "mulaw"}, "remote": named}
        if leg >= GOOD:
            options |= {"telephone_event": 101, "comfort_noise": 13, "mux": leg % 2 == 0}
            options["srtp"] = KEYS if leg % FUZZED < WITH_SRTP else None
        else:
            options["remote"] = None
        receiver.add(leg, one.fileno(), **options)
        legs[leg], clocks[leg] = one, 0
        counts["legs"] += 1

    def take() -> None:
        for item in receiver.drain():
            if isinstance(item, Digit):
                counts["digits"] += 1
            elif isinstance(item, Control):
                counts["controls"] += 1
            elif isinstance(item, Chunk):
                counts["chunks"] += 1
                assert item.first == clocks[item.leg], "the chunks of a leg tile its clock"
                assert len(item.payload) in (0, item.samples)
                assert sum(span.samples for span in item.spans) == item.samples
                clocks[item.leg] += item.samples
                if item.leg in heard:
                    heard[item.leg] += item.payload
                if item.last:
                    del legs[item.leg], clocks[item.leg]

    for leg in range(GOOD):
        add(leg, bind())
    targets = [bind() for _ in range(FUZZED)]
    for leg, one in enumerate(targets):
        add(GOOD + leg, one)
    good = Undisturbed([legs[leg].getsockname()[1] for leg in range(GOOD)])
    good.start()
    ports = [one.getsockname()[1] for one in targets]
    fds = [one.fileno() for one in senders]
    sent, batch, begun, next_leg = 0, 0, time.monotonic(), GOOD + FUZZED
    owner = {GOOD + number: one for number, one in enumerate(targets)}
    warm = 0
    while sent < datagrams:
        sent += fuzz(fds, ports, 0x9E3779B97F4A7C15 + batch, batch * BATCH, BATCH)
        batch += 1
        while any(unread(one) for one in targets):
            if select.select([receiver.fileno()], [], [], 0.002)[0]:
                take()
        if batch % CHURN == 0:
            for leg in random.Random(batch).sample(sorted(owner), 8):
                if leg % 2:
                    keys = KEYS if leg % 3 else None
                    receiver.update(leg, codecs={8: "alaw"}, remote=("127.0.0.1", 4000 + batch % 99), srtp=keys)
                    continue
                one = owner.pop(leg)
                receiver.remove(leg)
                while leg in legs:
                    select.select([receiver.fileno()], [], [], 0.01)
                    take()
                owner[next_leg] = one
                add(next_leg, one)
                next_leg += 1
        if batch == 200:
            warm = resident()
    seconds = time.monotonic() - begun
    good.stop.set()
    good.join()
    time.sleep(0.1)
    stats = [receiver.stats(leg) for leg in owner]
    for leg in list(legs):
        receiver.remove(leg)
    while legs:
        select.select([receiver.fileno()], [], [], 0.05)
        take()
    exact = all(bytes(heard[leg]) == b"".join(voice(leg, seq) for seq in range(good.sent)) for leg in range(GOOD))
    print(
        json.dumps(
            {
                "sent": sent,
                "seconds": round(seconds, 1),
                "exact": exact,
                "good_packets": good.sent * GOOD,
                "growth": resident() - warm if warm else 0,
                "dropped": receiver.dropped(),
                "foreign": sum(one.foreign for one in stats),
                "unauthentic": sum(one.unauthentic for one in stats),
                **counts,
            }
        ),
        flush=True,
    )
    receiver.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
