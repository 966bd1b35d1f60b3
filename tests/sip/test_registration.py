"""Registration at registrars whose every answer is the test's own."""

from __future__ import annotations

import asyncio
import socket

from gateway.sip.commands import Drain
from gateway.sip.events import Established, Incoming, Offence, Registered
from tests.peers.sip_peer import Response, SipPeer, sdp
from tests.sip.conftest import Signalling, Start

CHALLENGE = 'WWW-Authenticate: Digest realm="pbx", nonce="n1", algorithm=MD5, qop="auth"\r\n'


class Registrar:
    """Answers each REGISTER with the next of some statuses, the last one for good; also calls who registered."""

    def __init__(self, *statuses: str, expires: int = 60) -> None:
        self.requests: list[Response] = []
        self._statuses = list(statuses)
        self._expires = expires
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    @property
    def uri(self) -> str:
        return f"sip:127.0.0.1:{self._socket.getsockname()[1]}"

    async def received(self, count: int, seconds: float = 10.0) -> Response:
        async with asyncio.timeout(seconds):
            while len(self.requests) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.requests[count - 1]

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        data, source = self._socket.recvfrom(65535)
        request = Response(data.decode())
        if request.method != "REGISTER":
            return
        self.requests.append(request)
        self._changed.set()
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        copied = "".join(f"{name}: {request.header(name)}\r\n" for name in ("Via", "From", "To", "Call-ID", "CSeq"))
        more = CHALLENGE if status.startswith("401") else ""
        if status.startswith("200"):
            more = f"Contact: {request.header('Contact')};expires={self._expires}\r\nExpires: {self._expires}\r\n"
        answer = f"SIP/2.0 {status}\r\n{copied}{more}Content-Length: 0\r\n\r\n"
        self._socket.sendto(answer.encode(), source)


async def begin(start: Start, *registrars: Registrar, **changes: object) -> Signalling:
    registration = {
        "name": "office",
        "registrars": [registrar.uri for registrar in registrars],
        "username": "700",
        "password": "secret",
    }
    return await start(
        listen=["udp:127.0.0.1:0"],
        registrations=[{**registration, **changes}],
        peers=[],
        defence={"strangers": "refuse"},
    )


async def test_digest_refresh_and_unregistering_when_drained(start: Start) -> None:
    registrar = Registrar("401 Unauthorized", "200 OK", expires=3)
    gateway = await begin(start, registrar, expires_seconds=30)
    first, second = await registrar.received(1), await registrar.received(2)
    assert first.text.startswith(f"REGISTER {registrar.uri} SIP/2.0")
    assert first.header("To") == "<sip:700@127.0.0.1>"
    assert first.header("Expires") == "30"
    assert first.header("Contact").startswith(f"<sip:700@127.0.0.1:{gateway.port}")
    proof = second.header("Authorization")
    assert 'username="700"' in proof
    assert "secret" not in second.text
    registered = await gateway.wait_for(Registered)
    assert (registered.name, registered.code, registered.expires) == ("office", 200, 3)
    refresh = await registrar.received(3)
    assert refresh.header("Call-ID") == first.header("Call-ID")
    gateway.link.send(Drain(retry_after=5))
    count = len(registrar.requests)
    async with asyncio.timeout(6):
        while (last := await registrar.received(count + 1)).header("Expires") != "0":
            count += 1
    assert last.header("Call-ID") == first.header("Call-ID")
    registrar.close()


async def test_a_registrar_that_fails_gives_way_to_the_next(start: Start) -> None:
    failing, sound = Registrar("503 Service Unavailable"), Registrar("401 Unauthorized", "200 OK")
    gateway = await begin(start, failing, sound)
    await gateway.wait_for(Registered, 2)
    assert [(registered.registrar, registered.code) for registered in gateway.of(Registered)] == [
        (failing.uri, 503),
        (sound.uri, 200),
    ]
    assert len(failing.requests) == 1
    failing.close()
    sound.close()


async def test_a_wrong_password_is_told(start: Start) -> None:
    registrar = Registrar("401 Unauthorized", "403 Forbidden")
    gateway = await begin(start, registrar)
    registered = await gateway.wait_for(Registered)
    assert (registered.code, registered.expires) == (403, 0)
    registrar.close()


async def test_calls_come_from_the_registrar_and_from_nobody_else(start: Start) -> None:
    registrar = Registrar("200 OK")
    gateway = await begin(start, registrar)
    await gateway.wait_for(Registered)
    await gateway.wait_for(Registered)
    known = gateway.peer(user="700")
    assert (await known.invite(sdp())).code == 200
    await gateway.wait_for(Established)
    assert [incoming.peer for incoming in gateway.of(Incoming)] == ["office"]
    stranger = SipPeer(gateway.port, user="700", address="127.0.0.2")
    assert (await stranger.invite(sdp())).code == 403
    number = gateway.peer(user="+49301234")  # a trunk that is registered brings many numbers
    assert (await number.invite(sdp())).code == 200
    assert (await gateway.wait_for(Offence)).cause in ("stranger", "unknown_peer")
    stranger.close()
    registrar.close()
