"""The gate in the running stack: strangers, scanners, floods and wrong credentials against real sockets."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.sip.build import installed
from gateway.sip.events import Ended, Established, Incoming, Kept, Offence, Refused
from tests.peers.sip_peer import SipPeer, sdp
from tests.sip.conftest import Signalling, Start
from tests.sip.test_digest import credentials, nonce

STRANGER = "127.0.0.2"
ONLY_US = ["127.0.0.1/32"]
DIGEST = [{"name": "branch", "username": "branch", "password": "secret"}]

needs_gate = pytest.mark.skipif(installed().name != "work", reason="the quick build has no gate")


def stranger(gateway: Signalling) -> SipPeer:
    return gateway.peer(address=STRANGER)


async def kept(gateway: Signalling, **expected: int) -> None:
    """Waits until so many messages were kept out, by cause."""
    async with asyncio.timeout(10):
        while (counted := total(gateway)) != expected:
            assert all(count <= expected.get(cause, 0) for cause, count in counted.items()), counted
            await asyncio.sleep(0.05)


def total(gateway: Signalling) -> dict[str, int]:
    counted: dict[str, int] = {}
    for news in gateway.of(Kept):
        for cause, count in news.counts.items():
            counted[cause] = counted.get(cause, 0) + count
    return counted


async def is_silent(peer: SipPeer, gateway: Signalling) -> None:
    """Has a call go through, and checks that nothing came back to a peer meanwhile."""
    caller = gateway.peer()
    assert (await caller.invite(sdp())).code == 200
    assert (await caller.bye()).code == 200
    with pytest.raises(BlockingIOError):
        peer.socket.recv(65535)


@pytest.mark.skipif(installed().name != "trial", reason="the build for work is silent")
async def test_the_quick_build_refuses_strangers_by_itself(start: Start) -> None:
    gateway = await start(networks=["192.0.2.0/24"])
    peer = gateway.peer()
    assert (await peer.invite(sdp())).code == 403
    refused = await gateway.wait_for(Refused)
    assert (refused.code, refused.cause, refused.source) == (403, "unknown_peer", peer.here)
    assert (await gateway.wait_for(Offence)) == Offence(peer.here, "unknown_peer", 1)


@needs_gate
async def test_strangers_get_nothing_at_all(start: Start) -> None:
    gateway = await start(networks=ONLY_US)
    peer = stranger(gateway)
    for method in ("INVITE", "OPTIONS", "REGISTER", "BYE", "FOO"):
        peer.send(method)
    peer.write(b"hello, is there anybody who answers to what is not SIP at all?\r\n\r\n")
    await kept(gateway, stranger=4, unasked=1, malformed=1)
    await is_silent(peer, gateway)
    assert (await gateway.wait_for(Offence)) == Offence(peer.here, "stranger", 1)
    assert len(gateway.of(Offence)) == 1
    assert len(gateway.of(Incoming)) == 1


@needs_gate
async def test_strangers_get_the_same_answer_whatever_they_ask(start: Start) -> None:
    gateway = await start(networks=ONLY_US, defence={"strangers": "refuse"})
    seen = set()
    for user, method in (("100", "INVITE"), ("service", "INVITE"), ("100", "OPTIONS"), ("100", "REGISTER")):
        peer = gateway.peer(user=user, address=STRANGER)
        peer.send(method, sdp() if method == "INVITE" else "")
        response = await peer.final(method)
        seen.add((response.text.split("\r\n")[0], response.header("Allow"), response.header("Server"), response.body))
    assert seen == {("SIP/2.0 403 Forbidden", "", "", "")}
    assert gateway.of(Incoming) == []


@needs_gate
async def test_connections_of_strangers_are_closed(start: Start) -> None:
    gateway = await start(networks=ONLY_US, defence={"strangers": "refuse"})
    port = int(gateway.ready.listening[1].rpartition(":")[2])

    def connect(address: str) -> bytes:
        with socket.create_connection(("127.0.0.1", port), 10, (address, 0)) as connection:
            connection.sendall(b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;rport;branch=z9hG4bK7\r\n"
                               b"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n"
                               b"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n")  # fmt: skip
            try:
                return connection.recv(4096)
            except ConnectionResetError:
                return b""

    assert await asyncio.to_thread(connect, STRANGER) == b""
    assert (await asyncio.to_thread(connect, "127.0.0.1")).startswith(b"SIP/2.0 200 OK")
    await kept(gateway, connection=1)


@needs_gate
async def test_a_call_goes_on_from_another_address(start: Start) -> None:
    gateway = await start(networks=ONLY_US)
    peer = gateway.peer()
    await peer.invite(sdp())
    await gateway.wait_for(Established)
    moved = stranger(gateway)
    moved.call_id, moved.to_tag, moved.cseq = peer.call_id, peer.to_tag, 10
    assert (await moved.bye()).code == 200
    assert (await gateway.wait_for(Ended)).reason == "bye"
    moved.send("OPTIONS")
    await kept(gateway, stranger=1)


@needs_gate
async def test_scanners_get_nothing_even_from_a_peers_network(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    peer.send("OPTIONS", headers="User-Agent: friendly-scanner\r\n")
    await kept(gateway, scanner=1)
    await is_silent(peer, gateway)
    assert (await gateway.wait_for(Offence)) == Offence(peer.here, "scanner", 1, "friendly-scanner")


@needs_gate
async def test_a_flood_of_one_source_costs_nobody_else(start: Start) -> None:
    gateway = await start(networks=ONLY_US, defence={"strangers": "refuse", "messages_per_second": 1})
    peer = stranger(gateway)
    for _ in range(100):
        peer.send("OPTIONS")
    caller = gateway.peer()
    assert (await caller.invite(sdp())).code == 200
    assert (await caller.bye()).code == 200
    answers = 0
    while True:
        try:
            peer.socket.recv(65535)
            answers += 1
        except BlockingIOError:
            break
    assert 2 <= answers < 20
    await kept(gateway, stranger=answers, flood=100 - answers)


@needs_gate
async def test_wrong_user_and_wrong_password_look_alike_and_end_in_silence(start: Start) -> None:
    gateway = await start(peers=DIGEST, defence={"failed_logins": 3})
    shapes = set()
    for number, user in enumerate(("branch", "nobody", "branch")):
        peer = gateway.peer(address=STRANGER)
        credentials = (
            f'Authorization: Digest username="{user}", realm="asr-gateway", nonce="n", uri="{peer.uri}", '
            f'response="{number:032x}", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"\r\n'
        )
        answered = await peer.invite(sdp(), headers=credentials)
        lines = sorted(line.partition(":")[0] for line in answered.text.split("\r\n"))
        shapes.add((answered.code, tuple(lines)))
    assert len(shapes) == 1
    assert shapes.pop()[0] == 401
    peer = stranger(gateway)
    peer.send("INVITE", sdp())
    await kept(gateway, blocked=1)
    assert gateway.of(Incoming) == []
    assert {offence.cause for offence in gateway.of(Offence)} == {"unauthorized", "blocked"}


@needs_gate
async def test_who_has_proved_who_it_is_counts_as_a_peer(start: Start) -> None:
    gateway = await start(peers=DIGEST)
    peer = stranger(gateway)
    peer.send("OPTIONS")
    await kept(gateway, stranger=1)
    challenged = await peer.invite(sdp())
    assert challenged.code == 401
    proof = credentials(
        nonce(challenged.header("WWW-Authenticate")),
        algorithm="SHA-256",
        realm="asr-gateway",
        username="branch",
        uri=peer.uri,
    )
    assert (await peer.invite(sdp(), headers=f"Authorization: {proof}\r\n")).code == 200
    other = stranger(gateway)
    other.send("OPTIONS")
    assert (await other.final("OPTIONS")).code == 200


@needs_gate
async def test_new_calls_beyond_the_rate_get_503_and_calls_that_are_up_go_on(start: Start) -> None:
    gateway = await start(max_calls=50, retry_after=9, defence={"calls_per_second": 5})
    peers = [gateway.peer() for _ in range(20)]
    answers = await asyncio.gather(*(peer.invite(sdp()) for peer in peers))
    refused = [answer for answer in answers if answer.code == 503]
    assert {answer.code for answer in answers} == {200, 503}
    assert {answer.header("Retry-After") for answer in refused} == {"9"}
    assert len(refused) <= 10
    await kept(gateway, rate=len(refused))
    up = [peer for peer, answer in zip(peers, answers, strict=True) if answer.code == 200]
    assert [(await peer.bye()).code for peer in up] == [200] * len(up)


async def test_a_peer_has_no_more_calls_than_its_own_limit(start: Start) -> None:
    peers = [{"name": "pbx", "networks": ONLY_US, "max_calls": 2}, {"name": "sbc", "networks": [f"{STRANGER}/32"]}]
    gateway = await start(peers=peers)
    callers = [gateway.peer() for _ in range(3)]
    assert [(await caller.invite(sdp())).code for caller in callers] == [200, 200, 503]
    assert (await gateway.wait_for(Refused)).cause == "peer_full"
    assert (await stranger(gateway).invite(sdp())).code == 200
    await callers[0].bye()
    await gateway.wait_for(Ended)
    assert (await callers[2].invite(sdp())).code == 200
