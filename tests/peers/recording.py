"""What a session recording client sends (RFC 7866): bodies of SDP and metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers.sip_peer import sdp

DATA = Path(__file__).parent.parent / "data/siprec"
BOUNDARY = "boundary-42"
CONTENT = f"multipart/mixed;boundary={BOUNDARY}"
REQUIRE = "Require: siprec\r\nContact: <sip:src@127.0.0.1>;+sip.src\r\n"


@dataclass(frozen=True)
class Line:
    """An ``m=`` line of a recording client.

    Attributes:
        port: It sends from there; 0 takes the stream out.
        label: Empty for none.
        direction: As it says it.
        payload_type: 8 or 0.
    """

    port: int = 4000
    label: str = ""
    direction: str = "sendonly"
    payload_type: int = 8

    def __str__(self) -> str:
        label = f"a=label:{self.label}\r\n" if self.label else ""
        return f"m=audio {self.port} RTP/AVP {self.payload_type}\r\n{label}a={self.direction}\r\n"


def metadata(sbc: str) -> str:
    """Returns the metadata of a kind of SBC: cisco, opensips or oracle."""
    return (DATA / f"{sbc}.xml").read_text(encoding="utf-8")


def body(lines: Sequence[Line], xml: str, *, version: int = 1, kind: str = "application/rs-metadata+xml") -> str:
    """Returns a multipart body, of content type ``CONTENT``; without lines it has no SDP."""
    parts = []
    if lines:
        parts.append(f"Content-Type: application/sdp\r\n\r\n{offer(lines, version=version)}")
    if xml:
        parts.append(f"Content-Type: {kind}\r\nContent-Disposition: recording-session\r\n\r\n{xml}")
    return "".join(f"--{BOUNDARY}\r\n{part}\r\n" for part in parts) + f"--{BOUNDARY}--\r\n"


def offer(lines: Sequence[Line], *, version: int = 1) -> str:
    return sdp("".join(str(line) for line in lines), version=version)
