"""Each check of the doctor where something is wrong, with what it says to do, and where nothing is."""

from __future__ import annotations

import asyncio
import resource
import shutil
import socket
import ssl
import time
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Settings
from gateway.console import doctor
from gateway.console.doctor import Finding
from tests.peers.certificates import Authority
from tests.peers.gateway import SECRET, free_port
from tests.peers.recogniser import Recogniser


def settings(folder: Path, **more: Any) -> Settings:
    """A configuration with which nothing is wrong."""
    base: dict[str, Any] = {
        "sip": {"listen": [f"udp:127.0.0.1:{free_port()}"], "max_calls": 10},
        "media": {"port_min": 45000, "port_max": 45099},
        "asr": {"engine": "embedded"},
        "delivery": {"database": folder / "outbox.db"},
        "telemetry": {"metrics": ""},
        "web": {"listen": ""},
    }
    for name, section in more.items():
        base[name] = base.get(name, {}) | section
    return Settings.model_validate(base)


def one(findings: list[Finding], start: str) -> Finding:
    (found,) = [finding for finding in findings if finding.what.startswith(start)]
    return found


def local(known: Settings, start: str, **options: bool) -> Finding:
    return one(list(doctor.local(known, **options)), start)


async def remote(known: Settings) -> list[Finding]:
    return [finding async for finding in doctor.remote(known)]


@contextmanager
def taken(kind: socket.SocketKind) -> Iterator[int]:
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            holder.listen()
        yield holder.getsockname()[1]


@pytest.fixture(autouse=True)
def _a_good_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test sees what it broke, whatever the machine is like."""
    for name, text in (("LARGEST_BUFFER", str(8 << 20)), ("SYNCHRONISED", "")):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(doctor, name, tmp_path / name)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (65536, 65536))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 40, 0, 1 << 40))


def test_a_good_machine_is_told_to_be_good(tmp_path: Path) -> None:
    findings = list(doctor.local(settings(tmp_path)))
    assert [finding for finding in findings if finding.verdict != "good" or finding.remedy] == []
    assert len(findings) == 6


@pytest.mark.parametrize(
    ("kind", "change", "name"),
    [
        (socket.SOCK_DGRAM, lambda port: {"sip": {"listen": [f"udp:127.0.0.1:{port}"]}}, "sip.listen"),
        (socket.SOCK_STREAM, lambda port: {"sip": {"listen": [f"tcp:127.0.0.1:{port}"]}}, "sip.listen"),
        (socket.SOCK_STREAM, lambda port: {"telemetry": {"metrics": f"127.0.0.1:{port}"}}, "telemetry.metrics"),
        (socket.SOCK_STREAM, lambda port: {"web": {"listen": f"127.0.0.1:{port}"}}, "web.listen"),
    ],
)
def test_a_port_that_is_taken(tmp_path: Path, kind: socket.SocketKind, change: Any, name: str) -> None:
    with taken(kind) as port:
        found = local(settings(tmp_path, **change(port)), name)
        mine = local(settings(tmp_path, **change(port)), name, running=True)
    remedy = f"stop what uses it, or change {name}; where it is this gateway: --running"
    assert (found.verdict, found.remedy) == ("fault", remedy)
    assert "Address already in use" in found.what
    assert mine.verdict == "note"
    assert local(settings(tmp_path, **change(port)), name).verdict == "good"


def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    found = local(settings(tmp_path, media={"address": "192.0.2.1"}), "media.port_min")
    assert (found.verdict, "Cannot assign requested address" in found.what) == ("fault", True)


def test_too_few_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    found = local(settings(tmp_path, sip={"max_calls": 1000}), "open files")
    assert found == Finding(
        "fault",
        "open files: 1024 allowed, 4200 wanted for 1000 calls",
        "LimitNOFILE=4200 in the systemd unit, or `ulimit -n 4096`",
    )


def test_small_receive_buffers(tmp_path: Path) -> None:
    (tmp_path / "LARGEST_BUFFER").write_text("212992\n")
    found = local(settings(tmp_path), "receive buffers")
    assert (found.verdict, found.remedy) == ("note", "sysctl -w net.core.rmem_max=4194304")


def test_a_disk_that_is_full_or_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 40, 0, 5 << 20))
    known = settings(tmp_path, media={"recordings": str(tmp_path / "recordings")})
    found = [finding for finding in doctor.local(known) if finding.what.startswith("disk")]
    assert [(item.verdict, item.remedy) for item in found] == [
        ("fault", "free some, or move delivery.database"),
        ("fault", "free some, or move media.recordings"),
    ]
    assert "5 MiB free" in found[0].what
    (tmp_path / "file").write_text("no folder")
    closed = local(settings(tmp_path, delivery={"database": tmp_path / "file" / "outbox.db"}), "disk")
    assert (closed.verdict, closed.remedy) == ("fault", "give it to this user, or move delivery.database")


def test_a_clock_that_is_wrong_or_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "SYNCHRONISED").unlink()
    alone = local(settings(tmp_path), "clock")
    assert (alone.verdict, "chrony or systemd-timesyncd" in alone.remedy) == ("note", True)
    monkeypatch.setattr(time, "gmtime", lambda: time.struct_time((1970, 1, 1, 0, 0, 0, 3, 1, 0)))
    assert local(settings(tmp_path), "clock") == Finding(
        "fault", "clock: it is 1970 here", "set the clock, or start a time service"
    )


def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = Authority(tmp_path).issue("gateway")
    known = settings(tmp_path, sip={"tls": {"certificate": str(certificate), "key": str(key)}})
    soon = local(known, "certificate")
    assert (soon.verdict, soon.remedy) == ("note", "renew it soon")

    class Later(datetime):
        @classmethod
        def now(cls, zone: Any = None) -> Any:
            return super().now(zone) + timedelta(days=30)

    monkeypatch.setattr(doctor, "datetime", Later)
    over = local(known, "certificate")
    assert (over.verdict, over.remedy, "expired" in over.what) == ("fault", "renew it", True)
    certificate.write_text("nothing")
    broken = local(known, "certificate")
    assert (broken.verdict, broken.remedy) == ("fault", "give a PEM file with the certificate first")


async def test_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Recogniser() as server:
        palatine = {"engine": "palatine", "palatine": {"url": server.url, "token": "a-token-that-is-wrong"}}
        known = settings(tmp_path, asr=palatine)
        assert await remote(known) == [Finding("good", "engine palatine: takes a session")]

        server.fail("error=AUTH_ERROR@start")
        (refused,) = await remote(known)
        assert (refused.verdict, refused.remedy) == ("fault", "check its address and its token")
        assert refused.what.startswith("engine palatine: AUTH_ERROR")
        assert "a-token-that-is-wrong" not in refused.what

        server.fail("stall@start")
        monkeypatch.setattr(doctor, "PATIENCE", 0.3)
        (mute,) = await remote(known)
        assert mute == Finding("fault", "engine palatine: no answer within 0.3 s", "check its address and the firewall")
    monkeypatch.setattr(doctor, "PATIENCE", 10.0)
    (gone,) = await remote(known)
    assert (gone.verdict, gone.what.startswith("engine palatine: CONNECT")) == ("fault", True), gone


async def test_consumers(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, authority.issue("consumer")))
    heard = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard += len(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    url = f"https://user:hidden@127.0.0.1:{port}/hooks?key=hidden"

    async def found(**more: Any) -> Finding:
        endpoint = {"name": "crm", "url": url, "secret": SECRET} | more
        (finding,) = await remote(settings(tmp_path, delivery={"endpoints": [endpoint]}))
        assert "hidden" not in finding.what
        return finding

    untrusted = await found()
    assert (untrusted.verdict, untrusted.remedy) == ("fault", "name its authority in tls_ca, or see to its certificate")
    assert await found(tls_ca=authority.ca) == Finding(
        "good", f"consumer crm https://127.0.0.1:{port}/hooks: can be reached"
    )
    server.close()
    gone = await found(tls_ca=authority.ca)
    assert (gone.verdict, gone.remedy) == ("fault", "see that it runs and can be reached from here")
    with taken(socket.SOCK_STREAM) as bus:
        nats = {"name": "bus", "url": f"nats://127.0.0.1:{bus},nats://127.0.0.1:9"}
        both = await remote(settings(tmp_path, delivery={"nats": [nats]}))
    assert [finding.verdict for finding in both] == ["good", "fault"]
    assert heard == 0, "a consumer must see no event that is none"
