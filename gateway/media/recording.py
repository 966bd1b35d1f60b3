"""Recordings of calls in their native codec: a stereo WAV file (A-law or µ-law), one leg a channel, written as it goes.

The event loop only sorts bytes into blocks of a second; a thread writes them. The header is renewed after each block
that it covers, so that the file can be played whenever the process ends.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gateway.media import g711
from gateway.media.chunks import SAMPLE_RATE

CHANNELS = 2
BLOCK = SAMPLE_RATE
"""Frames in a block."""
KEPT = 5
"""Blocks that wait for late audio of the other leg before they are written (seconds)."""
WAITING = 4000
"""Blocks of all calls that wait for the disk at most; beyond, blocks are dropped and counted."""

_HEADER = 58
_FORMATS = {g711.ALAW: 6, g711.MULAW: 7}


def header(codec: str, frames: int) -> bytes:
    """Returns the head of a WAV file (RIFF, ``fmt``, ``fact``, ``data``) with so many frames."""
    data = frames * CHANNELS
    form = struct.pack("<HHIIHHH", _FORMATS[codec], CHANNELS, SAMPLE_RATE, SAMPLE_RATE * CHANNELS, CHANNELS, 8, 0)
    return (
        struct.pack("<4sI4s", b"RIFF", _HEADER - 8 + data + data % 2, b"WAVE")
        + struct.pack("<4sI", b"fmt ", len(form))
        + form
        + struct.pack("<4sII", b"fact", 4, frames)
        + struct.pack("<4sI", b"data", data)
    )


class Recorder:
    """Makes the recordings of a gateway and owns the thread that writes them.

    Args:
        folder: Where the files go; made when missing.
        on_error: Told of what could not be written, from the thread.

    Attributes:
        dropped: Blocks that were not written: the disk was too slow, or refused.
    """

    def __init__(self, folder: Path, on_error: Callable[[str], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._on_error = on_error
        self._thread = ThreadPoolExecutor(1, "recordings")
        self._lock = threading.Lock()
        self._waiting = 0
        self.dropped = 0

    def open(self, name: str, codec: str) -> Recording:
        """Begins a recording.

        Args:
            name: Of the file, without its ending.
            codec: What the file is in; audio in the other codec is transcoded.

        Raises:
            OSError: The file cannot be made.
        """
        return Recording(self, self._folder / f"{name}.wav", codec)

    def submit(self, job: Callable[[], None], *, blocks: int = 1) -> None:
        """Has the thread do a job, unless too much waits for the disk."""
        with self._lock:
            if self._waiting >= WAITING and blocks:
                self.dropped += blocks
                return
            self._waiting += 1
        self._thread.submit(self._run, job, blocks)

    def close(self) -> None:
        """Waits until everything is written."""
        self._thread.shutdown()

    def _run(self, job: Callable[[], None], blocks: int) -> None:
        try:
            job()
        except OSError as error:
            with self._lock:
                self.dropped += blocks
            self._on_error(str(error))
        finally:
            with self._lock:
                self._waiting -= 1


class Recording:
    """One call's file. All methods are for the event loop's thread and never wait.

    Args:
        recorder: Whose thread writes.
        path: The file; must not exist.
        codec: ``"alaw"`` or ``"mulaw"``.

    Attributes:
        path: The file.
        late: Bytes that came when their block was written already.
    """

    def __init__(self, recorder: Recorder, path: Path, codec: str) -> None:
        self.path = path
        self.late = 0
        self._recorder = recorder
        self._codec = codec
        self._silence = g711.SILENCE[codec] * (BLOCK * CHANNELS)
        self._blocks: dict[int, bytearray] = {}
        self._written = 0  # blocks
        self._frames = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.pwrite(self._file, header(codec, 0), 0)

    def write(self, channel: int, first: int, payload: bytes, codec: str) -> None:
        """Puts audio at its place.

        Args:
            channel: 0 or 1.
            first: Frame of the file at which it begins; what lies before the file's start is left out.
            payload: G.711.
            codec: Its codec.
        """
        payload = g711.transcode(payload, codec, self._codec)
        if first < 0:
            payload, first = payload[-first:], 0
        self._frames = max(self._frames, first + len(payload))
        while payload:
            block, at = divmod(first, BLOCK)
            take = payload[: BLOCK - at]
            if block < self._written:
                self.late += len(take)
            else:
                room = self._blocks.setdefault(block, bytearray(self._silence))
                room[at * CHANNELS + channel : (at + len(take)) * CHANNELS : CHANNELS] = take
            payload, first = payload[len(take) :], first + len(take)
        self._flush(self._frames // BLOCK - KEPT)

    def close(self) -> None:
        """Writes the rest and closes the file."""
        self._flush(-(-self._frames // BLOCK))
        frames = self._frames
        file = self._file

        def finish() -> None:
            try:
                os.pwrite(file, header(self._codec, frames), 0)
                os.ftruncate(file, _HEADER + frames * CHANNELS)
            finally:
                os.close(file)

        self._recorder.submit(finish, blocks=0)

    def _flush(self, upto: int) -> None:
        """Has all blocks before this one written, silence where there are none."""
        while self._written < upto:
            number = self._written
            data = bytes(self._blocks.pop(number, b"")) or self._silence
            self._recorder.submit(lambda number=number, data=data: self._store(number, data))  # type: ignore[misc]
            self._written += 1

    def _store(self, number: int, data: bytes) -> None:
        os.pwrite(self._file, data, _HEADER + number * BLOCK * CHANNELS)
        os.pwrite(self._file, header(self._codec, (number + 1) * BLOCK), 0)
