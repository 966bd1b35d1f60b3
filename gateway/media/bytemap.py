"""Which sample of the leg each byte of an ASR session was: engines count from the session's first byte."""

from __future__ import annotations

from bisect import bisect_right


class ByteMap:
    """Maps the bytes of one session to the leg's clock and back; G.711 has one byte a sample.

    Stretches that follow each other on the clock are kept as one, so that a session without holes costs one entry.
    """

    def __init__(self) -> None:
        self._bytes: list[int] = []  # where each stretch begins, in bytes of the session
        self._samples: list[int] = []  # and on the leg's clock
        self.sent = 0

    def add(self, first: int, samples: int) -> None:
        """Enters audio that was sent.

        Args:
            first: Its first sample on the leg's clock; never before the end of what was sent already.
            samples: Its length.

        Raises:
            ValueError: It lies before what was sent.
        """
        if self._bytes:
            expected = self._samples[-1] + self.sent - self._bytes[-1]
            if first < expected:
                raise ValueError(f"sample {first} was sent before: the session has got as far as {expected}")
            if first == expected:
                self.sent += samples
                return
        self._bytes.append(self.sent)
        self._samples.append(first)
        self.sent += samples

    def sample(self, position: int) -> int:
        """Returns the sample of the leg's clock at a byte of the session.

        Positions before the first byte and beyond the last are reckoned on from there.

        Raises:
            ValueError: Nothing was sent.
        """
        if not self._bytes:
            raise ValueError("nothing was sent")
        index = max(0, bisect_right(self._bytes, position) - 1)
        return self._samples[index] + position - self._bytes[index]

    def position(self, sample: int) -> int:
        """Returns the byte of the session at a sample; inside a hole, the byte after it.

        Raises:
            ValueError: Nothing was sent.
        """
        if not self._bytes:
            raise ValueError("nothing was sent")
        index = bisect_right(self._samples, sample) - 1
        if index < 0:
            return 0
        end = self._bytes[index + 1] if index + 1 < len(self._bytes) else None
        position = self._bytes[index] + sample - self._samples[index]
        return position if end is None else min(position, end)
