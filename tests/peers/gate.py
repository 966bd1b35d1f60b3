"""The gate's rules by themselves: ``deploy/pjsip/gate/gate.c`` as a library, its clock in the test's hand."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
from functools import cache
from ipaddress import IPv4Address, ip_address
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "deploy" / "pjsip" / "gate" / "gate.c"
UDP, TCP, TLS = range(3)
DROP, ANSWER, ADMIT, UNPROVEN = range(4)


@cache
def library(folder: Path) -> ctypes.CDLL:
    """Compiles it, once for a folder."""
    built = folder / "gate.so"
    compiler = os.environ.get("CC", "cc")
    flags = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=default"]
    subprocess.run([compiler, *flags, str(SOURCE), "-o", str(built)], check=True)
    loaded = ctypes.CDLL(str(built))
    loaded.gate_next_report.restype = loaded.gate_cause.restype = ctypes.c_char_p
    loaded.gate_count.restype = ctypes.c_ulong
    loaded.gate_now.restype = ctypes.c_uint64
    loaded.gate_judge.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    loaded.gate_judge_connection.argtypes = [ctypes.c_char_p, ctypes.c_uint64]
    loaded.gate_note.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    loaded.gate_holds.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    loaded.gate_sheds.argtypes = [ctypes.c_int, ctypes.c_uint64]
    return loaded


def sockaddr(address: str, port: int = 5060) -> bytes:
    """Returns the ``struct sockaddr`` of an address."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv4Address):
        return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + parsed.packed + bytes(8)
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0) + parsed.packed + bytes(4)


def message(method: str = "INVITE", call_id: str = "a@b", *, agent: str = "", line: str = "") -> bytes:
    """Returns a message of which the gate reads all that it reads of any."""
    first = line or f"{method} sip:100@gateway SIP/2.0"
    lines = [first, "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1", f"Call-ID: {call_id}", f"CSeq: 1 {method}"]
    lines += [f"User-Agent: {agent}"] if agent else []
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


class Gate:
    """The gate; ``now`` is its clock, in milliseconds."""

    def __init__(self, folder: Path) -> None:
        self.c = library(folder)
        self.now: int = self.c.gate_now()
        self.c.gate_reset()

    def judge(self, source: str, data: bytes, transport: int = UDP) -> int:
        verdict: int = self.c.gate_judge(sockaddr(source), transport, data, len(data), self.now)
        return verdict

    def connects(self, source: str) -> bool:
        return bool(self.c.gate_judge_connection(sockaddr(source), self.now))

    def note(self, to: str, call_id: bytes) -> None:
        self.c.gate_note(sockaddr(to), call_id, len(call_id), self.now)

    def sheds(self, *, waiting: bool = False) -> bool:
        return bool(self.c.gate_sheds(waiting, self.now))

    @property
    def reports(self) -> list[str]:
        """What it reports, taken away by this."""
        found = []
        while report := self.c.gate_next_report():
            found.append(report.decode("ascii"))
        return found

    @property
    def counts(self) -> dict[str, int]:
        """What it counted; no zeros."""
        names = []
        while name := self.c.gate_cause(len(names)):
            names.append(name.decode())
        counted = {name: self.c.gate_count(number) for number, name in enumerate(names)}
        return {name: count for name, count in counted.items() if count}
