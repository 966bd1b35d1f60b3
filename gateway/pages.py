"""Asks the kernel for huge pages (Linux's transparent ones) for what many legs hold in memory.

A thousand legs are a few hundred megabytes in small pieces, and each packet and message visits some dozens of them:
with pages of 4 KiB the processor spends a twentieth of its time on looking pages up. Python's and C's allocators do not
ask for larger ones by themselves, and most systems give them only to those who ask (``madvise``).
"""

from __future__ import annotations

import ctypes
import mmap
import re
import time
from pathlib import Path

HUGE = 2 << 20  # bytes of a huge page
_COLLAPSE = 25  # MADV_COLLAPSE, Linux 6.1: makes huge pages of what is there already
REST = 0.02  # seconds
# A mapping of no file that may be written, and what of it is in memory.
_ROOM = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) rw-p 00000000 00:00 0 *(?:\[heap\]|\[anon:.*\])?\n(?:\w+: .*\n)*?Rss: +(\d+) kB$",
    re.MULTILINE,
)


def rooms(smaps: str) -> list[tuple[int, int]]:
    """Returns where a process keeps its data: first address, and one past the last, in whole huge pages.

    Stacks and the like, which are mostly empty, are left out: huge pages would fill them.

    Args:
        smaps: As ``/proc/PID/smaps`` is.
    """
    found = []
    for begin, end, resident in _ROOM.findall(smaps):
        first, last = -(-int(begin, 16) // HUGE) * HUGE, int(end, 16) // HUGE * HUGE
        if first < last and int(resident) * 2048 > int(end, 16) - int(begin, 16):
            found.append((first, last))
    return found


class HugePages:
    """Makes huge pages of this process's data."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None)
        self._libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        self._known: dict[int, bool] = {}

    @property
    def given(self) -> int:
        """Bytes that are in huge pages because they were asked for."""
        return HUGE * sum(self._known.values())

    def ask(self) -> None:
        """Asks for what has come since the last time; a kernel that cannot, or will not, changes nothing.

        Not for the event loop: it takes some milliseconds for each two megabytes that are new, while which nobody else
        gets memory; so it rests between them.
        """
        try:
            smaps = Path("/proc/self/smaps").read_text(encoding="ascii", errors="replace")
        except OSError:
            return  # no /proc here
        known: dict[int, bool] = {}
        for first, end in rooms(smaps):
            for page in range(first, end, HUGE):
                if page in self._known:
                    known[page] = self._known[page]
                    continue
                self._libc.madvise(page, HUGE, mmap.MADV_HUGEPAGE)
                known[page] = self._libc.madvise(page, HUGE, _COLLAPSE) == 0
                time.sleep(REST)
        self._known = known
