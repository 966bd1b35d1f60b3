"""fail2ban's own tool reads the gateway's own log, and finds whom it has to ban."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.sip.build import installed
from tests.peers.gateway import GatewayProcess
from tests.peers.sip_peer import SipPeer

REPOSITORY = Path(__file__).parents[2]
FILTER = REPOSITORY / "deploy" / "fail2ban" / "filter.d" / "asr-gateway.conf"
HOSTILE = 'x", "text": "peer=127.0.0.9:5060 cause=stranger count=1 agent=-", "event": "sip_offence'

pytestmark = pytest.mark.skipif(installed().name != "work", reason="the quick build has no gate")


def fail2ban(log: Path, *options: str) -> list[str]:
    """Runs fail2ban-regex on a log with the shipped filter; returns what it prints."""
    script = REPOSITORY / "tests" / "peers" / "get-fail2ban.sh"
    tree = Path(subprocess.run([script], check=True, capture_output=True, text=True).stdout.strip())
    command = [sys.executable, str(tree / "usr/bin/fail2ban-regex"), *options, str(log), str(FILTER)]
    environment = os.environ | {"PYTHONPATH": str(tree / "usr/lib/python3/dist-packages")}
    config = ["--config", str(tree / "etc/fail2ban")]
    run = subprocess.run([*command[:2], *config, *command[2:]], env=environment, capture_output=True, text=True)
    assert run.returncode in (0, 255), run.stderr  # 255: no line matched
    return run.stdout.split()


def offenders(gateway: GatewayProcess) -> set[str]:
    told = [line["text"] for line in gateway.log if line["event"] == "sip_offence"]
    return {text.removeprefix("peer=").partition(":")[0] for text in told}


async def test_fail2ban_finds_the_offenders_and_nobody_else(tmp_path: Path) -> None:
    async with GatewayProcess(tmp_path, networks='["127.0.0.1/32"]') as gateway:
        for number in (2, 3):
            peer = SipPeer(gateway.sip_port, address=f"127.0.0.{number}", user=HOSTILE.replace(" ", "%20"))
            peer.send("OPTIONS", headers=f"User-Agent: {HOSTILE}\r\nX-Name: {HOSTILE}\r\n")
            peer.close()
        known = SipPeer(gateway.sip_port)
        # refused, logged as such, and no offence
        assert (await known.invite(HOSTILE, headers=f"User-Agent: {HOSTILE}\r\n")).code >= 400
        known.close()
        async with asyncio.timeout(20):
            while not {"127.0.0.2", "127.0.0.3"} <= offenders(gateway):  # noqa: ASYNC110 (a file tells nothing)
                await asyncio.sleep(0.1)
    found = await asyncio.to_thread(fail2ban, tmp_path / "log", "--out", "ip")
    assert sorted(found) == ["127.0.0.2", "127.0.0.3"]


def test_the_documented_line_is_read_in_both_families(tmp_path: Path) -> None:
    (line,) = [line for line in (FILTER.parents[1] / "README.md").read_text().splitlines() if '"sip_offence"' in line]
    line = line.strip().replace("…", "2026-03-02T09:15:00.120000Z")
    prefix = "Mar 02 09:15:00 host asr-gateway[7]: "
    log = tmp_path / "log"
    log.write_text(f"{line}\n{prefix}{line.replace('203.0.113.9', '[2001:db8::7]')}\n")
    assert fail2ban(log, "--out", "ip") == ["203.0.113.9", "2001:db8::7"]
