"""The receiver with real sockets, its thread running."""

from __future__ import annotations

import asyncio
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.media.chunks import Chunk, Digit
from gateway.media.receiver import Receiver
from tests.media.packets import MS, check, chunks, digits, event, payload, rtp


class Rig:
    """A receiver, sockets of legs, and one sender."""

    def __init__(self, **options: int) -> None:
        self.receiver = Receiver(**options)
        self.out: dict[int, list[Chunk | Digit]] = {}
        self.sockets: dict[int, socket.socket] = {}
        self.sender = self.bind(socket.AF_INET, "127.0.0.1")

    def bind(self, family: int, address: str) -> socket.socket:
        bound = socket.socket(family, socket.SOCK_DGRAM)
        bound.setblocking(False)
        bound.bind((address, 0))
        return bound

    def add(self, leg: int, address: str = "127.0.0.1", **options: object) -> None:
        bound = self.bind(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
        settings = {"codecs": {8: "alaw"}, "remote": None, "telephone_event": 101} | options
        self.receiver.add(leg, bound.fileno(), **settings)  # type: ignore[arg-type]
        self.sockets[leg], self.out[leg] = bound, []

    def send(self, leg: int, packet: bytes) -> None:
        self.sender.sendto(packet, self.sockets[leg].getsockname())

    def wait(self, until: Callable[[], bool], seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, "it did not come"
            if select.select([self.receiver.fileno()], [], [], 0.05)[0]:
                self.drain()

    def drain(self) -> None:
        for item in self.receiver.drain():
            self.out[item.leg].append(item)

    def ended(self, leg: int) -> bool:
        done = chunks(self.out[leg])
        return bool(done) and done[-1].last

    def close(self) -> None:
        self.receiver.close()
        for bound in [self.sender, *self.sockets.values()]:
            bound.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


def voice(leg: int, seq: int) -> bytes:
    return random.Random(leg << 16 | seq).randbytes(160)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_leg_from_its_first_packet_to_its_last(rig: Rig, address: str) -> None:
    rig.add(7, address, remote=(address, 4000))
    if ":" in address:
        rig.sender.close()
        rig.sender = rig.bind(socket.AF_INET6, address)
    before = time.monotonic_ns()
    for seq in range(12):
        rig.send(7, rtp(seq, seq * 160, voice(7, seq)))
    after = time.monotonic_ns()
    rig.send(7, event(12, 1920, 4, 800, end=True))
    rig.wait(lambda: len(rig.out[7]) >= 3)
    rig.receiver.remove(7)
    rig.wait(lambda: rig.ended(7))
    stats = rig.receiver.stats(7)
    check(rig.out[7], stats)
    assert payload(rig.out[7])[:1920] == b"".join(voice(7, seq) for seq in range(12))
    assert digits(rig.out[7]) == [Digit(7, "4", 1920, 800)]
    assert (stats.packets, stats.lost) == (13, 0)
    # the kernel's timestamps, not the tick's
    first = chunks(rig.out[7])[0]
    assert before - MS < first.arrived_first <= first.arrived_last < after + MS


def test_what_the_socket_holds_when_a_leg_is_removed_is_read(rig: Rig) -> None:
    rig.add(1)
    for seq in range(150):
        rig.send(1, rtp(seq, seq * 160, voice(1, seq)))
    rig.receiver.remove(1)
    rig.wait(lambda: rig.ended(1))
    assert payload(rig.out[1]) == b"".join(voice(1, seq) for seq in range(150))


def test_a_missing_packet_is_given_up_without_another_one_coming(rig: Rig) -> None:
    rig.add(1)
    for seq in (0, 1, 2, 3, 5):
        rig.send(1, rtp(seq, seq * 160, voice(1, seq)))
    rig.wait(lambda: len(rig.out[1]) >= 1)
    assert rig.receiver.stats(1).lost == 1


def test_the_word_before_a_silence_does_not_wait_for_its_end() -> None:
    """A sender that suppresses silence: what it said last is handed over while nothing comes, not when it goes on."""
    rig = Rig(chunk_ms=300)
    try:
        rig.add(1)
        for seq in range(5):
            rig.send(1, rtp(seq, seq * 160, voice(1, seq)))
        rig.wait(lambda: len(rig.out[1]) == 1)
        said = chunks(rig.out[1])[0]
        assert (said.first, said.samples, said.last) == (0, 800, False)
        assert rig.receiver.still(0.05) == [1]
        assert rig.receiver.still(60) == []
        for seq in range(5, 25):
            rig.send(1, rtp(seq, seq * 160, voice(1, seq)))
        rig.wait(lambda: len(rig.out[1]) == 3)
        rig.receiver.remove(1)
        rig.wait(lambda: rig.ended(1))
        check(rig.out[1], rig.receiver.stats(1), chunk=2400)
        # the chunks that follow end where they would have ended
        assert [chunk.samples for chunk in chunks(rig.out[1])[:2]] == [800, 1600]
        assert payload(rig.out[1]) == b"".join(voice(1, seq) for seq in range(25))
    finally:
        rig.close()


def test_a_pause_of_python_loses_nothing(rig: Rig) -> None:
    """While nobody drains and one call holds the GIL, 20 legs go on."""
    legs = range(20)
    for leg in legs:
        rig.add(leg)
    targets = ",".join(str(rig.sockets[leg].getsockname()[1]) for leg in legs)
    code = """
import random, socket, struct, sys, time
ports = [int(port) for port in sys.argv[1].split(",")]
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("go", flush=True)
for seq in range(50):
    for leg, port in enumerate(ports):
        payload = random.Random(leg << 16 | seq).randbytes(160)
        sender.sendto(struct.pack("!BBHII", 128, 8, seq, seq * 160, leg) + payload, ("127.0.0.1", port))
    time.sleep(0.01)
"""
    with subprocess.Popen([sys.executable, "-c", code, targets], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(3):
            held_until = time.monotonic() + 0.3
            while time.monotonic() < held_until:
                sum(range(200_000))  # one call into C that does not let the GIL go
            rig.drain()
    for leg in legs:
        rig.receiver.remove(leg)
    rig.wait(lambda: all(rig.ended(leg) for leg in legs))
    for leg in legs:
        stats = rig.receiver.stats(leg)
        check(rig.out[leg], stats)
        assert (stats.packets, stats.lost) == (50, 0)
        assert payload(rig.out[leg]) == b"".join(voice(leg, seq) for seq in range(50))
    assert rig.receiver.dropped() == 0


def test_legs_come_and_go_while_others_talk(rig: Rig) -> None:
    rig.add(0)
    seq = 0
    for leg in range(1, 200):
        rig.add(leg)
        for number in range(3):
            rig.send(leg, rtp(number, number * 160, voice(leg, number)))
        rig.send(0, rtp(seq, seq * 160, voice(0, seq)))
        seq += 1
        rig.receiver.update(leg, codecs={8: "alaw", 0: "mulaw"}, remote=("127.0.0.1", leg))
        rig.receiver.remove(leg)
        if leg % 7 == 0:
            rig.drain()
    rig.receiver.remove(0)
    rig.wait(lambda: all(rig.ended(leg) for leg in rig.out))
    for leg in range(1, 200):
        check(rig.out[leg], rig.receiver.stats(leg))
        assert payload(rig.out[leg]) == b"".join(voice(leg, number) for number in range(3))
    assert payload(rig.out[0]) == b"".join(voice(0, number) for number in range(seq))


def test_a_full_backlog_is_counted_and_last_chunks_get_through() -> None:
    rig = Rig(chunk_ms=20, backlog=10)
    rig.add(1)
    for seq in range(50):
        rig.send(1, rtp(seq, seq * 160, voice(1, seq)))
    while rig.receiver.stats(1).packets < 50:
        time.sleep(0.005)
    rig.receiver.remove(1)
    rig.wait(lambda: rig.ended(1))
    assert rig.receiver.dropped() == 40
    out = chunks(rig.out[1])
    assert [(part.first, part.samples, bool(part.payload)) for part in out] == [
        *[(seq * 160, 160, True) for seq in range(10)],
        (1600, 6400, False),
        (8000, 0, False),
    ]
    rig.close()


def test_a_datagram_longer_than_any_rtp_is_malformed(rig: Rig) -> None:
    rig.add(1)
    rig.send(1, rtp(0, 0, bytes(4000)))
    rig.send(1, rtp(0, 0, voice(1, 0)))
    rig.receiver.remove(1)
    rig.wait(lambda: rig.ended(1))
    assert payload(rig.out[1]) == voice(1, 0)
    assert rig.receiver.stats(1).malformed == 1


async def test_the_event_loop_is_woken(rig: Rig) -> None:
    rig.add(1)
    came = asyncio.Event()

    def drain() -> None:
        rig.drain()
        came.set()

    loop = asyncio.get_running_loop()
    loop.add_reader(rig.receiver.fileno(), drain)
    for seq in range(5):
        rig.send(1, rtp(seq, seq * 160, voice(1, seq)))
    await asyncio.wait_for(came.wait(), 10)
    loop.remove_reader(rig.receiver.fileno())
    assert payload(rig.out[1]) == b"".join(voice(1, seq) for seq in range(5))
    assert select.select([rig.receiver.fileno()], [], [], 0)[0] == []


def receiver_threads() -> list[Path]:
    return [task for task in Path("/proc/self/task").iterdir() if (task / "comm").read_text() == "rtp-receiver\n"]


def test_the_thread_has_its_name_and_leaves_signals_to_python(rig: Rig) -> None:
    (task,) = receiver_threads()
    (blocked,) = [line.split()[1] for line in (task / "status").read_text().splitlines() if line.startswith("SigBlk")]
    assert int(blocked, 16) & 1 << (signal.SIGTERM - 1)
    assert rig.receiver.fileno() >= 0


def test_numbers_and_sockets_are_checked(rig: Rig) -> None:
    rig.add(1)
    with pytest.raises(ValueError, match="leg 1 is already there"):
        rig.receiver.add(1, 0, codecs={8: "alaw"}, remote=None)
    with pytest.raises(OSError, match="leg 2: its socket cannot be watched"):
        rig.receiver.add(2, 99_999, codecs={8: "alaw"}, remote=None)
    for call in (rig.receiver.stats, rig.receiver.remove):
        with pytest.raises(KeyError):
            call(2)
    with pytest.raises(KeyError):
        rig.receiver.update(2, codecs={8: "alaw"}, remote=None)
    rig.receiver.remove(1)
    with pytest.raises(KeyError):
        rig.receiver.remove(1)
    rig.wait(lambda: rig.ended(1))
    assert rig.receiver.stats(1).packets == 0
    rig.receiver.add(1, rig.sockets[1].fileno(), codecs={8: "alaw"}, remote=None)
    for fault in ({"tick_ms": -1}, {"backlog": 0}, {"chunk_ms": 2000}):
        with pytest.raises(ValueError, match=next(iter(fault))):
            Receiver(**fault)


def test_close_ends_the_thread_and_can_be_called_twice() -> None:
    rig = Rig()
    rig.add(1)
    rig.send(1, rtp(0, 0, voice(1, 0)))
    assert len(receiver_threads()) == 1
    rig.close()
    rig.receiver.close()
    assert receiver_threads() == []
    with pytest.raises(ValueError, match="closed"):
        rig.receiver.drain()


def test_a_receiver_dropped_without_close_stops() -> None:
    receiver = Receiver()
    assert len(receiver_threads()) == 1
    del receiver
    assert receiver_threads() == []


def test_totals_are_those_of_all_legs_and_stay_when_legs_end(rig: Rig) -> None:
    for leg in range(3):
        rig.add(leg)
        for seq in (0, 1, 1, 3, 4):  # one of them twice, one never
            rig.send(leg, rtp(seq, seq * 160, voice(leg, seq)))
        rig.send(leg, b"no RTP")
    rig.wait(lambda: rig.receiver.totals().lost == 3)
    totals = rig.receiver.totals()
    counted = (totals.packets, totals.lost, totals.duplicates, totals.malformed, totals.foreign)
    assert counted == (15, 3, 3, 3, 0)
    assert (totals.received_samples, totals.concealed_samples) == (12 * 160, 3 * 160)
    assert totals.legs == 3
    assert 0 < totals.jitter <= totals.worst_jitter
    rig.drain()
    rig.receiver.remove(1)
    while (waiting := rig.receiver.totals()).waiting == 0:
        time.sleep(0.005)
    assert (waiting.legs, waiting.waiting, waiting.backlog, waiting.dropped) == (2, 1, 65536, 0)
    rig.wait(lambda: rig.ended(1))
    after = rig.receiver.totals()
    assert (after.packets, after.lost, after.duplicates, after.malformed, after.waiting) == (15, 3, 3, 3, 0)
