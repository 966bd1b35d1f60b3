"""The gateway refreshes sessions, where the peer leaves that to it (RFC 4028): half-way, by UPDATE or by re-INVITE."""

from __future__ import annotations

import asyncio
import time

from gateway.sip.events import Ended
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


def answer(peer: SipPeer, request: Response, code: int, phrase: str) -> None:
    """Answers a refresh; 200 with an SDP where it brought one."""
    names = ["Via", "From", "To", "Call-ID", "CSeq", *(["Session-Expires"] if code == 200 else [])]
    lines = [f"{name}: {request.header(name)}" for name in names]
    lines += ["Supported: timer", f"Contact: <sip:anna@{peer.here}>"]
    body = sdp(version=9) if request.body and code == 200 else ""
    kind = ["Content-Type: application/sdp"] if body else []
    head = "\r\n".join([f"SIP/2.0 {code} {phrase}", *lines, *kind, f"Content-Length: {len(body)}"])
    peer.write(f"{head}\r\n\r\n{body}".encode())


async def crossed(peer: SipPeer, allowed: str, *, again: bool) -> list[str]:
    """Has a re-INVITE of the peer's cross the gateway's refresh; returns what went on until the session was renewed.

    Args:
        peer: The peer.
        allowed: Its Allow.
        again: Whether it sends its re-INVITE again, as who chose the Call-ID does after 2.1 s to 4 s.
    """
    headers = f"Supported: timer\r\nSession-Expires: {INTERVAL};refresher=uas\r\nAllow: {allowed}\r\n"
    held = "m=audio 4000 RTP/AVP 8\r\na=sendonly\r\n"
    assert (await peer.invite(sdp(), headers=headers)).code == 200
    while True:
        request = await peer.receive(INTERVAL)
        if request.method in ("UPDATE", "INVITE"):
            break
    peer.send("INVITE", sdp(held, version=2), headers=headers)
    mine = peer.cseq
    final = await peer.final("INVITE")
    peer.send("ACK", cseq=mine, branch=f"ack-{mine}" if final.code < 300 else "")
    told = [f"{request.method} crosses INVITE: {final.code}"]
    answer(peer, request, 491, "Request Pending")
    if final.code == 200:
        assert final.header("Session-Expires").startswith(str(INTERVAL))
    began = time.monotonic()
    renewed = final.code == 200
    while not renewed or time.monotonic() - began < 6:
        if again and final.code == 491 and time.monotonic() - began > 2.5:
            final = await peer.invite(sdp(held, version=3), headers=headers)
            told.append(f"INVITE again: {final.code}")
            renewed = True
        try:
            request = await peer.receive(0.2)
        except TimeoutError:
            continue
        if request.method in ("UPDATE", "INVITE"):
            answer(peer, request, 200, "OK")
            told.append(f"{request.method} again: 200")
            renewed = True
    assert (await peer.bye()).code == 200
    return told


async def test_refreshes_that_cross_a_re_invite(start: Start, claim: Claim) -> None:
    gateway = await start()
    old, new = "INVITE, ACK, BYE, CANCEL", "INVITE, ACK, BYE, CANCEL, UPDATE"
    peers = [gateway.peer() for _ in range(3)]
    first, second, third = await asyncio.gather(
        crossed(peers[0], old, again=False), crossed(peers[1], old, again=True), crossed(peers[2], new, again=False)
    )
    glare, again = "INVITE crosses INVITE: 491", "INVITE again: 200"
    claim("glare, both get 491: the gateway sends its refresh again", ", ".join(first), first == [glare, again])
    claim("glare, both get 491: both send theirs again", ", ".join(second), second == [glare, again, again])
    renewed = third == ["UPDATE crosses INVITE: 200"]
    claim("glare with UPDATE: the re-INVITE renews the session", ", ".join(third), renewed)
    assert {ended.reason for ended in gateway.of(Ended)} == {"bye"}
    assert gateway.link.restarts == 0
