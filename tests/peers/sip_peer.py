"""A SIP peer in a few lines: every byte that it sends is the test's own."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass

G711 = "m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"


def sdp(media: str = G711, *, address: str = "127.0.0.1", version: int = 1) -> str:
    """Returns a whole SDP around its ``m=`` lines."""
    return f"v=0\r\no=- 1 {version} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n{media}"


@dataclass(frozen=True)
class Response:
    """A response, or a request of the other side."""

    text: str

    @property
    def code(self) -> int:
        match = re.match(r"SIP/2\.0 (\d+)", self.text)
        return int(match[1]) if match else 0

    @property
    def method(self) -> str:
        return "" if self.code else self.text.partition(" ")[0]

    def header(self, name: str) -> str:
        match = re.search(rf"^{name}\s*:\s*(.*?)\r$", self.text, re.IGNORECASE | re.MULTILINE)
        return match[1] if match else ""

    @property
    def body(self) -> str:
        return self.text.partition("\r\n\r\n")[2]


class SipPeer:
    """One dialog's worth of a UDP user agent client."""

    serial = 0
    transport = "UDP"

    def __init__(self, port: int, *, user: str = "100", address: str = "127.0.0.1") -> None:
        SipPeer.serial += 1
        self.call_id = f"call-{SipPeer.serial}@test"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((address, 0))
        self.socket.connect(("127.0.0.1", port))
        self.here = f"{address}:{self.socket.getsockname()[1]}"
        self.uri = f"sip:{user}@127.0.0.1:{port}"
        self.contact = self.here
        self.to_tag = ""
        self.cseq = 0

    def close(self) -> None:
        self.socket.close()

    def send(
        self, method: str, body: str = "", *, headers: str = "", cseq: int = 0, content: str = "", branch: str = ""
    ) -> None:
        """Sends a request; ACK to a failure and CANCEL reuse the INVITE's branch by giving its ``cseq``."""
        if not cseq:
            self.cseq += 1
            cseq = self.cseq
        branch = f"z9hG4bK-{self.call_id}-{branch or cseq}".replace("@", "-")
        tag = f";tag={self.to_tag}" if self.to_tag else ""
        kind = f"Content-Type: {content or 'application/sdp'}\r\n" if body else ""
        text = (
            f"{method} {self.uri} SIP/2.0\r\nVia: SIP/2.0/{self.transport} {self.here};branch={branch}\r\n"
            f'From: "Anna" <sip:anna@example.org>;tag=from-tag\r\nTo: <{self.uri}>{tag}\r\n'
            f"Call-ID: {self.call_id}\r\nCSeq: {cseq} {method}\r\n"
            f"Contact: <sip:anna@{self.contact};transport={self.transport.lower()}>\r\n"
            f"Max-Forwards: 70\r\n{headers}{kind}Content-Length: {len(body.encode())}\r\n\r\n{body}"
        )
        self.write(text.encode("utf-8", "surrogateescape"))

    def write(self, data: bytes) -> None:
        self.socket.send(data)

    async def receive(self, seconds: float = 5.0) -> Response:
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 65535), seconds)
        return Response(data.decode())

    async def final(self, method: str) -> Response:
        """Waits for the final response to a method; passes over everything else."""
        while True:
            response = await self.receive()
            if response.code >= 200 and response.header("CSeq").endswith(method):
                return response

    async def request(self, method: str) -> Response:
        """Waits for a request of the other side and answers it with 200."""
        while True:
            received = await self.receive()
            if received.method == method:
                copied = [f"{name}: {received.header(name)}" for name in ("Via", "From", "To", "Call-ID", "CSeq")]
                self.write(("\r\n".join(["SIP/2.0 200 OK", *copied, "Content-Length: 0"]) + "\r\n\r\n").encode())
                return received

    async def invite(self, body: str, *, headers: str = "", ack: str = "", content: str = "") -> Response:
        """Sends INVITE or re-INVITE and acknowledges its final response."""
        self.send("INVITE", body, headers=headers, content=content)
        number = self.cseq
        response = await self.final("INVITE")
        tag = re.search(r";tag=([^;\s]+)", response.header("To"))
        kept, self.to_tag = self.to_tag, tag[1] if tag else ""
        if response.code < 300:
            # the ACK of a 200 is a transaction of its own (RFC 3261, section 13.2.2.4)
            self.send("ACK", ack, cseq=number, branch=f"ack-{number}")
        else:
            self.send("ACK", cseq=number)
            self.to_tag = kept
        return response

    async def bye(self) -> Response:
        self.send("BYE")
        return await self.final("BYE")
