"""G.711 (ITU-T G.711): names, static payload types (RFC 3551, section 6), silence, and decoding to linear PCM."""

from __future__ import annotations

import sys
import warnings

with warnings.catch_warnings():  # gone from the standard library in 3.13, where audioop-lts takes its place
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

ALAW = "alaw"
MULAW = "mulaw"

STATIC_PAYLOAD_TYPES = {0: MULAW, 8: ALAW}
"""Payload types that need no ``a=rtpmap``."""

ENCODING_NAMES = {ALAW: "PCMA", MULAW: "PCMU"}
"""Names in ``a=rtpmap``."""

SILENCE = {ALAW: b"\xd5", MULAW: b"\xff"}
"""The byte of digital silence. 0x00 is a loud one in both."""


def to_linear16(codec: str, payload: bytes) -> bytes:
    """Decodes a payload to signed 16-bit samples, little-endian.

    Args:
        codec: ``"alaw"`` or ``"mulaw"``.
        payload: G.711 bytes.

    Returns:
        Twice as many bytes.

    Raises:
        ValueError: There is no such codec.
    """
    if codec == ALAW:
        samples = audioop.alaw2lin(payload, 2)
    elif codec == MULAW:
        samples = audioop.ulaw2lin(payload, 2)
    else:
        raise ValueError(f"{codec!r} is not a G.711 codec: {ALAW} or {MULAW}")
    return samples if sys.byteorder == "little" else audioop.byteswap(samples, 2)


def transcode(payload: bytes, source: str, target: str) -> bytes:
    """Turns one G.711 codec into the other, sample by sample.

    Args:
        payload: G.711 bytes in ``source``.
        source: ``"alaw"`` or ``"mulaw"``.
        target: Likewise.

    Returns:
        As many bytes, in ``target``.

    Raises:
        ValueError: There is no such codec.
    """
    if source == target:
        return payload
    if {source, target} != {ALAW, MULAW}:
        raise ValueError(f"{source!r} to {target!r}: only {ALAW} and {MULAW} are G.711")
    if source == ALAW:
        return audioop.lin2ulaw(audioop.alaw2lin(payload, 2), 2)
    return audioop.lin2alaw(audioop.ulaw2lin(payload, 2), 2)


def from_linear16(codec: str, linear: bytes) -> bytes:
    """Encodes signed 16-bit samples, little-endian.

    Args:
        codec: ``"alaw"`` or ``"mulaw"``.
        linear: Whole samples.

    Returns:
        Half as many bytes.

    Raises:
        ValueError: There is no such codec.
    """
    if codec not in (ALAW, MULAW):
        raise ValueError(f"{codec!r} is not a G.711 codec: {ALAW} or {MULAW}")
    samples = linear if sys.byteorder == "little" else audioop.byteswap(linear, 2)
    return audioop.lin2alaw(samples, 2) if codec == ALAW else audioop.lin2ulaw(samples, 2)
