"""A whole gateway says that it is not ready: while it is full, without a usable engine, and while it drains."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess
from tests.peers.recogniser import Recogniser
from tests.peers.sip_peer import SipPeer, sdp


async def asked(gateway: GatewayProcess, what: str = "ready") -> tuple[int, Any]:
    def get() -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(f"{gateway.web}/health/{what}", timeout=10) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    return await asyncio.to_thread(get)


async def until(gateway: GatewayProcess, *reasons: str, seconds: float = 60) -> tuple[int, Any]:
    """Waits until it is not ready for these reasons, or ready where there are none."""
    async with asyncio.timeout(seconds):
        while True:
            status, said = await asked(gateway)
            if said["reasons"] == list(reasons):
                assert said["ready"] == (status == 200) == (not reasons)
                return status, said
            await asyncio.sleep(0.1)


async def test_it_is_not_ready_while_it_is_full_lacks_an_engine_or_drains(tmp_path: Path, claim: Claim) -> None:
    async with Recogniser() as server:
        asr = f'[asr]\nengine = "palatine"\nretry_max_seconds = 0.3\n[asr.palatine]\nurl = "{server.url}"\n'
        drain = "[calls]\ndrain_seconds = 5.0\n"
        async with GatewayProcess(tmp_path, asr=asr, max_calls=1, settings=drain) as gateway:
            assert (await asked(gateway))[0] == 200
            peer = SipPeer(gateway.sip_port)
            assert (await peer.invite(sdp())).code == 200
            full = (await until(gateway, "full"))[0]
            await server.stop()  # the recogniser goes, and the leg's new sessions fail
            await until(gateway, "full", "no_engine")
            assert (await peer.bye()).code == 200
            lacking = (await until(gateway, "no_engine"))[0]
            await asyncio.sleep(3)
            assert (await asked(gateway))[1]["reasons"] == ["no_engine"], "it stays so as long as none works"
            await server.start()
            ready = (await until(gateway))[0]  # without any call
            other = SipPeer(gateway.sip_port)
            assert (await other.invite(sdp())).code == 200
            os.kill(gateway.pid, signal.SIGTERM)
            draining = (await until(gateway, "draining", "full"))[0]
            assert (await asked(gateway, "live"))[0] == 200
            assert (await other.bye()).code == 200
            peer.close()
            other.close()
    codes = (full, lacking, ready, draining)
    claim(
        "health: /health/ready full, without an engine, with one again, draining", codes, codes == (503, 503, 200, 503)
    )
