"""Recordings: both legs at their places, playable at any moment, and never in the way."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.media import g711
from gateway.media.recording import BLOCK, Recorder


def read(path: Path) -> tuple[int, bytes, bytes]:
    """Reads the file by hand; returns its format and both channels, as far as its header promises."""
    data = path.read_bytes()
    assert (data[:4], data[8:16], data[50:54]) == (b"RIFF", b"WAVEfmt ", b"data")
    size = int.from_bytes(data[54:58], "little")
    assert int.from_bytes(data[4:8], "little") == 50 + size
    assert int.from_bytes(data[46:50], "little") == size // 2
    assert len(data) >= 58 + size, "the header never promises what is not there"
    frames = data[58 : 58 + size]
    return int.from_bytes(data[20:22], "little"), frames[::2], frames[1::2]


def fail(text: str) -> None:
    raise AssertionError(text)


def test_both_legs_lie_where_they_were(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "made", fail)
    recording = recorder.open("call", "alaw")
    left, right = bytearray(b"\xd5" * 100_000), bytearray(b"\xd5" * 100_000)
    for first in range(0, 90_000, 800):
        recording.write(0, first, bytes([first // 800 & 0x7F]) * 800, "alaw")
        left[first : first + 800] = bytes([first // 800 & 0x7F]) * 800
        if first >= 20_000:  # the other leg came later, in the other codec
            payload = g711.transcode(b"\x21" * 800, "alaw", "mulaw")
            recording.write(1, first + 37, payload, "mulaw")
            right[first + 37 : first + 837] = g711.transcode(payload, "mulaw", "alaw")
    recording.write(1, -40, b"\x33" * 80, "alaw")
    right_late = recording.late
    recording.close()
    recorder.close()
    form, one, two = read(tmp_path / "made" / "call.wav")
    assert form == 6
    assert len(one) == len(two) == 89_600 + 837
    assert one == bytes(left[: len(one)])
    assert two == bytes(right[: len(two)])
    assert right_late == 40, "audio for a block that was written is counted"
    assert (tmp_path / "made" / "call.wav").stat().st_mode & 0o777 == 0o600


def test_a_long_pause_is_silence_and_not_zeros(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, fail)
    recording = recorder.open("call", "mulaw")
    recording.write(0, 0, b"\x10" * 800, "mulaw")
    recording.write(0, 30 * BLOCK, b"\x20" * 800, "mulaw")
    recording.close()
    recorder.close()
    form, one, two = read(tmp_path / "call.wav")
    assert form == 7
    assert one == b"\x10" * 800 + b"\xff" * (30 * BLOCK - 800) + b"\x20" * 800
    assert two == b"\xff" * len(one)


def test_it_can_be_played_when_the_process_is_killed(tmp_path: Path) -> None:
    code = """
import os, sys, time
from pathlib import Path
from gateway.media.recording import Recorder
recorder = Recorder(Path(sys.argv[1]), print)
recording = recorder.open("call", "alaw")
for first in range(0, 160_000, 800):
    recording.write(0, first, b"\\x44" * 800, "alaw")
time.sleep(0.5)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    _, one, _ = read(tmp_path / "call.wav")
    assert one == b"\x44" * (15 * BLOCK), "all but the seconds that waited for the other leg"


def test_a_disk_that_refuses_is_told_and_counted(tmp_path: Path) -> None:
    told: list[str] = []
    recorder = Recorder(tmp_path, told.append)
    recording = recorder.open("call", "alaw")
    with pytest.raises(FileExistsError):
        recorder.open("call", "alaw")

    def refuse() -> None:
        raise OSError(28, "No space left on device")

    recorder.submit(refuse)
    recording.close()
    recorder.close()
    assert recorder.dropped == 1
    assert "No space left" in told[0]


def test_a_slow_disk_drops_blocks_and_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.media.recording.WAITING", 3)
    recorder = Recorder(tmp_path, fail)
    for _ in range(10):
        recorder.submit(lambda: time.sleep(0.05))
    assert recorder.dropped >= 6
    recorder.close()
