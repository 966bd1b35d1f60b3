"""A call on its way to Homer: whole messages without secrets, RTCP, reports; a collector that is gone costs nothing."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import wave
from pathlib import Path

import dpkt
import pytest

from gateway.sip.build import installed
from gateway.sip.events import Wire
from gateway.telemetry import homer
from gateway.telemetry.homer import HomerExport
from gateway.telemetry.settings import Homer
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, call, free_port
from tests.peers.hep import collector, decode, split
from tests.peers.recogniser import Recogniser
from tests.peers.sip_peer import SipPeer, sdp

KEY = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
MESSAGE = Wire(1_700_000_000.5, True, "udp", "192.0.2.7:5066", "OPTIONS sip:a SIP/2.0\r\nCall-ID: o\r\n\r\n")


class Counted(list[str]):
    """Results of packets."""

    def __call__(self, result: str) -> None:
        self.append(result)


def settings(port: int, transport: str = "udp", **more: object) -> Homer:
    return Homer.model_validate({"address": f"{transport}:127.0.0.1:{port}", **more})


async def test_addresses_of_both_ends_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with collector() as there:
        counted = Counted()
        export = HomerExport(settings(there.port, password="pw"), "192.0.2.10", counted)
        export.listening = ["tcp:192.0.2.8:5070", "udp:0.0.0.0:5060"]
        monkeypatch.setattr(homer, "_towards", {"192.0.2.7": "192.0.2.10"}.__getitem__)
        export.start()
        export.sip(MESSAGE)
        export.sip(Wire(1.0, False, "tcp", "192.0.2.7:5066", "SIP/2.0 200 OK\r\n\r\n", dropped=2))
        first, second = await there.until(2)
        await export.stop()
    assert (first["source"], first["source_port"]) == ("192.0.2.7", 5066)
    assert (first["target"], first["target_port"]) == ("192.0.2.10", 5060)
    assert (first["payload"], first["password"]) == (MESSAGE.text.encode(), b"pw")
    assert (first["seconds"], first["microseconds"]) == (1_700_000_000, 500_000)
    assert (second["source"], second["source_port"], second["target"]) == ("192.0.2.8", 5070, "192.0.2.7")
    assert counted == ["signalling_behind", "signalling_behind", "sent", "sent"]


async def test_a_connection_is_opened_anew_and_what_waited_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homer, "FIRST_WAIT", 0.05)
    port, counted = free_port(socket.SOCK_STREAM), Counted()
    export = HomerExport(settings(port, "tcp"), "127.0.0.1", counted)
    export.listening = ["udp:127.0.0.1:5060"]
    export.start()
    export.sip(MESSAGE)  # nobody is there yet
    connections: list[bytes] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(6)
        connections.append(head + await reader.readexactly(int.from_bytes(head[4:], "big") - 6))
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    for number in range(3):
        async with asyncio.timeout(20):
            await ended.wait()
        ended.clear()
        await asyncio.sleep(0.3)  # it sees that the connection is gone
        assert len(connections) == number + 1
        export.sip(MESSAGE)
    await export.stop()
    server.close()
    assert [decode(packet)["payload"] for packet in connections[:3]] == [MESSAGE.text.encode()] * 3
    assert split(connections[0] + connections[1]) == connections[:2]


async def test_a_queue_that_is_full_drops_the_newest_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homer, "BOUND", 3)
    async with collector() as there:
        counted = Counted()
        export = HomerExport(settings(there.port), "127.0.0.1", counted)
        export.listening = ["udp:127.0.0.1:5060"]
        for number in range(5):
            export.sip(Wire(float(number), True, "udp", "127.0.0.1:9", "x"))
        export.sip(Wire(9.0, True, "udp", "127.0.0.1:9", "x" * 70_000))
        assert counted == ["queue_full"] * 3
        export.start()
        assert [packet["seconds"] for packet in await there.until(3)] == [0, 1, 2]
        export.sip(Wire(9.0, True, "udp", "127.0.0.1:9", "x" * 70_000))  # longer than a datagram
        export.rtcp(b"\x81\xc8", "c", 1.0, ("127.0.0.1", 1), ("127.0.0.1", 2))
        export.rtcp(bytes.fromhex("80c90001") + bytes(4), "c", 1.0, ("pbx.example", 1), ("127.0.0.1", 2))
        await export.stop()
        assert counted[3:] == ["sent"] * 3 + ["failed", "failed"]


@pytest.mark.skipif(installed().name != "work", reason="the quick build has no SRTP")
async def test_a_call_is_exported_without_its_secrets(tmp_path: Path, claim: Claim) -> None:
    async with Recogniser() as server, collector() as there:
        asr = f'[asr]\nengine = "palatine"\n[asr.palatine]\nurl = "{server.url}"\n'
        export = f'[telemetry.homer]\naddress = "udp:127.0.0.1:{there.port}"\n'
        async with GatewayProcess(tmp_path, asr=asr, settings=export, peer='srtp = "optional"') as gateway:
            peer = SipPeer(gateway.sip_port)
            crypto = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"
            offer = sdp(f"m=audio 4000 RTP/SAVP 8\r\n{crypto}")
            answer = await peer.invite(
                offer, headers='Authorization: Digest username="x", response="secretresponse"\r\n'
            )
            assert answer.code == 200
            assert (await peer.bye()).code == 200
            await gateway.completed()
            reports = await there.until(2, kind=100)
            peer.close()
    messages = there.of(1)
    started = [packet["payload"].decode().partition("\r\n")[0] for packet in messages]
    assert [line.split(" ")[0] for line in started] == ["INVITE", "SIP/2.0", "SIP/2.0", "ACK", "BYE", "SIP/2.0"]
    invite, _, ok, *_ = messages
    assert (invite["source"], invite["source_port"], invite["target_port"]) == (
        "127.0.0.1",
        int(peer.here[10:]),
        gateway.sip_port,
    )
    assert (ok["source_port"], ok["target_port"]) == (gateway.sip_port, int(peer.here[10:]))
    assert invite["payload"].decode().endswith(offer.replace(KEY, "*" * len(KEY)))
    assert b"inline:****" in ok["payload"], "our own key goes, too"
    found = [word for word in (KEY, "secretresponse") if any(word.encode() in packet["payload"] for packet in messages)]
    claim("homer: SIP messages of a call exported, with secrets in them", f"{len(messages)}, {len(found)}", not found)
    ended, completed = (json.loads(packet["payload"]) for packet in reports)
    assert [packet["correlation"].decode() for packet in reports] == [peer.call_id] * 2
    assert (ended["event"], ended["reason"], ended["leg"]) == ("call.ended", "bye", completed["leg"])
    assert "mos" in ended
    assert (completed["event"], completed["packets"]) == ("call.transcript.completed", 0)


async def test_rtcp_of_a_call_is_exported(tmp_path: Path) -> None:
    async with Recogniser() as server, collector() as there:
        asr = f'[asr]\nengine = "palatine"\n[asr.palatine]\nurl = "{server.url}"\n'
        export = f'[telemetry.homer]\naddress = "udp:127.0.0.1:{there.port}"\nexport = ["rtcp"]\n'
        async with GatewayProcess(tmp_path, asr=asr, settings=export) as gateway:
            with wave.open(str(tmp_path / "silence.wav"), "wb") as audio:
                audio.setparams((1, 2, 8000, 0, "NONE", ""))
                audio.writeframes(bytes(2 * 8000 * 8))
            await call(gateway.sip, "--audio", str(tmp_path / "silence.wav"), "--leg", "caller")
            (done,) = await gateway.completed()
            packets = await there.until(1, kind=5)
    assert there.packets == packets, "nothing else was asked for"
    told = json.loads(packets[0]["payload"])
    assert packets[0]["correlation"].decode() in done.events[-1].call.sip_call_ids
    assert told["type"] in (200, 201)


async def test_sngrep_reads_what_is_exported(tmp_path: Path, claim: Claim) -> None:
    if not shutil.which("sngrep"):
        pytest.skip("sngrep is not installed")
    port, counted = free_port(), Counted()
    saved, config = tmp_path / "saved.pcap", tmp_path / "sngreprc"
    config.write_text("set eep.listen.pass pw\nset eep.listen.version 3\n", encoding="utf-8")
    sngrep = await asyncio.create_subprocess_exec(
        *("sngrep", "-f", str(config), "-N", "-q", "-L", f"udp:127.0.0.1:{port}", "-O", str(saved)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    texts = [
        f"INVITE sip:100@a SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK{number}\r\nFrom: <sip:1@a>;tag=f\r\n"
        f"To: <sip:2@a>\r\nCall-ID: c{number}\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        for number in range(3)
    ]
    try:
        export = HomerExport(settings(port, password="pw"), "192.0.2.10", counted)
        export.listening = ["udp:192.0.2.10:5060"]
        export.start()
        async with asyncio.timeout(20):
            while not _read(saved):
                for number, text in enumerate(texts):
                    export.sip(Wire(1_700_000_000.5 + number, True, "udp", "192.0.2.7:5066", text))
                await asyncio.sleep(0.3)
        await export.stop()
    finally:
        sngrep.terminate()
        await sngrep.wait()
    found = _read(saved)
    wanted = {
        (f"{1_700_000_000 + number}.5", "192.0.2.7:5066", "192.0.2.10:5060", text) for number, text in enumerate(texts)
    }
    claim("homer: SIP messages that sngrep takes off HEP3 as they were", f"{len(found & wanted)}/3", found == wanted)


def _read(path: Path) -> set[tuple[str, str, str, str]]:
    """Returns time, both ends and text of the messages in a capture file; none where it is not whole yet."""
    found = set()
    try:
        with path.open("rb") as file:
            for at, frame in dpkt.pcap.Reader(file):
                ip = dpkt.ethernet.Ethernet(frame).data
                ends = [
                    f"{socket.inet_ntoa(address)}:{port}"
                    for address, port in ((ip.src, ip.data.sport), (ip.dst, ip.data.dport))
                ]
                found.add((f"{at:.1f}", *ends, ip.data.data.decode()))
    except (OSError, ValueError, dpkt.UnpackError):
        return set()
    return found


def test_only_an_address_of_a_collector_is_taken() -> None:
    for address in ("", "udp:homer.example:9060", "tcp:[2001:db8::1]:9061"):
        assert Homer(address=address).address == address
    for address in ("homer:9060", "tls:homer:9060", "udp:homer", "udp:homer:x"):
        with pytest.raises(ValueError, match="address"):
            Homer(address=address)
