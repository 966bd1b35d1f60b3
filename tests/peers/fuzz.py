"""A mutation fuzzer over SIP and SDP: takes sound messages apart at random, the same for the same seed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
from collections import deque
from collections.abc import Sequence

from tests.peers.recording import BOUNDARY, CONTENT, Line, body, metadata
from tests.peers.sip_peer import Response, sdp

NUMBERS = ("-1", "0", "65535", "65536", "2147483648", "4294967296", "99999999999999999999", "1e9", "")
TEXTS = (
    "%00",
    "%n%s",
    "\x00",
    "\udcff\udcfe",
    "a" * 3000,
    "<",
    ">",
    '"',
    ";" * 50,
    ",",
    "\r\n",
    "[::",
    "@@",
    "=",
    " " * 200,
)
IN_DIALOG = [
    ("INVITE", sdp("m=audio 4100 RTP/AVP 0\r\na=sendonly\r\n", version=2), "application/sdp"),
    (
        "INVITE",
        sdp("m=audio 0 RTP/AVP 0\r\nm=audio 4100 RTP/AVP 8\r\n", version=3, address="0.0.0.0"),
        "application/sdp",
    ),
    ("INVITE", "", ""),
    ("INVITE", body([], metadata("opensips")), CONTENT),
    ("INVITE", body([Line(4000), Line(4010, "2"), Line(4020, "3")], metadata("cisco"), version=2), CONTENT),
    ("UPDATE", sdp("m=audio 4100 RTP/AVP 8\r\na=inactive\r\n", version=4), "application/sdp"),
    ("UPDATE", body([], metadata("oracle")), CONTENT),
    ("UPDATE", "", ""),
    ("PRACK", "", ""),
    ("CANCEL", "", ""),
    ("REFER", "", ""),
]
"""Requests inside a dialog: method, body, content type."""
BATCH = 40
"""Messages between two OPTIONS that must be answered: the pace."""


def seeds(port: int, here: str) -> list[str]:
    """Returns sound requests of many kinds; ``{id}`` stands for what makes each one new."""
    offers = [
        sdp(),
        sdp(
            "".join(
                f"m=audio {4000 + 2 * line} RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
                for line in range(4)
            )
        ),
        sdp(f"m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{'A' * 40}\r\n"),
        sdp("m=audio 4000 RTP/AVP 8\r\na=inactive\r\nm=video 4002 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n"),
    ]
    plain = [("INVITE", offer, "application/sdp", "") for offer in offers]
    recording = [
        ("INVITE", body([Line(4000, "1"), Line(4010, "2")], metadata(sbc)), CONTENT, "Require: siprec\r\n")
        for sbc in ("cisco", "oracle")
    ]
    others = [
        (method, "", "", "") for method in ("OPTIONS", "BYE", "CANCEL", "ACK", "INFO", "MESSAGE", "SUBSCRIBE", "REFER")
    ]
    credentials = (
        'Authorization: Digest username="a", realm="b", nonce="c", uri="sip:x", response="d", qop=auth, nc=1\r\n'
    )
    more = [
        ("REGISTER", "", "", credentials),
        (
            "INVITE",
            offers[0],
            "application/sdp",
            "Supported: 100rel, timer\r\nRequire: 100rel\r\nSession-Expires: 90\r\n",
        ),
        ("INVITE", "", "", credentials),
        ("UPDATE", offers[0], "application/sdp", ""),
        ("NOTIFY", "SIP/2.0 200 OK\r\n", "message/sipfrag", "Event: refer\r\nSubscription-State: active\r\n"),
    ]
    made = []
    for method, content, kind, headers in [*plain, *recording, *others, *more]:
        kinds = f"Content-Type: {kind}\r\n" if kind else ""
        made.append(
            f"{method} sip:100@127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {here};rport;branch=z9hG4bK{{id}}\r\n"
            f'From: "Anna" <sip:anna@example.org>;tag=f{{id}}\r\nTo: <sip:100@127.0.0.1:{port}>\r\n'
            f"Call-ID: {{id}}@fuzz\r\nCSeq: 1 {method}\r\nContact: <sip:anna@{here}>\r\nMax-Forwards: 70\r\n"
            f"{headers}{kinds}Content-Length: {len(content.encode())}\r\n\r\n{content}"
        )
    return made


def mutated(text: str, chance: random.Random) -> bytes:
    """Returns a message with one to four changes."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        text = chance.choice((_number, _text, _line, _span, _length, _header))(text, chance)
    data = bytearray(text.encode("utf-8", "surrogateescape"))
    if data and chance.random() < 0.2:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data[:60000])


def _number(text: str, chance: random.Random) -> str:
    found = list(re.finditer(r"\d+", text))
    if not found:
        return text
    one = chance.choice(found)
    return text[: one.start()] + chance.choice(NUMBERS) + text[one.end() :]


def _text(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(TEXTS) + text[at:]


def _line(text: str, chance: random.Random) -> str:
    lines = text.split("\r\n")
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            lines[at] = lines[at] * chance.choice((2, 20))
    return "\r\n".join(lines)


def _span(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    end = min(len(text), at + chance.choice((1, 4, 30, 400)))
    return text[:at] + text[at:end] * chance.choice((0, 0, 2, 5)) + text[end:]


def _length(text: str, chance: random.Random) -> str:
    return re.sub(r"Content-Length: \d+", f"Content-Length: {chance.choice(NUMBERS)}", text, count=1)


def _header(text: str, chance: random.Random) -> str:
    names = (
        "Via",
        "Route",
        "Record-Route",
        "Require",
        "Contact",
        "Supported",
        "Session-Expires",
        "RSeq",
        "RAck",
        "Replaces",
    )
    names += (
        "Content-Type",
        "Accept",
        "Allow",
        "Expires",
        "Refer-To",
        "P-Asserted-Identity",
        "Diversion",
        "Content-Encoding",
    )
    value = chance.choice((*TEXTS, *NUMBERS, "timer", f"multipart/mixed;boundary={BOUNDARY}", "<sip:a@b>;lr"))
    head, middle, rest = text.partition("\r\n")
    return head + middle + f"{chance.choice(names)}: {value}\r\n" + rest


class Fuzzer:
    """Sends mutated messages, hangs up what is answered, and keeps the pace by OPTIONS.

    Args:
        port: The gateway's UDP port on this machine.
        seed: Of the random changes.
        address: Where from.
        inside: Whether dialogs that come about get mutated requests, too.

    Attributes:
        sent: How many messages.
        answers: How many responses came, by status.
        last: The latest messages, for looking into a crash.
    """

    def __init__(self, port: int, *, seed: int, address: str = "127.0.0.1", inside: bool = False) -> None:
        self.sent = 0
        self.answers: dict[int, int] = {}
        self.last: deque[bytes] = deque(maxlen=4 * BATCH)
        self._chance = random.Random(seed)
        self._seed = seed
        self._inside_dialogs = inside
        self._port = port
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.setblocking(False)
        self._socket.bind((address, 0))
        self._socket.connect(("127.0.0.1", port))
        self._here = f"{address}:{self._socket.getsockname()[1]}"
        self._seeds = seeds(port, self._here)

    def close(self) -> None:
        self._socket.close()

    async def run(self, count: int) -> None:
        """Sends so many messages; one that gets no answer to OPTIONS for 10 s has lost the gateway.

        Raises:
            TimeoutError: It has.
        """
        for _ in range(count // BATCH):
            batch = [self._made() for _ in range(BATCH)]
            await self.send(batch)

    async def send(self, messages: Sequence[bytes]) -> None:
        """Sends messages as they are, then waits for an answer to OPTIONS."""
        for message in messages:
            self.last.append(message)
            self._send(message)
            self.sent += 1
        asked = f"ping{self._seed}-{self.sent}"
        async with asyncio.timeout(20):
            while True:
                # sent again: while the stack is started anew, what comes is lost
                self._send(self._options(asked))
                if await self._answered(asked, 1.0):
                    return

    async def shout(self, count: int) -> int:
        """Sends so many messages to a gateway that shall not answer; returns the answers that came."""
        answers = 0
        for number in range(count):
            self._send(self._made())
            self.sent += 1
            if number % BATCH == 0:
                await asyncio.sleep(0.01)
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(65535):
                answers += 1
        return answers

    async def _answered(self, asked: str, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        data = await loop.sock_recv(self._socket, 65535)
                    except ConnectionRefusedError:  # nobody listens for a moment
                        await asyncio.sleep(0.05)
                        continue
                    response = Response(data.decode("utf-8", "replace"))
                    if response.code == 200 and asked in response.header("Call-ID"):
                        return True
                    self._take(response)
        except TimeoutError:
            return False

    def _send(self, data: bytes) -> None:
        # refused: an earlier packet found nobody there, while the stack is started anew
        with contextlib.suppress(ConnectionRefusedError):
            self._socket.send(data)

    def _take(self, response: Response) -> None:
        self.answers[response.code] = self.answers.get(response.code, 0) + 1
        number, _, method = response.header("CSeq").partition(" ")
        if response.code // 100 != 2 or method != "INVITE":
            return
        self._send(self._inside(response, "ACK", int(number)).encode("utf-8", "replace"))
        if int(number) > 1:
            return  # of a re-INVITE
        for later, (again, content, kind) in enumerate(
            self._chance.sample(IN_DIALOG, 3 if self._inside_dialogs else 0), 2
        ):
            message = mutated(self._inside(response, again, later, content, kind), self._chance)
            self.last.append(message)
            self._send(message)
            self.sent += 1
        self._send(self._inside(response, "BYE", 1_000_000).encode("utf-8", "replace"))

    def _inside(self, response: Response, method: str, number: int, content: str = "", kind: str = "") -> str:
        """Returns a request inside the dialog that a response began."""
        copied = "".join(f"{name}: {response.header(name)}\r\n" for name in ("From", "To", "Call-ID"))
        kinds = f"Content-Type: {kind}\r\n" if kind else ""
        return (
            f"{method} sip:100@127.0.0.1:{self._port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self._here};rport;branch=z9hG4bK{method}{self.sent}\r\n{copied}"
            f"CSeq: {number} {method}\r\n"
            f"Contact: <sip:anna@{self._here}>\r\nMax-Forwards: 70\r\n{kinds}"
            f"Content-Length: {len(content.encode())}\r\n\r\n{content}"
        )

    def _made(self) -> bytes:
        text = self._chance.choice(self._seeds).replace("{id}", f"s{self._seed}n{self.sent}r{self._chance.random()}")
        return mutated(text, self._chance)

    def _options(self, call_id: str) -> bytes:
        return (
            f"OPTIONS sip:127.0.0.1:{self._port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self._here};rport;branch=z9hG4bK{call_id}\r\n"
            f"From: <sip:ping@test>;tag=p\r\nTo: <sip:127.0.0.1>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n"
            "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        ).encode()
