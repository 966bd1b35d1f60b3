"""Moonshine tiny-en: one segment of speech in, its text out. Blocking; runs in the worker process only."""

from __future__ import annotations

import os

import numpy as np

from gateway.asr.embedded.faults import ExtraMissing, ModelFailed

MODEL_RATE = 16000
MIN_SAMPLES = MODEL_RATE // 2
"""Shorter segments are padded with silence: the model makes words up for a fraction of a syllable."""

OPTIONS = {
    # Segmentation is ours: the library's own would cut a segment again.
    "vad_threshold": "0.0",
    "vad_max_segment_duration": "60",
    "return_audio_data": "false",
}


class Recogniser:
    """The loaded model.

    Raises:
        ExtraMissing: A package of the ``embedded`` extra is not installed.
        ModelFailed: The model does not load.
    """

    def __init__(self) -> None:
        # Read by the library when it is loaded. One thread decodes a segment for less CPU time than several do.
        os.environ["MOONSHINE_ORT_SINGLE_THREAD"] = "1"
        try:
            import soxr
            from moonshine_voice.errors import MoonshineError
            from moonshine_voice.moonshine_api import ModelArch
            from moonshine_voice.transcriber import Transcriber
            from moonshine_voice.utils import get_model_path
        except ImportError as error:
            raise ExtraMissing(error.name or str(error)) from error
        except OSError as error:  # its shared library does not fit this system, such as a glibc older than 2.34
            raise ModelFailed(str(error)) from error
        try:
            self._transcriber = Transcriber(str(get_model_path("tiny-en")), ModelArch.TINY, options=OPTIONS)
        except (MoonshineError, OSError) as error:
            raise ModelFailed(str(error)) from error
        self._resample = soxr.resample
        self.text(bytes(2 * MODEL_RATE), MODEL_RATE)  # the first decoding also allocates the model's buffers

    def text(self, audio: bytes, rate: int) -> str:
        """Decodes one segment.

        Args:
            audio: linear16, little-endian, mono.
            rate: Samples a second.

        Returns:
            Its words, with capitals and punctuation; empty where there are none.
        """
        samples = np.frombuffer(audio, "<i2").astype(np.float32) / 32768
        if rate != MODEL_RATE:
            samples = self._resample(samples, rate, MODEL_RATE)
        if len(samples) < MIN_SAMPLES:
            samples = np.pad(samples, (0, MIN_SAMPLES - len(samples)))
        lines = self._transcriber.transcribe_without_streaming(samples.tolist(), MODEL_RATE).lines
        return " ".join(" ".join(line.text for line in lines).split())
