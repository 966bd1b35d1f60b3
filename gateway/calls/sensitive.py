"""Sensitive input: when what a leg says and types is withheld (card numbers, PINs), on request or by a code of keys.

Pure: positions on the leg's clock come in as arguments.
"""

from __future__ import annotations

from gateway.media.chunks import Chunk, Digit

FRAME = 160  # samples; levels go by it


class Withholding:
    """Says of each chunk and key of a leg whether it is withheld.

    A pause holds from the next chunk on; what was handed over before cannot be taken back. Its end is where the leg's
    clock stands then, or where the last key of the code ended: audio that is still under way belongs to the pause.

    Args:
        pause_code: Keys that begin a pause; empty for none.
        resume_code: Keys that end it; empty for none. The same code for both toggles.

    Attributes:
        active: Whether the leg is paused.
    """

    def __init__(self, pause_code: str = "", resume_code: str = "") -> None:
        self._pause_code = pause_code
        self._resume_code = resume_code
        self._keys = ""
        self._until = 0
        self.active = False

    def pause(self) -> None:
        """Begins to withhold."""
        self.active = True
        self._keys = ""

    def resume(self, sample: int) -> None:
        """Ends a pause; what lies before the sample of the leg's clock is withheld still."""
        if self.active:
            self.active = False
            self._until = max(self._until, sample)
            self._keys = ""

    def withheld(self, chunk: Chunk) -> int:
        """Returns how many samples from the chunk's start are withheld: a whole number of 20 ms, or all of it."""
        if self.active:
            return chunk.samples
        rest = self._until - chunk.first
        return 0 if rest <= 0 else min(chunk.samples, -(-rest // FRAME) * FRAME)

    def key(self, digit: Digit) -> bool:
        """Takes a key; a code that it completes counts at once.

        Returns:
            Whether the key is withheld. The keys of the code that begins a pause are not.
        """
        withheld = self.active or digit.first < self._until
        code = self._resume_code if self.active else self._pause_code
        self._keys = (self._keys + digit.key)[-len(code) :] if code else ""
        if code and self._keys == code:
            if self.active:
                self.resume(digit.first + digit.samples)
            else:
                self.pause()
        return withheld
