from __future__ import annotations

import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from gateway.sip.audio import FRAME, AudioError, load, save


def write(path: Path, data: bytes, *, rate: int, channels: int, width: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.writeframes(data)
    return path


def test_8_khz_comes_through_to_the_bit_and_is_filled_up(tmp_path: Path) -> None:
    samples = np.arange(-161, 161, dtype=np.int16) * 100
    save(tmp_path / "a.wav", samples)
    got = load(tmp_path / "a.wav")
    assert len(got) == 3 * FRAME
    assert (got[:322] == samples).all()
    assert not got[322:].any()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_widths_and_channels(tmp_path: Path, width: int) -> None:
    left, right = 0.5, -0.25
    scale = 2 ** (8 * width - 1)
    pair = b"".join(
        bytes([int(value * 128) + 128]) if width == 1 else int(value * scale).to_bytes(width, "little", signed=True)
        for value in (left, right)
    )
    got = load(write(tmp_path / "a.wav", pair * FRAME, rate=8000, channels=2, width=width))
    assert list(got) == [4096] * FRAME


def test_other_rates_are_resampled(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(22050) / 22050) * 8000
    path = write(tmp_path / "a.wav", tone.astype("<i2").tobytes(), rate=22050, channels=1, width=2)
    got = load(path)
    assert len(got) == 8000
    expected = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000) * 8000
    assert np.abs(got - expected)[200:-200].max() < 20


def test_without_soxr_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    path = write(tmp_path / "a.wav", bytes(3200), rate=16000, channels=1, width=2)
    with pytest.raises(AudioError, match=r"16000 Hz.*asr-gateway\[embedded\]"):
        load(path)


def test_what_is_no_wav(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFFnothing")
    with pytest.raises(AudioError, match="not a PCM WAV"):
        load(tmp_path / "a.wav")
    with pytest.raises(AudioError, match="no audio"):
        load(write(tmp_path / "b.wav", b"", rate=8000, channels=1, width=2))
