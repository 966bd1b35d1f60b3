"""The gateway refreshes sessions, where the peer leaves that to it (RFC 4028): half-way, by UPDATE or by re-INVITE."""

from __future__ import annotations

import asyncio
import time

from gateway.sip.messages import Ended
from tests.peers.claims import Claim
from tests.peers.sip_peer import Response, SipPeer, sdp
from tests.sip.conftest import Start, start

__all__ = ["start"]
INTERVAL = 90


async def refreshed(peer: SipPeer, allowed: str) -> tuple[str, float, Response]:
    """Sets a call up and waits for the refresh; returns its method, when it came and the request."""
    headers = f"Supported: timer\r\nSession-Expires: {INTERVAL};refresher=uas\r\nAllow: {allowed}\r\n"
    answered = await peer.invite(sdp(), headers=headers)
    assert answered.header("Session-Expires").replace(" ", "") == f"{INTERVAL};refresher=uas"
    began = time.monotonic()
    while True:
        request = await peer.receive(INTERVAL)
        if request.method in ("UPDATE", "INVITE"):
            break
    names = ("Via", "From", "To", "Call-ID", "CSeq", "Session-Expires")
    lines = [f"{name}: {request.header(name)}" for name in names]
    lines += ["Supported: timer", "Require: timer", f"Contact: <sip:anna@{peer.here}>"]
    body = sdp(version=2) if request.body else ""
    kind = ["Content-Type: application/sdp"] if body else []
    head = "\r\n".join(["SIP/2.0 200 OK", *lines, *kind, f"Content-Length: {len(body)}"])
    peer.write(f"{head}\r\n\r\n{body}".encode())
    return request.method, time.monotonic() - began, request


async def test_the_gateway_refreshes(start: Start, claim: Claim) -> None:
    gateway = await start()
    peers = [gateway.peer(), gateway.peer()]
    both = await asyncio.gather(
        refreshed(peers[0], "INVITE, ACK, BYE, CANCEL, UPDATE"), refreshed(peers[1], "INVITE, ACK, BYE, CANCEL")
    )
    for (method, seconds, request), expected in zip(both, ("UPDATE", "INVITE"), strict=True):
        figure = f"{method} after {seconds:.0f} s"
        half = INTERVAL / 2 - 6 <= seconds <= INTERVAL / 2 + 6
        claim(f"session of {INTERVAL} s refreshed by the gateway", figure, method == expected and half)
        assert request.header("Session-Expires").startswith(str(INTERVAL))
    assert gateway.of(Ended) == []
    assert (await peers[0].bye()).code == 200
