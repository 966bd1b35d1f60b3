"""Keys of a leg that may come twice: in RTP (RFC 4733) and by SIP INFO.

Some PBXs send each key both ways. Told twice, ``*9`` would read ``**99``, and a code of keys that is to begin the
withholding of a card number would not be seen.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from gateway.media.chunks import SAMPLE_RATE, Digit

WINDOW = 2 * SAMPLE_RATE
"""The same key within so many samples by the other way is the same press."""
REMEMBERED = 32


class Way(Enum):
    """How a key came."""

    RTP = "rtp"
    INFO = "info"


class Keys:
    """Tells presses from repetitions, each press at most once for each way."""

    def __init__(self) -> None:
        self._single: deque[tuple[Way, str, int]] = deque(maxlen=REMEMBERED)

    def fresh(self, digit: Digit, way: Way) -> bool:
        """Takes a key.

        Args:
            digit: The key, on the leg's clock.
            way: How it came.

        Returns:
            False where this press came by the other way already.
        """
        for known in self._single:
            other, key, first = known
            if other is not way and key == digit.key and abs(digit.first - first) <= WINDOW:
                self._single.remove(known)
                return False
        self._single.append((way, digit.key, digit.first))
        return True
