"""Calls over TLS, who they come from by their certificate, and new certificates while they are up."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest

from gateway.sip.build import installed
from gateway.sip.commands import Reload
from gateway.sip.events import Ended, Established, Incoming, Refused, Reloaded
from gateway.sip.link import LinkError
from tests.peers.certificates import Authority
from tests.peers.sip_peer import sdp
from tests.peers.stream_peer import StreamPeer
from tests.sip.conftest import Signalling, Start

needs_work = pytest.mark.skipif(installed().name != "work", reason="TLS is refused on the quick build")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def begin(start: Start, authority: Authority, *, mutual: bool = False, **changes: object) -> Signalling:
    certificate, key = authority.issue("gateway")
    tls = {"certificate": str(certificate), "key": str(key), "ca": str(authority.ca) if mutual else ""}
    return await start(listen=["tls:127.0.0.1:0"], tls=tls, **changes)


@needs_work
async def test_a_call(start: Start, authority: Authority) -> None:
    gateway = await begin(start, authority)
    peer = await StreamPeer.connect(gateway.port, authority.context())
    assert (await peer.invite(sdp())).code == 200
    await gateway.wait_for(Established)
    (incoming,) = gateway.of(Incoming)
    assert (incoming.transport, incoming.source, incoming.peer) == ("tls", peer.here, "here")
    assert (await peer.bye()).code == 200
    assert (await gateway.wait_for(Ended)).reason == "bye"
    peer.close()


@needs_work
async def test_a_peer_is_known_by_the_name_in_its_certificate(start: Start, authority: Authority) -> None:
    peers = [{"name": name, "tls_subjects": [f"{name}.example.org"]} for name in ("sbc", "trunk")]
    gateway = await begin(start, authority, mutual=True, peers=peers)
    codes = []
    for name in ("trunk.example.org", "stranger.example.org", "SBC.example.org"):
        peer = await StreamPeer.connect(gateway.port, authority.context(name))
        codes.append((await peer.invite(sdp())).code)
    assert codes == [200, 403, 200]
    assert [incoming.peer for incoming in gateway.of(Incoming)] == ["trunk", "sbc"]
    assert [refused.cause for refused in gateway.of(Refused)] == ["unknown_peer"]


@needs_work
async def test_no_client_certificate_no_connection(start: Start, authority: Authority, tmp_path: Path) -> None:
    gateway = await begin(start, authority, mutual=True)
    (tmp_path / "other").mkdir()
    stranger = authority.context()
    stranger.load_cert_chain(*map(str, Authority(tmp_path / "other").issue("here")))
    for context in (authority.context(), stranger):
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            # in TLS 1.3 the client hears of it with the first byte that it reads
            await (await StreamPeer.connect(gateway.port, context)).invite(sdp())
    assert gateway.of(Incoming) == []
    peer = await StreamPeer.connect(gateway.port, authority.context("here"))
    assert (await peer.invite(sdp())).code == 200


@needs_work
async def test_a_new_certificate_drops_no_call(start: Start, authority: Authority) -> None:
    gateway = await begin(start, authority)
    old = await StreamPeer.connect(gateway.port, authority.context())
    await old.invite(sdp())
    await gateway.wait_for(Established)
    first = serial(old)
    certificate, _ = authority.issue("gateway")
    gateway.link.send(Reload())
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(ConnectionError):  # for an instant there is no listener
                new = await StreamPeer.connect(gateway.port, authority.context())
                if serial(new) != first:
                    break
            await asyncio.sleep(0.02)
    assert (await new.invite(sdp())).code == 200
    assert (await old.invite(sdp(version=2))).code == 200
    assert (await old.bye()).code == 200
    assert gateway.link.restarts == 0
    certificate.write_text("not a certificate", encoding="utf-8")
    gateway.link.send(Reload())
    assert (await gateway.wait_for(Reloaded, 2)).fault
    assert serial(await StreamPeer.connect(gateway.port, authority.context())) == serial(new)


def serial(peer: StreamPeer) -> str:
    return str(peer.writer.get_extra_info("peercert")["serialNumber"])


@needs_work
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"certificate": "/none.pem"}, r"sip\.tls\.certificate: /none\.pem: No such file"),
        ({"key": ""}, r"needs sip\.tls\.certificate and sip\.tls\.key"),
        ({"ca": "/dev/null"}, r"sip\.tls\.ca: /dev/null"),
    ],
)
async def test_what_is_wrong_is_said(start: Start, authority: Authority, change: dict[str, str], says: str) -> None:
    certificate, key = authority.issue("gateway")
    tls = {"certificate": str(certificate), "key": str(key), "ca": ""} | change
    with pytest.raises(LinkError, match=says):
        await start(listen=["tls:127.0.0.1:0"], tls=tls)


@pytest.mark.skipif(installed().name != "trial", reason="the build for work has a new OpenSSL")
async def test_the_quick_build_refuses_tls_with_the_reason(start: Start, authority: Authority) -> None:
    with pytest.raises(LinkError, match=r"OpenSSL 1\.0\.2.*make pjsip"):
        await begin(start, authority)
