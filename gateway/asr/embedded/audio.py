"""A client's audio: messages of any size in, blocks of 300 ms of linear16 out."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.media import g711

BLOCK_MS = 300
SAMPLE_BYTES = 2


class OddByteError(Exception):
    """The stream of linear16 ends in the middle of a sample."""


class Blocks:
    """Cuts a stream into blocks, the same ones however the stream was cut into messages.

    Args:
        codec: ``"alaw"``, ``"mulaw"`` or ``"linear16"`` (little-endian).
        rate: Samples a second.
    """

    def __init__(self, codec: str, rate: int) -> None:
        self._codec = codec
        self._width = SAMPLE_BYTES if codec == "linear16" else 1
        self._block_bytes = rate * BLOCK_MS // 1000 * self._width
        self._waiting = bytearray()
        self._rate = rate
        self._bytes = 0

    @property
    def seconds(self) -> float:
        """Audio taken so far, in seconds, to the sample."""
        return self._bytes // self._width / self._rate

    def push(self, message: bytes) -> Iterator[bytes]:
        """Takes a message.

        Args:
            message: Audio of any size.

        Yields:
            Each block that it completes, as linear16.
        """
        self._bytes += len(message)
        self._waiting += message
        while len(self._waiting) >= self._block_bytes:
            block = bytes(self._waiting[: self._block_bytes])
            del self._waiting[: self._block_bytes]
            yield self._linear(block)

    def rest(self) -> bytes:
        """Ends the stream.

        Returns:
            The last, shorter block as linear16; empty where the stream ended with a block.

        Raises:
            OddByteError: Half a sample is left over.
        """
        if len(self._waiting) % self._width:
            raise OddByteError
        rest = bytes(self._waiting)
        self._waiting.clear()
        return self._linear(rest)

    def _linear(self, block: bytes) -> bytes:
        return block if self._codec == "linear16" else g711.to_linear16(self._codec, block)
