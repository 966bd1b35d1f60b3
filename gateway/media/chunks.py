"""What the receiver hands over: chunks of one leg's audio and the keys pressed on it.

All positions are samples on the leg's own clock: 8000 a second, 0 at the leg's first RTP packet, counted from RTP
timestamps and never from arrival (RFC 3550, section 5.1). G.711 has one byte a sample, so bytes and samples are the
same number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

SAMPLE_RATE = 8000


class Kind(IntEnum):
    """What a stretch of the leg's clock was."""

    RECEIVED = 0
    """Payload bytes as they came off the wire."""
    CONCEALED = 1
    """Lost packets, filled by the receiver; streamed like speech."""
    PAUSE = 2
    """The sender paused (silence suppression, hold): the clock advanced and nothing came."""
    COMFORT_NOISE = 3
    """An RFC 3389 pause."""
    DTMF = 4
    """A telephone event (RFC 4733) was on the wire in place of audio."""
    HOLD = 5
    """A pause while signalling had the leg on hold. This and what follows comes from the ledger, not the receiver."""
    WITHHELD = 6
    """Kept from the recogniser, the store and the consumers, because somebody asked for it."""
    UNRECOGNISED = 7
    """Audio whose words are missing: the recogniser was lost, and the audio could not be kept."""


class Span(NamedTuple):
    """A stretch of one kind.

    Attributes:
        kind: What it was.
        first: Its first sample on the leg's clock.
        samples: Its length in samples, never 0.
    """

    kind: Kind
    first: int
    samples: int


class Chunk(NamedTuple):
    """The next stretch of a leg, complete and in order.

    The chunks of a leg tile its clock: each begins where the one before ended. ``payload`` holds exactly ``samples``
    bytes in ``codec``, or none where the stretch is a pause too long to be streamed as silence.

    Attributes:
        leg: The number under which the leg was added to the receiver.
        codec: ``"alaw"`` or ``"mulaw"``, what ``payload`` is in.
        first: First sample on the leg's clock.
        samples: Length in samples.
        payload: G.711 bytes, or ``b""``.
        spans: What the stretch was; they tile the chunk.
        levels: For each full 20 ms of payload its mean power in dBov, negated: 0 (loudest) to 127.
        arrived_first: Arrival of the first packet in it, monotonic nanoseconds; 0 when none of it was received.
        arrived_last: Arrival of the last packet in it, likewise.
        last: Nothing comes after this chunk; it may be empty.
    """

    leg: int
    codec: str
    first: int
    samples: int
    payload: bytes
    spans: tuple[Span, ...]
    levels: bytes
    arrived_first: int
    arrived_last: int
    last: bool = False


@dataclass(frozen=True, slots=True)
class Digit:
    """A key, told once however many packets carried it (RFC 4733, section 2.5).

    Attributes:
        leg: The leg's number.
        key: One of ``0123456789*#ABCD``.
        first: Where the event began on the leg's clock, in samples.
        samples: Its duration in samples.
    """

    leg: int
    key: str
    first: int
    samples: int


@dataclass(frozen=True, slots=True)
class Control:
    """An RTCP packet of the leg's peer (RFC 3550, section 6), decrypted where it came by SRTCP.

    Attributes:
        leg: The leg's number.
        packet: The compound packet; not parsed.
        arrived: When it came, monotonic nanoseconds.
        sample: How far the leg's clock was.
        timestamp: The RTP timestamp of that sample; -1 before the first RTP packet.
    """

    leg: int
    packet: bytes
    arrived: int
    sample: int
    timestamp: int
