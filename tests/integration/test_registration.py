"""The gateway as an extension of a real Asterisk."""

from __future__ import annotations

from pathlib import Path

from tests.integration.test_asterisk import recogniser
from tests.peers.asterisk import PASSWORD, Asterisk
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess
from tests.peers.recogniser import Recogniser
from tests.peers.tones import share
from tests.peers.waiting import until


async def test_the_gateway_registers_by_digest_and_takes_the_extension_s_calls(tmp_path: Path, claim: Claim) -> None:
    async with Recogniser() as server, Asterisk("127.0.0.1:9") as pbx:
        registration = f"""
[[sip.registrations]]
name = "office"
registrars = ["sip:{pbx.sip}"]
username = "transcriber"
password = "{PASSWORD}"
"""
        gateway = GatewayProcess(tmp_path, asr=recogniser(server), settings=registration, networks='["192.0.2.0/24"]')
        async with gateway:
            await until(lambda: any(line["event"] == "registration" for line in gateway.log))
            (told,) = [line for line in gateway.log if line["event"] == "registration"]
            claim("Asterisk: registration with digest", f"{told['code']}, {told['expires']} s", told["code"] == 200)
            await pbx.until("pjsip show contacts", f"transcriber/sip:transcriber@{gateway.sip}")
            await pbx.call("300")
            await until(lambda: any(len(session.audio) >= 16000 for session in server.sessions), 20)
            await pbx.hang_up()
            (done,) = await gateway.completed()
        contacts = await pbx.command("pjsip show contacts")
        claim("Asterisk: unregistered by the drain", "transcriber/" not in contacts, "transcriber/" not in contacts)
    (session,) = server.sessions
    tone = share(bytes(session.audio), "alaw", 400)
    claim("Asterisk: a call to the extension, share of its 400 Hz", f"{tone:.3f}", tone > 0.95)
    assert done.completed is not None
    assert PASSWORD not in (tmp_path / "log").read_text()
