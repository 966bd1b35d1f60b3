"""What a session recording client sends (RFC 7866): bodies of SDP and metadata."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers.sip_peer import sdp

DATA = Path(__file__).parent.parent / "data/siprec"
BOUNDARY = "boundary-42"
CONTENT = f"multipart/mixed;boundary={BOUNDARY}"
SUITE = "AES_CM_128_HMAC_SHA1_80"
REQUIRE = "Require: siprec\r\nContact: <sip:src@127.0.0.1>;+sip.src\r\n"


@dataclass(frozen=True)
class Line:
    """An ``m=`` line of a recording client.

    Attributes:
        port: It sends from there; 0 takes the stream out.
        label: Empty for none.
        direction: As it says it.
        payload_type: 8 or 0.
        key: Its SRTP key and salt, 30 bytes; empty for plain RTP.
    """

    port: int = 4000
    label: str = ""
    direction: str = "sendonly"
    payload_type: int = 8
    key: bytes = b""

    def __str__(self) -> str:
        label = f"a=label:{self.label}\r\n" if self.label else ""
        secure = f"a=crypto:1 {SUITE} inline:{base64.b64encode(self.key).decode()}\r\n" if self.key else ""
        head = f"m=audio {self.port} RTP/{'SAVP' if self.key else 'AVP'} {self.payload_type}\r\n"
        return f"{head}{secure}{label}a={self.direction}\r\n"


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
