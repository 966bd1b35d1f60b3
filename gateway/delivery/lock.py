"""One gateway to a file: an advisory lock that the kernel gives back when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class LockedError(Exception):
    """Another process has the file; the text says which, and what to do."""


class FileLock:
    """A lock beside a file, as ``NAME.lock``.

    Args:
        path: The file that is guarded.

    Raises:
        LockedError: Another process holds the lock.
        OSError: The lock file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        beside = path.with_name(path.name + ".lock")
        self._descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise LockedError(
                f"{path}: in use by another gateway{f' (process {owner})' if owner else ''}; "
                "stop that one, or give this one a delivery.database of its own"
            ) from error
        # for the text above only: a full disk does no harm here
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Gives the lock back."""
        os.close(self._descriptor)
