"""``asr-gateway doctor``: checks what a gateway needs on this machine, each finding with its remedy.

It may run beside a gateway: a port that is taken is then a note and no fault (``--running``).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import shutil
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from gateway import config
from gateway.asr.engine import Engine, EngineEvent, Failure, Ready
from gateway.asr.engines import EngineError, Engines, wants_embedded
from gateway.asr.options import Palatine
from gateway.delivery import tls
from gateway.delivery.sender import shown
from gateway.delivery.settings import Endpoint

FILES_A_CALL = 4  # RTP, RTCP, recogniser, and one to spare
LARGEST_BUFFER = Path("/proc/sys/net/core/rmem_max")
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
RECEIVE_BUFFER = 4 * 1024 * 1024
FREE_BYTES = 1 << 30
PATIENCE = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        verdict: ``good``, ``note`` or ``fault``.
        what: What was checked, and what was found.
        remedy: What to do; empty where all is well.
    """

    verdict: Literal["good", "note", "fault"]
    what: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--config", type=Path, help="the TOML file; without it, defaults and the environment")
    parser.add_argument("--running", action="store_true", help="a gateway runs here: its ports are taken by it")


def run(args: argparse.Namespace) -> int:
    """Runs all checks; returns 1 where something is at fault."""
    try:
        settings = config.load(args.config)
    except config.ConfigError as error:
        for fault in error.faults:
            _print(Finding("fault", f"configuration: {fault}", "`asr-gateway check-config` shows them all"))
        return 1
    faults = 0

    async def check() -> None:
        nonlocal faults
        for finding in local(settings, running=args.running):
            faults += finding.verdict == "fault"
            _print(finding)
        async for finding in remote(settings):
            faults += finding.verdict == "fault"
            _print(finding)

    asyncio.run(check())
    return 1 if faults else 0


def _print(finding: Finding) -> None:
    print(f"{finding.verdict:<6} {finding.what}")
    if finding.remedy:
        print(f"       -> {finding.remedy}")
    sys.stdout.flush()


def local(settings: config.Settings, *, running: bool = False) -> Iterator[Finding]:
    """Yields what this machine says about itself."""
    yield from _ports(settings, running)
    wanted = settings.sip.max_calls * FILES_A_CALL + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"open files: {soft} allowed, {wanted} wanted for {settings.sip.max_calls} calls"
    if soft < wanted:
        yield Finding("fault", text, f"LimitNOFILE={wanted} in the systemd unit, or `ulimit -n {min(wanted, hard)}`")
    else:
        yield Finding("good", text)
    if LARGEST_BUFFER.exists():
        size = int(LARGEST_BUFFER.read_text())
        remedy = "" if size >= RECEIVE_BUFFER else f"sysctl -w net.core.rmem_max={RECEIVE_BUFFER}"
        yield Finding("note" if remedy else "good", f"receive buffers: at most {size} bytes", remedy)
    yield _disk("delivery.database", settings.delivery.database)
    if settings.media.recordings:
        yield _disk("media.recordings", Path(settings.media.recordings) / "any")
    given = [settings.web.certificate, settings.sip.tls.certificate]
    for path in [*map(Path, filter(None, given)), *filter(None, (one.tls_certificate for one in _endpoints(settings)))]:
        yield _certificate(path)
    year = time.gmtime().tm_year
    if year < 2024:
        yield Finding("fault", f"clock: it is {year} here", "set the clock, or start a time service")
    else:
        yield _synchronised()


def _endpoints(settings: config.Settings) -> list[Endpoint]:
    return settings.delivery.endpoints


def _disk(name: str, path: Path) -> Finding:
    """Looks at the folder that a file is in, or will be made in."""
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("fault", f"disk: nothing can be written to {folder}", f"give it to this user, or move {name}")
    free = shutil.disk_usage(folder).free
    text = f"disk: {free >> 20} MiB free in {folder} for {name}"
    return Finding("good", text) if free >= FREE_BYTES else Finding("fault", text, f"free some, or move {name}")


def _synchronised() -> Finding:
    if SYNCHRONISED.exists():
        return Finding("good", "clock: synchronised by systemd-timesyncd")
    return Finding(
        "note",
        "clock: nothing says that it is synchronised",
        "see that chrony or systemd-timesyncd runs; signatures allow 5 minutes",
    )


def _certificate(path: Path) -> Finding:
    try:
        from cryptography import x509

        known = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        return Finding("fault", f"certificate {path}: {error}", "give a PEM file with the certificate first")
    left = (known.not_valid_after_utc - datetime.now(UTC)).days
    text = f"certificate {path}: valid for {left} more days"
    if left < 0:
        return Finding("fault", f"certificate {path}: expired {-left} days ago", "renew it")
    return Finding("note", text, "renew it soon") if left < 14 else Finding("good", text)


def _ports(settings: config.Settings, running: bool) -> Iterator[Finding]:
    addresses = [("sip.listen", item) for item in settings.sip.listen]
    if settings.telemetry.metrics:
        addresses.append(("telemetry.metrics", f"tcp:{settings.telemetry.metrics}"))
    if settings.web.listen:
        addresses.append(("web.listen", f"tcp:{settings.web.listen}"))
    first = settings.media.port_min + settings.media.port_min % 2
    addresses.append(("media.port_min", f"udp:{settings.media.address}:{first}"))
    for name, item in addresses:
        transport, _, address = item.partition(":")
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, kind) as probe:
            if kind is socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(port)))
            except OSError as error:
                if running:
                    yield Finding("note", f"{name} {item}: {error.strerror}, by the gateway that runs")
                else:
                    remedy = f"stop what uses it, or change {name}; where it is this gateway: --running"
                    yield Finding("fault", f"{name} {item}: {error.strerror}", remedy)
                continue
        yield Finding("good", f"{name} {item}: free")


async def remote(settings: config.Settings) -> AsyncIterator[Finding]:
    """Yields what the recognisers and the consumers say."""
    # the embedded recogniser is started by the gateway itself, and cannot be asked from here
    embedded = Palatine.model_validate({"url": "ws://127.0.0.1/"}) if wants_embedded(settings.asr) else None
    try:
        engines = Engines(settings.asr, embedded, lambda _engine, _seconds: None)
    except (EngineError, ModuleNotFoundError) as error:
        yield Finding("fault", f"engines: {error}", "see the README's part on engines")
    else:
        for engine in {engine.name: engine for engine in engines}.values():
            if not engine.name.startswith("embedded"):
                yield await _engine(engine)
        await engines.close()
    for endpoint in _endpoints(settings):
        yield await _reached(f"consumer {endpoint.name}", str(endpoint.url), tls.context(endpoint))
    for outlet in settings.delivery.nats:
        for url in outlet.url.split(","):
            yield await _reached(f"consumer {outlet.name}", url)


async def _engine(engine: Engine) -> Finding:
    answer: asyncio.Future[EngineEvent] = asyncio.get_running_loop().create_future()

    def listen(event: EngineEvent, /) -> None:
        if isinstance(event, Ready | Failure) and not answer.done():
            answer.set_result(event)

    name = engine.name
    session = engine.open("alaw", listen)
    try:
        event = await asyncio.wait_for(answer, PATIENCE)
    except TimeoutError:
        return Finding("fault", f"engine {name}: no answer within {PATIENCE:g} s", "check its address and the firewall")
    finally:
        session.abort()
    if isinstance(event, Failure):
        return Finding("fault", f"engine {name}: {event.code}: {event.text}", "check its address and its token")
    return Finding("good", f"engine {name}: takes a session")


async def _reached(name: str, url: str, trust: ssl.SSLContext | None = None) -> Finding:
    """Opens a connection, TLS included, and sends nothing: a consumer must see no event that is none."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 4222)
    try:
        opening = asyncio.open_connection(
            parts.hostname, port, ssl=(trust or True) if parts.scheme == "https" else None
        )
        _, writer = await asyncio.wait_for(opening, PATIENCE)
    except ssl.SSLCertVerificationError as error:
        text = f"{name} {shown(url)}: {error.verify_message}"
        return Finding("fault", text, "name its authority in tls_ca, or see to its certificate")
    except (OSError, TimeoutError) as error:
        text = str(error) or f"no answer within {PATIENCE:g} s"
        return Finding("fault", f"{name} {shown(url)}: {text}", "see that it runs and can be reached from here")
    writer.close()
    return Finding("good", f"{name} {shown(url)}: can be reached")
