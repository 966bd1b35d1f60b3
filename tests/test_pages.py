"""Huge pages for what many legs hold."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.pages import HUGE, HugePages, rooms

SMAPS = """\
5579f392c000-5579f392e000 r--p 00000000 fe:00 260131                     /usr/bin/python3.11
Size:                  8 kB
Rss:                   8 kB
VmFlags: rd mr mw me
558000100000-558000900000 rw-p 00000000 00:00 0                          [heap]
Size:               8192 kB
Rss:                8000 kB
VmFlags: rd wr mr mw me ac
7f0000000000-7f0000500000 rw-p 00000000 00:00 0
Size:               5120 kB
Rss:                4096 kB
VmFlags: rd wr mr mw me ac
7f1000000000-7f1000800000 rw-p 00000000 00:00 0
Size:               8192 kB
Rss:                 100 kB
VmFlags: rd wr mr mw me ac
7f2000000000-7f2000800000 rw-p 00000000 fe:00 77                         /usr/lib/some.so
Size:               8192 kB
Rss:                8192 kB
VmFlags: rd wr mr mw me ac
7f3000000000-7f3000400000 rw-p 00000000 00:00 0                          [anon: glibc: malloc]
Size:               4096 kB
Rss:                4096 kB
VmFlags: rd wr mr mw me ac
7ffd00000000-7ffd00800000 rw-p 00000000 00:00 0                          [stack]
Size:               8192 kB
Rss:                8192 kB
VmFlags: rd wr mr mw me gd ac
"""


def test_data_that_is_there_is_found_and_no_file_no_stack_and_nothing_empty() -> None:
    assert rooms(SMAPS) == [
        (0x558000200000, 0x558000800000),
        (0x7F0000000000, 0x7F0000400000),
        (0x7F3000000000, 0x7F3000400000),
    ]


def test_what_was_in_memory_is_there_afterwards_in_larger_pages_where_the_kernel_has_them() -> None:
    kept = [number.to_bytes(8) * 128 for number in range(64 * 1024)]  # 64 MiB
    pages = HugePages()
    pages.ask()
    assert all(one == number.to_bytes(8) * 128 for number, one in enumerate(kept))
    found = re.search(r"^AnonHugePages: +(\d+) kB", Path("/proc/self/smaps_rollup").read_text("ascii"), re.MULTILINE)
    assert found
    assert pages.given % HUGE == 0
    assert int(found[1]) * 1024 >= pages.given
    before = pages.given
    pages.ask()
    assert pages.given >= before - 4 * HUGE, "what is known is not asked for again, and not forgotten"
