"""Events as lines of JSON in a file or on the standard output."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from gateway.delivery.outlet import Message, Outcome
from gateway.delivery.settings import LinesOutlet


class LinesFile:
    """Appends to one file, in a thread of its own: a disk or a pipe that hangs holds up nothing else.

    A line is acknowledged when the operating system has it. What a full disk cut off is taken back, so that the file
    holds whole lines only.

    Args:
        settings: Which file.
    """

    def __init__(self, settings: LinesOutlet) -> None:
        self.shown = settings.path
        self._path = None if settings.path == "-" else Path(settings.path)
        self._descriptor = -1
        self._thread = ThreadPoolExecutor(1, f"lines-{settings.name}")

    async def send(self, message: Message, timeout: float) -> Outcome:  # noqa: ASYNC109 (it is a setting)
        """Writes one line; see ``Outlet.send``."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().run_in_executor(self._thread, self._write, message.body + b"\n")
        except TimeoutError:
            return Outcome("timeout", 0, timeout, None, f"not written within {timeout:g} s")
        except OSError as error:
            return Outcome("unreachable", 0, time.perf_counter() - started, None, error.strerror or str(error))
        return Outcome("delivered", 0, time.perf_counter() - started, None, "written")

    async def close(self) -> None:
        """Closes the file."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._descriptor >= 0 and self._path is not None:
            with suppress(OSError):
                os.close(self._descriptor)

    def _write(self, line: bytes) -> None:
        if self._path is None:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            return
        descriptor = self._open(self._path)
        before = os.fstat(descriptor).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(descriptor, line[written:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, before)
            raise

    def _open(self, path: Path) -> int:
        if self._descriptor >= 0:
            with suppress(OSError):
                if os.path.samestat(path.stat(), os.fstat(self._descriptor)):
                    return self._descriptor
            os.close(self._descriptor)
            self._descriptor = -1
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor
