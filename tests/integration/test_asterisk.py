"""A real Asterisk 22 as the peer, with the trunk and the dialplan that the gateway ships under deploy/pbx/."""

from __future__ import annotations

from pathlib import Path

from gateway import events
from tests.peers.asterisk import Asterisk
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess
from tests.peers.recogniser import Recogniser
from tests.peers.sip_peer import SipPeer, sdp
from tests.peers.tones import share
from tests.peers.waiting import until


def recogniser(server: Recogniser) -> str:
    return f'[asr]\nengine = "palatine"\n[asr.palatine]\nurl = "{server.url}"\nlanguage = "en"\ntoken = "t"\n'


async def test_the_trunk_calls_us_and_qualifies(tmp_path: Path, claim: Claim) -> None:
    async with (
        Recogniser() as server,
        GatewayProcess(tmp_path, asr=recogniser(server)) as gateway,
        Asterisk(gateway.sip) as pbx,
    ):
        await pbx.call("100")
        await until(lambda: any(len(session.audio) >= 16000 for session in server.sessions), 20)
        contacts = await pbx.until("pjsip show contacts", "Avail")
        (contact,) = [line for line in contacts.splitlines() if "asr-gateway/" in line]
        claim("Asterisk qualifies the gateway by OPTIONS", contact.split()[-2], "Avail" in contact)
        await pbx.hang_up()
        (done,) = await gateway.completed()
    (session,) = server.sessions
    tone = share(bytes(session.audio), "alaw", 400)
    claim("Asterisk's trunk calls: share of its 400 Hz in the audio at the ASR", f"{tone:.3f}", tone > 0.95)
    assert done.completed is not None
    (leg,) = done.completed.legs
    claim("Asterisk's trunk calls: RTP packets lost", leg.lost, leg.lost == 0 and leg.received == len(session.audio))
    assert [event.data.reason for event in done.events if event.type == "call.ended"] == ["bye"]


async def test_a_fork_of_both_legs(tmp_path: Path, claim: Claim) -> None:
    async with (
        Recogniser() as server,
        GatewayProcess(tmp_path, asr=recogniser(server), settings='[calls]\nheaders = ["X-Caller"]\n') as gateway,
        Asterisk(gateway.sip) as pbx,
    ):
        await pbx.call("200")
        await until(lambda: sum(len(session.audio) >= 16000 for session in server.sessions) == 2, 20)
        await pbx.hang_up()
        await gateway.completed()
    (done,) = gateway.calls.values()  # one call, though it came on two dialogs
    assert done.completed is not None
    legs = {leg.leg: leg for leg in done.completed.legs}
    claim("Asterisk's fork: legs of the one call", ", ".join(sorted(legs)), set(legs) == {"agent", "caller"})
    shares = {}
    for session in server.sessions:
        own = {hertz: share(bytes(session.audio), "alaw", hertz) for hertz in (400, 1000)}
        shares[max(own, key=lambda hertz: own[hertz])] = own
    assert set(shares) == {400, 1000}, shares
    for hertz, other in ((400, 1000), (1000, 400)):
        own, foreign = shares[hertz][hertz], shares[hertz][other]
        holds = own > 0.95 and foreign < 1e-4
        claim(
            f"Asterisk's fork: the leg of {hertz} Hz holds its own tone, the other's",
            f"{own:.3f}, {foreign:.1e}",
            holds,
        )
    by_length = {len(session.audio): share(bytes(session.audio), "alaw", 400) > 0.5 for session in server.sessions}
    assert by_length == {legs["caller"].sent: True, legs["agent"].sent: False}, "each name has its own audio"


async def test_hold_and_resume(tmp_path: Path, claim: Claim) -> None:
    async with (
        Recogniser() as server,
        GatewayProcess(tmp_path, asr=recogniser(server)) as gateway,
        Asterisk(gateway.sip) as pbx,
    ):
        phone = SipPeer(pbx.port, user="100")
        try:
            answer = await phone.invite(sdp())
            assert answer.code == 200, answer.text
            await gateway.until(lambda calls: bool(calls) and "call.started" in calls[0].types)
            for version, direction in ((2, "sendonly"), (3, "sendrecv")):
                media = f"m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
                assert (await phone.invite(sdp(media, version=version))).code == 200
                await gateway.until(lambda calls, count=version - 1: len(calls[0].of(events.CallUpdated)) >= count)
            await phone.bye()
        finally:
            phone.close()
        (done,) = await gateway.completed()
    changes = [update.change for update in done.of(events.CallUpdated)]
    claim("Asterisk holds and resumes: changes told", ", ".join(changes), changes == ["held", "resumed", "leg_ended"])
