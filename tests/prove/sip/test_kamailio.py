"""A real Kamailio with the shipped configuration, before two gateways."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.test_asterisk import recogniser
from tests.integration.test_siprec import ROLES, SPEAKERS, aors, scenario
from tests.peers import sipp
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, Received, free_port
from tests.peers.kamailio import Kamailio
from tests.peers.legs import legs
from tests.peers.recogniser import Recogniser, spoken, word
from tests.peers.rtp_sender import RtpSender
from tests.peers.sip_peer import Response, SipPeer, sdp
from tests.peers.waiting import until

CALLS = 8
WORDS = {"caller": [17, 18, 33, 34], "agent": [49, 50, 51, 52]}


class Routed(SipPeer):
    """A peer that keeps to the route which the answer recorded (RFC 3261, section 12.1.2)."""

    routes = ""

    def send(self, method: str, body: str = "", *, headers: str = "", **options: object) -> None:
        super().send(method, body, headers=self.routes + headers, **options)  # type: ignore[arg-type]

    async def final(self, method: str) -> Response:
        response = await super().final(method)
        if method == "INVITE" and response.code == 200:
            recorded = re.findall(r"^Record-Route: (.*)\r$", response.text, re.MULTILINE)
            self.routes = "".join(f"Route: {route}\r\n" for route in reversed(recorded))
            contact = re.search(r"<(.*?)>", response.header("Contact"))
            assert contact
            self.uri = contact[1]
        return response


@asynccontextmanager
async def two(folder: Path, *, pbxs: str = "127.0.0.0/8") -> AsyncIterator[tuple[list[GatewayProcess], Kamailio]]:
    """Runs two gateways, and Kamailio before them."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Recogniser())
        gateways = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            gateway = GatewayProcess(
                folder / name, asr=recogniser(server), max_calls=64, settings=ROLES, listen=["tcp"]
            )
            gateways.append(await stack.enter_async_context(gateway))
        kamailio = await stack.enter_async_context(Kamailio([gateway.sip for gateway in gateways], pbxs=pbxs))
        yield gateways, kamailio


async def whole(gateways: list[GatewayProcess], count: int) -> list[Received]:
    """Waits until so many calls are complete at all gateways together."""

    def complete() -> list[Received]:
        return [call for gateway in gateways for call in gateway.calls.values() if call.completed is not None]

    await until(lambda: len(complete()) >= count, 60)
    return complete()


async def say(answered: Response, values: list[int]) -> None:
    """Says words on a call that was answered."""
    found = re.search(r"m=audio (\d+) ", answered.body)
    assert found, answered.text
    sender = RtpSender(int(found[1]), ssrc=7)
    try:
        await sender.play(spoken(values))
    finally:
        sender.close()


async def test_both_legs_of_each_call_reach_one_gateway(tmp_path: Path, claim: Claim) -> None:
    async with two(tmp_path) as (gateways, kamailio):
        await asyncio.gather(
            *(
                legs(tmp_path, kamailio.sip, leg, values, key="joined-[call_number]", calls=CALLS)
                for leg, values in WORDS.items()
            )
        )
        calls = await whole(gateways, CALLS)
        shares = [len(gateway.calls) for gateway in gateways]
    said = [{leg: call.text(leg).split() for leg in WORDS} for call in calls]
    expected = {leg: [word(value) for value in values] for leg, values in WORDS.items()}
    right = sum(one == expected for one in said)
    claim(f"Kamailio before two gateways, sipp's {CALLS} calls: with both legs' words", right, right == CALLS)
    claim("Kamailio before two gateways: calls that each took", shares, min(shares) > 0 and sum(shares) == CALLS)


async def test_a_recording_session_of_30_kb_goes_on_by_tcp(tmp_path: Path, claim: Claim) -> None:
    async with two(tmp_path) as (gateways, kamailio):
        path = scenario(tmp_path, "cisco", long=True)
        run = await sipp.run(path, kamailio.sip, port=free_port(), hold_ms=300, transport="tcp")
        assert run.passed, run.errors + kamailio.log
        (call,) = await whole(gateways, 1)
    assert len(run.messages) > 30_000
    named = aors(call)
    claim("Kamailio, SIPREC of 30 KB over TCP: legs by their speakers", ", ".join(named), named == SPEAKERS["cisco"])


class Callers:
    """Peers that call through Kamailio; all are closed in the end."""

    def __init__(self, kamailio: Kamailio) -> None:
        self._kamailio = kamailio
        self._peers: list[SipPeer] = []

    def __enter__(self) -> Callers:
        return self

    def __exit__(self, *_: object) -> None:
        for peer in self._peers:
            peer.close()

    async def call(self) -> tuple[Routed, Response]:
        peer = Routed(self._kamailio.port)
        self._peers.append(peer)
        return peer, await peer.invite(sdp())


async def answers(gateway: GatewayProcess, code: int) -> None:
    """Waits until a gateway answers OPTIONS with a status."""
    peer = SipPeer(gateway.sip_port)
    try:
        async with asyncio.timeout(10):
            while True:
                peer.send("OPTIONS")
                if (await peer.final("OPTIONS")).code == code:
                    return
    finally:
        peer.close()


async def test_a_gateway_that_drains(tmp_path: Path, claim: Claim) -> None:
    async with two(tmp_path) as (gateways, kamailio):
        with Callers(kamailio) as callers:
            peer, answered = await callers.call()
            await until(lambda: any(gateway.calls for gateway in gateways))
            busy, other = sorted(gateways, key=lambda gateway: not gateway.calls)
            stopping = asyncio.create_task(busy.drain())
            await answers(busy, 503)
            # Kamailio may send some there until its own OPTIONS say so, too; they go on to the other
            rest = [await callers.call() for _ in range(CALLS)]
            await kamailio.shown("gateway down")
            await say(answered, [17, 18])
            assert (await peer.bye()).code == 200
            assert await stopping == 0
            (told,) = busy.calls.values()
            claim("Kamailio, a gateway drains: words of the call there", told.text(), told.text() == "w17 w18")
            for one, answered in rest:
                assert answered.code == 200, answered.text
                assert (await one.bye()).code == 200
            await other.completed(CALLS)
            claim("Kamailio, a gateway drains: calls taken by the other", len(other.calls), len(other.calls) == CALLS)
            await busy.start()
            await kamailio.shown("gateway up")


async def test_gateways_that_are_gone(tmp_path: Path, claim: Claim) -> None:
    async with two(tmp_path) as (gateways, kamailio):
        with Callers(kamailio) as callers:
            gone, other = gateways
            await gone.kill()
            taken = [await callers.call() for _ in range(CALLS)]
            for peer, answered in taken:
                assert answered.code == 200, answered.text
                assert (await peer.bye()).code == 200
            await other.completed(CALLS)
            count = len(other.calls)
            claim("Kamailio, a gateway is killed: of calls right after, taken", f"{count} of {CALLS}", count == CALLS)
            await other.kill()
            await kamailio.until(503)
            _, refused = await callers.call()
            figure = f"{refused.code}, Retry-After: {refused.header('Retry-After')}"
            claim("Kamailio without a gateway: what callers get", figure, figure == "503, Retry-After: 1")
            for gateway in gateways:
                await gateway.start()
            await kamailio.until(200)
            peer, answered = await callers.call()
            assert answered.code == 200
            assert (await peer.bye()).code == 200


async def test_strangers_get_no_answer(tmp_path: Path) -> None:
    async with two(tmp_path, pbxs="127.0.0.1/32") as (gateways, kamailio):
        stranger = SipPeer(kamailio.port, address="127.0.0.2")
        for method in ("OPTIONS", "INVITE", "REGISTER"):
            stranger.send(method)
        known = Routed(kamailio.port)
        answered = await known.invite(sdp())
        assert answered.code == 200
        with pytest.raises(TimeoutError):
            await stranger.receive(0.5)
        assert (await known.bye()).code == 200
        stranger.close()
        known.close()
        assert len(await whole(gateways, 1)) == 1
