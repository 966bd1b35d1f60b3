"""A real Asterisk 22 as the PBX, an instance of its own for each test."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.peers.gateway import free_port

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
PASSWORD = "t0nes-and-w0rds"
START_SECONDS = 30.0
# Files that it looks for and complains of where they are missing.
EMPTY = (
    "acl.conf",
    "ccss.conf",
    "cdr.conf",
    "cel.conf",
    "features.conf",
    "pjproject.conf",
    "stasis.conf",
    "udptl.conf",
)


class Asterisk:
    """A running Asterisk with the dialplan and the trunk that the gateway ships under deploy/pbx/.

    Its dialplan (asterisk_conf/extensions.conf): 100 calls the gateway; 200 calls an agent who is a tone of 1000 Hz,
    both legs forked to the gateway; 300 calls whoever registered as ``transcriber``; ``tone400`` is a phone that
    answers with 400 Hz.

    Args:
        gateway: ``address:port`` of the gateway.
        trunk: Further lines of the trunk's endpoint in pjsip.conf.
        more: Text that is added to its files, by name; a file that it does not have is made.
    """

    def __init__(self, gateway: str, *, trunk: str = "", more: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self._gateway = gateway
        self._trunk = trunk
        self._more = more or {}

    @property
    def sip(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    async def __aenter__(self) -> Asterisk:
        tree = Path(subprocess.check_output([str(HERE / "get-asterisk.sh")], text=True).strip())  # noqa: ASYNC221
        # its control socket lies in here: the path must be short
        self.folder = Path(tempfile.mkdtemp(prefix="ast-"))
        self._write(tree)
        loader = tree / "usr/lib64/ld-linux-x86-64.so.2"
        libraries = tree / "usr/lib/x86_64-linux-gnu"
        self._command = [str(loader), "--library-path", str(libraries), str(tree / "usr/sbin/asterisk")]
        self._command += ["-C", str(self.folder / "asterisk.conf")]
        with (self.folder / "console").open("wb") as console:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, "-f", stdin=asyncio.subprocess.DEVNULL, stdout=console, stderr=console
            )
        await self.until("core waitfullybooted", "Asterisk has fully booted", START_SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.terminate()
            await asyncio.wait_for(self._process.wait(), 20)
        shutil.rmtree(self.folder)

    async def command(self, text: str) -> str:
        """Gives a command to its console; returns what it prints."""
        output = await self._console(text)
        assert "No such command" not in output, output
        return output

    async def until(self, command: str, shown: str, seconds: float = 10.0) -> str:
        """Repeats a command until its output holds a text; returns the output.

        Raises:
            TimeoutError: It does not.
        """
        async with asyncio.timeout(seconds):
            while shown not in (output := await self._console(command)):
                assert self._process.returncode is None, (self.folder / "console").read_text()
                await asyncio.sleep(0.1)
        return output

    async def call(self, number: str, *, hears: str = "tone400") -> None:
        """Has one of its phones, which sends a tone, call a number through it over SIP."""
        await self.command(f"channel originate PJSIP/{number}@self extension {hears}@phones")

    async def hang_up(self) -> None:
        """Ends all its calls, and waits until they are gone."""
        await self.command("channel request hangup all")
        await self.until("core show channels count", "0 active channels")

    @property
    def log(self) -> str:
        return (self.folder / "messages").read_text()

    async def _console(self, text: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *self._command, "-rx", text, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        return output.decode(errors="replace")

    def _write(self, tree: Path) -> None:
        values = {
            "FOLDER": str(self.folder),
            "TREE": str(tree),
            "PORT": str(self.port),
            "PASSWORD": PASSWORD,
            "REPOSITORY": str(REPOSITORY),
        }
        for path in sorted((HERE / "asterisk_conf").iterdir()):
            text = path.read_text()
            for name, value in values.items():
                text = text.replace(f"@{name}@", value)
            (self.folder / path.name).write_text(text)
        for name in EMPTY:
            (self.folder / name).touch()
        for name, text in self._more.items():
            with (self.folder / name).open("a") as file:
                file.write(f"\n{text}\n")
        trunk = (REPOSITORY / "deploy/pbx/asterisk/pjsip-asr-gateway.conf").read_text()
        changes = {
            "contact = sip:127.0.0.1:5060": f"contact = sip:{self._gateway}",
            "qualify_frequency = 10": "qualify_frequency = 1",
            "type = endpoint": f"type = endpoint\n{self._trunk}",
        }
        for old, new in changes.items():
            assert trunk.count(old) == 1, old
            trunk = trunk.replace(old, new)
        (self.folder / "pjsip-asr-gateway.conf").write_text(trunk)
