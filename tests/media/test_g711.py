from __future__ import annotations

import struct

import pytest

from gateway.media import g711


def test_the_ends_of_the_scale() -> None:
    # ITU-T G.711, tables 1 and 2, scaled to 16 bits
    assert struct.unpack("<6h", g711.to_linear16("alaw", b"\xd5\x55\xaa\x2a\x00\x80")) == (
        8,
        -8,
        32256,
        -32256,
        -5504,
        5504,
    )
    assert struct.unpack("<4h", g711.to_linear16("mulaw", b"\xff\x7f\x80\x00")) == (0, 0, 32124, -32124)


def test_silence_is_silent() -> None:
    for codec, byte in g711.SILENCE.items():
        assert abs(struct.unpack("<h", g711.to_linear16(codec, byte))[0]) <= 8


def test_names() -> None:
    assert {number: g711.ENCODING_NAMES[codec] for number, codec in g711.STATIC_PAYLOAD_TYPES.items()} == {
        0: "PCMU",
        8: "PCMA",
    }


def test_another_codec_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'g729' is not a G\.711 codec: alaw or mulaw"):
        g711.to_linear16("g729", b"")
