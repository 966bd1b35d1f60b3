"""WebSocket data frames (RFC 6455, section 5.2) on the way of the audio: what is worth doing without a general library.

A leg sends one binary message and gets one text message every few hundred milliseconds: whole, unfragmented, without
extensions. These are made and read here; ``Splitter`` hands everything else, whole, to the library's own protocol.
"""

from __future__ import annotations

import os
import struct

try:
    from websockets.speedups import apply_mask
except ImportError:  # the library was built without its extension
    from websockets.utils import apply_mask

TEXT = 0x81  # FIN and opcode
BINARY = 0x82
_MASKED = 0x80
_SHORT, _LONG = 126, 127  # as lengths: a 16-bit or a 64-bit length follows

MASKS = 4096  # bytes of random numbers drawn at once


class Masks:
    """Masking keys, unpredictable as section 5.3 wants them, drawn many at a time."""

    def __init__(self) -> None:
        self._drawn = b""
        self._at = 0

    def next(self) -> bytes:
        """Returns a key that was not used before."""
        if self._at == len(self._drawn):
            self._drawn, self._at = os.urandom(MASKS), 0
        at = self._at
        self._at = at + 4
        return self._drawn[at : at + 4]


_masks = Masks()


def masked(first: int, payload: bytes) -> bytes:
    """Returns a client's frame.

    Args:
        first: Its first byte: ``TEXT`` or ``BINARY``.
        payload: The whole message.
    """
    length, mask = len(payload), _masks.next()
    if length < _SHORT:
        head = struct.pack("!BB", first, _MASKED | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", first, _MASKED | _SHORT, length)
    else:
        head = struct.pack("!BBQ", first, _MASKED | _LONG, length)
    return head + mask + apply_mask(payload, mask)


class Splitter:
    """Cuts what a server sends into whole frames.

    Args:
        longest: Bytes of a payload. After a longer one, or a frame that a server must not send, nothing is split any
            more: what is to be done is the library's affair.
        unsplit: Whether that is so from the beginning.
    """

    def __init__(self, longest: int, *, unsplit: bool = False) -> None:
        self._longest = longest
        self._rest = b""
        self._unsplit = unsplit

    def feed(self, data: bytes) -> list[tuple[int, bytes, int]]:
        """Takes bytes as they come.

        Returns:
            Each frame that is whole now: its first byte, the frame, and where in it the payload begins.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        found = []
        at, size = 0, len(data)
        while not self._unsplit and size - at >= 2:
            length, begin = data[at + 1], at + 2
            if length == _SHORT:
                begin = at + 4
                length = int.from_bytes(data[at + 2 : begin])
            if length > self._longest or data[at + 1] >= _LONG:
                self._unsplit = True
            elif begin + length > size:
                break
            else:
                found.append((data[at], data[at : begin + length], begin - at))
                at = begin + length
        rest = data[at:]
        if self._unsplit and rest:
            found.append((0, rest, 0))
        else:
            self._rest = rest
        return found
