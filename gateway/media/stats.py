"""What the receiver counts, on one leg and on all of them."""

from __future__ import annotations

from typing import NamedTuple


class StreamStats(NamedTuple):
    """The counters of one leg's RTP stream, since the leg was added.

    ``received_samples + concealed_samples + paused_samples`` is the length of the leg's clock so far.

    Attributes:
        packets: RTP packets of the leg's own source, late ones and duplicates included.
        lost: Packets that never came; one that comes late is taken out again and counted as late.
        late: Packets that came when their place on the clock was already filled.
        duplicates: Packets that came again.
        foreign: Packets dropped because of their source or SSRC.
        malformed: Datagrams that are not RTP (RFC 3550, section 5.1), or events that are too short (RFC 4733).
        wrong_payload_type: RTP packets whose payload type was not negotiated.
        received_samples: Payload bytes that came off the wire and were used.
        concealed_samples: Filled for lost packets.
        paused_samples: Not sent by the sender: pauses, comfort noise, telephone events.
        jitter: Interarrival jitter in samples (RFC 3550, appendix A.8).
        last_arrival: When the last packet of the leg's own source came, monotonic nanoseconds; 0 for never.
        reordered: Packets that came out of order and found their place still free.
        unauthentic: SRTP and SRTCP packets that failed authentication.
        drift_ppm: How much faster the sender's clock runs than ours, in millionths; None until that can be told.
        ssrc: Of the stream that counts.
        highest: Highest sequence number, extended by its cycles (RFC 3550, appendix A.1); -1 before the first packet.
    """

    packets: int
    lost: int
    late: int
    duplicates: int
    foreign: int
    malformed: int
    wrong_payload_type: int
    received_samples: int
    concealed_samples: int
    paused_samples: int
    jitter: float
    last_arrival: int
    reordered: int = 0
    unauthentic: int = 0
    drift_ppm: float | None = None
    ssrc: int = 0
    highest: int = -1

    @property
    def samples(self) -> int:
        """The length of the leg's clock, in samples."""
        return self.received_samples + self.concealed_samples + self.paused_samples


class Totals(NamedTuple):
    """The sums over all legs since the receiver was made, those that have ended included, and how it stands now.

    ``lost`` may fall: see ``StreamStats``; all other sums only grow.

    Attributes:
        legs: Legs that are up.
        packets: As in ``StreamStats``, like all that follow up to ``paused_samples``.
        lost: Likewise.
        late: Likewise.
        duplicates: Likewise.
        reordered: Likewise.
        foreign: Likewise.
        malformed: Likewise.
        wrong_payload_type: Likewise.
        unauthentic: Likewise.
        received_samples: Likewise.
        concealed_samples: Likewise.
        paused_samples: Likewise.
        jitter: Mean of the legs that are up, in samples; 0 without legs.
        worst_jitter: The largest of them.
        waiting: Chunks, digits and RTCP packets that wait for ``drain``.
        backlog: How many of them may wait.
        dropped: How many found no room.
    """

    legs: int
    packets: int
    lost: int
    late: int
    duplicates: int
    reordered: int
    foreign: int
    malformed: int
    wrong_payload_type: int
    unauthentic: int
    received_samples: int
    concealed_samples: int
    paused_samples: int
    jitter: float
    worst_jitter: float
    waiting: int
    backlog: int
    dropped: int
