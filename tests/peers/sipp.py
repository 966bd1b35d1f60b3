"""sipp (Debian's sip-tester) as the PBX: runs scenarios, and writes the captures that they play as RTP."""

from __future__ import annotations

import asyncio
import shutil
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

SIPP = shutil.which("sipp")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        exit_code: 0 when all calls went as the scenario says.
        messages: sipp's trace of every message sent and received.
        errors: What it complained of.
    """

    exit_code: int
    messages: str
    errors: str

    @property
    def passed(self) -> bool:
        return self.exit_code == 0


async def run(
    scenario: Path,
    target: str,
    *,
    port: int,
    media_port: int = 0,
    calls: int = 1,
    rate: int = 10,
    at_once: int = 10,
    user: str = "service",
    keys: dict[str, str] | None = None,
    hold_ms: int = 1000,
    folder: Path | None = None,
    transport: str = "udp",
    give_up: int = 30,
) -> Run:
    """Runs a scenario to its end.

    Args:
        scenario: The XML file.
        target: ``host:port``.
        port: sipp's own SIP port.
        media_port: Where its RTP comes from; 0 for sipp's choice.
        calls: How many in all.
        rate: New calls a second.
        at_once: The most of them at a time.
        user: User part of the request URI, ``[service]``.
        keys: Values for ``[NAME]`` in the scenario's messages.
        hold_ms: How long a ``<pause/>`` lasts.
        folder: Where captures that the scenario names are looked for; None for the scenario's own folder.
        transport: ``udp`` or ``tcp``.
        give_up: Seconds after which sipp gives up, with an error.
    """
    assert SIPP, "sipp is not installed: apt-get install sip-tester"
    with tempfile.TemporaryDirectory(prefix="sipp-") as traces:
        messages, errors = Path(traces) / "messages", Path(traces) / "errors"
        command = [
            *(SIPP, target, "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(port), "-mi", "127.0.0.1"),
            *("-m", str(calls), "-r", str(rate), "-l", str(at_once), "-s", user, "-nostdin", "-d", str(hold_ms)),
            *("-t", {"udp": "u1", "tcp": "t1"}[transport], "-timeout", str(give_up), "-timeout_error"),
            *("-trace_msg", "-message_file", str(messages), "-trace_err", "-error_file", str(errors)),
        ]
        if media_port:
            command += ["-mp", str(media_port)]
        for name, value in (keys or {}).items():
            command += ["-key", name, value]
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder or scenario.parent,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await asyncio.wait_for(process.wait(), give_up + 10)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        read = [path.read_text(errors="replace") if path.exists() else "" for path in (messages, errors)]
        return Run(process.returncode or 0, *read)


def write_capture(path: Path, payload: bytes, *, payload_type: int, samples: int = 160, ssrc: int = 0x5EED) -> int:
    """Writes G.711 bytes as a capture that ``play_pcap_audio`` sends packet by packet in real time.

    Args:
        path: The file.
        payload: G.711; a last packet may be shorter.
        payload_type: 8 for A-law, 0 for µ-law.
        samples: In one packet.
        ssrc: Of the stream.

    Returns:
        The number of packets.
    """
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        count = 0
        for first in range(0, len(payload), samples):
            marker = 0x80 if first == 0 else 0
            rtp = struct.pack(">BBHII", 0x80, marker | payload_type, count & 0xFFFF, first, ssrc)
            frame = _ethernet(rtp + payload[first : first + samples])
            microseconds = first * 125
            file.write(struct.pack("<IIII", *divmod(microseconds, 1_000_000), len(frame), len(frame)) + frame)
            count += 1
    return count


def _ethernet(data: bytes) -> bytes:
    udp = struct.pack(">HHHH", 4000, 4000, 8 + len(data), 0) + data
    addresses = bytes([127, 0, 0, 1]) * 2
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0x4000, 64, 17, 0) + addresses
    return bytes(12) + b"\x08\x00" + ip + udp
