"""A real telephone over TLS, both ends with certificates, and SRTP: its words are recognised."""

from __future__ import annotations

import socket
from pathlib import Path

from gateway.sip.audio import load, save
from tests.peers import baresip
from tests.peers.certificates import Authority
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, free_port
from tests.peers.speech import asset
from tests.peers.words import normalise

FIRST_WORDS = "it was the best of times it was the worst of times"


async def test_words_over_tls_and_srtp(tmp_path: Path, claim: Claim) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("gateway")
    audio = tmp_path / "speech.wav"
    save(audio, load(asset("two_cities.wav")))
    port = free_port(socket.SOCK_STREAM)
    async with GatewayProcess(
        tmp_path,
        listen=[f"tls:127.0.0.1:{port}"],
        settings=f'[sip.tls]\ncertificate = "{certificate}"\nkey = "{key}"\nca = "{authority.ca}"\n',
        peer='tls_subjects = ["phone.example.org"]\nsrtp = "required"\n',
    ) as gateway:
        printed = await baresip.call(
            f"sip:test@127.0.0.1:{port};transport=tls",
            audio,
            ca=authority.ca,
            certificate=authority.issue("phone.example.org", alternative="DNS:phone.example.org"),
            seconds=9,
        )
        assert "Call established" in printed, printed
        (done,) = await gateway.completed()
    said = normalise(done.text())
    claim("baresip over TLS and SRTP: its words", repr(said[:60]), said.startswith(FIRST_WORDS))
    (leg,) = done.completed.legs
    claim("baresip over TLS and SRTP: packets lost", leg.lost, leg.lost == 0)
