"""baresip (Debian) as a telephone that speaks TLS and SRTP."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

BARESIP = shutil.which("baresip")
MODULES = Path("/usr/lib/baresip/modules")


async def call(uri: str, audio: Path, *, ca: Path, certificate: tuple[Path, Path], seconds: int) -> str:
    """Calls, plays a file, and hangs up when the time is over.

    Args:
        uri: Whom, such as ``sip:test@127.0.0.1:5061;transport=tls``.
        audio: A WAV file of 8 kHz, mono.
        ca: Whose certificates it trusts.
        certificate: Its own, with the key.
        seconds: From its start to the hang-up.

    Returns:
        What it printed.
    """
    assert BARESIP, "baresip is not installed: apt-get install baresip-core"
    with tempfile.TemporaryDirectory(prefix="baresip-") as name:
        folder = Path(name)
        own = folder / "own.pem"
        own.write_text("".join(path.read_text() for path in reversed(certificate)))
        # what it hears goes to aubridge, which drops it: baresip 1.1 crashes when it is to write it to a file
        modules = "".join(f"module {module}.so\n" for module in ("g711", "aufile", "aubridge", "srtp", "uuid"))
        (folder / "config").write_text(
            f"sip_listen 127.0.0.1:0\nsip_certificate {own}\nsip_cafile {ca}\nnet_interface 127.0.0.1\n"
            f"module_path {MODULES}\n{modules}module_app account.so\nmodule_app menu.so\n"
            f"audio_source aufile,{audio}\naudio_player aubridge,heard\naudio_alert aufile,none\n"
            "ausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\n"
        )
        (folder / "accounts").write_text("<sip:baresip@127.0.0.1;transport=tls>;regint=0;mediaenc=srtp-mand\n")
        (folder / "contacts").touch()
        process = await asyncio.create_subprocess_exec(
            *(BARESIP, "-4", "-f", str(folder), "-t", str(seconds), "-e", f"/dial {uri}"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), seconds + 15)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return output.decode(errors="replace")
