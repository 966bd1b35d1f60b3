"""Session timers (RFC 4028) with a real Asterisk 22, in both roles: a refresh costs a call no word."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import cast

import dpkt

from tests.integration.test_asterisk import recogniser
from tests.peers.asterisk import Asterisk
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess
from tests.peers.recogniser import Recogniser, spoken, word
from tests.peers.sip_peer import Response
from tests.peers.waiting import until

INTERVAL = 90
SECONDS = 108  # refreshed at 45 s and 90 s
TIMERS = f"timers_min_se = {INTERVAL}\ntimers_sess_expires = {INTERVAL}\n"
VALUES = range(1, 127)


class Relay(asyncio.DatagramProtocol):
    """Passes INVITEs on to the gateway and asks in Asterisk's name that the gateway refresh.

    Asterisk leaves the role to the other side, and that gives it back; ``;refresher=uas`` is the whole change. All else
    of the dialog goes straight between the two, by their Contacts.
    """

    def __init__(self, gateway: tuple[str, int]) -> None:
        self.gateway = gateway
        self.client: tuple[str, int] | None = None
        self.changed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        if source == self.gateway:
            assert self.client is not None
            self.transport.sendto(data, self.client)
            return
        self.client = source
        if data.startswith(b"INVITE "):
            asked = f"Session-Expires: {INTERVAL}".encode()
            self.changed += data.count(asked)
            data = data.replace(asked, asked + b";refresher=uas")
        self.transport.sendto(data, self.gateway)


def captured(file: Path) -> list[tuple[float, Response]]:
    """Reads what Asterisk's own logger captured: messages, and when they came or went, in seconds since the first."""
    seen, first = [], 0.0
    with file.open("rb") as capture:
        for at, frame in dpkt.pcap.Reader(capture):
            first = first or at
            seen.append((at - first, Response(bytes(dpkt.ethernet.Ethernet(frame).data.data.data).decode())))
    return seen


def refreshes(seen: list[tuple[float, Response]], port: int) -> dict[str, list[str]]:
    """Returns method and second of each request that renewed a session and was granted, by who sent it.

    Args:
        seen: The messages.
        port: The gateway's.
    """
    told: dict[str, list[str]] = {"Asterisk": [], "the gateway": []}
    for at, message in seen:
        if message.method not in ("UPDATE", "INVITE") or ";tag=" not in message.header("To"):
            continue
        granted = next(
            answer
            for _, answer in seen
            if answer.code >= 200 and all(answer.header(name) == message.header(name) for name in ("CSeq", "Call-ID"))
        )
        assert (granted.code, granted.header("Session-Expires").partition(";")[0]) == (200, str(INTERVAL))
        to_gateway = f":{port} " in message.text.partition("\r\n")[0]
        told["Asterisk" if to_gateway else "the gateway"].append(f"{message.method} {at:.0f} s")
    return told


async def test_calls_outlive_their_refreshes(tmp_path: Path, claim: Claim) -> None:
    values = [VALUES[index % len(VALUES)] for index in range(int(SECONDS / 0.3))]
    audio = spoken(values)
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(Recogniser())
        gateway = await stack.enter_async_context(GatewayProcess(tmp_path, asr=recogniser(server)))
        transport, relay = await loop.create_datagram_endpoint(
            lambda: Relay(("127.0.0.1", gateway.sip_port)), ("127.0.0.1", 0), family=socket.AF_INET
        )
        stack.callback(transport.close)
        targets = [gateway.sip, f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"]
        trunks = [f"timers = always\n{TIMERS}" for _ in targets]
        exchanges = [Asterisk(target, trunk=trunk) for target, trunk in zip(targets, trunks, strict=True)]
        for pbx in exchanges:
            await stack.enter_async_context(pbx)
            (pbx.folder / "words.alaw").write_bytes(audio)
            await pbx.command(f"pjsip set logger pcap {pbx.folder}/capture.pcap")
            await pbx.command("pjsip set logger on")
            await pbx.call("100", hears="words")
        await until(lambda: sum(len(session.audio) >= len(audio) for session in server.sessions) == 2, SECONDS + 30)
        for pbx in exchanges:
            await pbx.hang_up()
            await pbx.command("pjsip set logger off")  # closes the capture
        calls = await gateway.completed(2)
        seen = [captured(pbx.folder / "capture.pcap") for pbx in exchanges]
    assert relay.changed >= 1
    for role, messages in zip(("Asterisk", "the gateway"), seen, strict=True):
        told = refreshes(messages, gateway.sip_port)
        seconds = [float(one.split()[1]) for one in told.pop(role)]
        due = len(seconds) == 2 and all(abs(at - (turn + 1) * INTERVAL / 2) <= 8 for turn, at in enumerate(seconds))
        figure = ", ".join(f"{at:.0f} s" for at in seconds)
        (other,) = told.values()
        claim(f"session of {INTERVAL} s with Asterisk, refreshed by {role} alone", figure, due and other == [])
    for session in server.sessions:
        heard = bytes(session.audio)
        at = heard.find(audio)
        claim("over both refreshes: bytes of the audio at the ASR as Asterisk sent them", len(audio), at >= 0)
        assert session.text.split() == [word(value) for value in values]
    for call in calls:
        assert call.completed is not None
        (leg,) = call.completed.legs
        assert (leg.lost, call.completed.complete, call.completed.missing) == (0, True, [])
        assert [event.data.reason for event in call.events if event.type == "call.ended"] == ["bye"]
        assert call.text().split() == [word(value) for value in values]
