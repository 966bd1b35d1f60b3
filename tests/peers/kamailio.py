"""A real Kamailio with the configuration that the gateway ships, an instance of its own for each test."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.peers.gateway import free_port
from tests.peers.sip_peer import SipPeer
from tests.peers.waiting import until

HERE = Path(__file__).parent
SHIPPED = HERE.parent.parent / "deploy/pbx/kamailio"
START_SECONDS = 30.0


class Kamailio:
    """A running Kamailio with deploy/pbx/kamailio/: addresses and the interval of its probes are the test's.

    Args:
        gateways: ``address:port`` of each.
        pbxs: Networks of those who may call.
    """

    def __init__(self, gateways: Sequence[str], *, pbxs: str = "127.0.0.0/8") -> None:
        self.port = free_port()
        self._gateways = gateways
        self._pbxs = pbxs

    @property
    def sip(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Kamailio:
        tree = Path(subprocess.check_output([str(HERE / "get-kamailio.sh")], text=True).strip())  # noqa: ASYNC221
        self.folder = Path(tempfile.mkdtemp(prefix="kamailio-"))
        self._write()
        (libraries,) = tree.glob("usr/lib/*/kamailio")  # noqa: ASYNC240
        command = [str(tree / "usr/sbin/kamailio"), "-f", str(self.folder / "kamailio.cfg"), "-DD", "-E"]
        command += ["-L", str(libraries / "modules"), "-Y", str(self.folder), "-w", str(self.folder)]
        command += ["-m", "64", "-M", "8"]
        environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}
        with (self.folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=environment)
        await self.until(200, START_SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.terminate()
            await asyncio.wait_for(self._process.wait(), 20)
        shutil.rmtree(self.folder)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    async def until(self, code: int, seconds: float = 15.0) -> None:
        """Asks it by OPTIONS, as PBXs do, until it answers with a status: 200 while there is a gateway, 503 while not.

        Raises:
            TimeoutError: It does not.
        """
        async with asyncio.timeout(seconds):
            while True:
                assert self._process.returncode is None, self.log
                peer = SipPeer(self.port)
                try:
                    peer.send("OPTIONS")
                    if (await asyncio.wait_for(peer.final("OPTIONS"), 1.0)).code == code:
                        return
                except (TimeoutError, ConnectionError):
                    pass
                finally:
                    peer.close()
                await asyncio.sleep(0.1)

    async def shown(self, text: str, seconds: float = 15.0) -> None:
        """Waits until its log holds a text.

        Raises:
            TimeoutError: It does not.
        """
        await until(lambda: text in self.log, seconds)

    def _write(self) -> None:
        text = (SHIPPED / "kamailio.cfg").read_text()
        (self.folder / "dispatcher.list").write_text("".join(f"1 sip:{gateway}\n" for gateway in self._gateways))
        changes = {
            "!LISTEN!127.0.0.1:5060!": f"!LISTEN!{self.sip}!",
            "!PBXS!127.0.0.0/8!": f"!PBXS!{self._pbxs}!",
            "!GATEWAYS!/etc/kamailio/dispatcher.list!": f"!GATEWAYS!{self.folder}/dispatcher.list!",
            "!PROBE!5!": "!PROBE!1!",
        }
        for old, new in changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (self.folder / "kamailio.cfg").write_text(text)
