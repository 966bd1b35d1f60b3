"""The public events: what webhooks carry, versioned and documented in the README.

Events of one call are numbered: ``seq`` starts at 1 and has no gap over the durable events. A partial uses up no
number; it carries the ``seq`` of the durable event that it follows, and a ``revision`` of its own.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field

VERSION = "1"
SAMPLE_RATE = 8000


class _Model(BaseModel):
    # fields that a later version adds are passed over, as every consumer should
    model_config = ConfigDict(frozen=True, extra="ignore")


class SipDialog(_Model):
    """A dialog of a call, for finding it in the logs of PBXs and SBCs.

    Attributes:
        leg: The leg's name.
        call_id: Its Call-ID.
        from_tag: The caller's tag.
        to_tag: Ours.
    """

    leg: str
    call_id: str
    from_tag: str
    to_tag: str


class CallInfo(_Model):
    """The call that an event belongs to, the same in all of its events.

    Attributes:
        id: The gateway's own id of the call.
        sip_call_ids: Call-ID of each dialog of the call, in the order of their legs.
        from_number: User part of P-Asserted-Identity, else of From, of the first leg.
        to_number: User part of To of the first leg.
        headers: Chosen headers of the INVITEs, by lower-case name.
        diverted_from: User part of Diversion (RFC 5806) of the first leg; empty for none.
        user_to_user: The User-to-User header (RFC 7433) of the first leg; empty for none.
        dialogs: The dialog of each leg, in the order of the legs.
        labels: What the operator's system attached to the call; ``call.updated`` says when they change.
    """

    id: str
    sip_call_ids: list[str]
    from_number: str
    to_number: str
    headers: dict[str, str]
    labels: dict[str, str] = {}
    diverted_from: str = ""
    user_to_user: str = ""
    dialogs: list[SipDialog] = []


class LegSeconds(_Model):
    """The completeness report of a leg, in seconds.

    Attributes:
        received: Audio that came off the wire and was used.
        sent: Audio sent to the recogniser.
        recognised: Audio that the engine itself says it processed; None when it does not say.
        withheld: Audio and silence not sent to it.
        lost: Audio lost on the wire, and filled.
        unrecognised: Audio sent of which the recogniser never gave an account, because it was lost.
    """

    received: float
    sent: float
    recognised: float | None
    withheld: float
    lost: float
    unrecognised: float


class LegMedia(_Model):
    """What became of one leg's audio; all in samples, 8000 a second.

    Attributes:
        leg: The leg's name.
        duration: Length of the leg's clock.
        received: Samples that came off the wire and were used.
        concealed: Samples filled for lost packets.
        paused: Samples that the sender did not send (pauses, comfort noise, DTMF).
        sent: Samples sent to the recogniser.
        withheld: Samples not sent to it. ``sent + withheld = duration``, always.
        unrecognised: Samples of which the recogniser never gave an account, because it was lost.
        recognised_seconds: Seconds that the engine itself says it processed; None when it does not say.
        packets: RTP packets received.
        lost: RTP packets lost.
        late: Packets that came too late to be used.
        duplicates: Packets that came twice.
        foreign: Packets dropped because they came from another source or had no negotiated payload type.
    """

    leg: str
    duration: int
    received: int
    concealed: int
    paused: int
    sent: int
    withheld: int
    unrecognised: int
    recognised_seconds: float | None
    packets: int
    lost: int
    late: int
    duplicates: int
    foreign: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def seconds(self) -> LegSeconds:
        """The same as seconds: what to look at first."""
        return LegSeconds(
            received=self.received / SAMPLE_RATE,
            sent=self.sent / SAMPLE_RATE,
            recognised=self.recognised_seconds,
            withheld=self.withheld / SAMPLE_RATE,
            lost=self.concealed / SAMPLE_RATE,
            unrecognised=self.unrecognised / SAMPLE_RATE,
        )


class Missing(_Model):
    """Words of a leg that the transcript may lack.

    Attributes:
        leg: The leg's name.
        cause: ``gateway_stopped`` (in mid-call, by a crash or a kill), ``recogniser_lost`` (audio of which no
            recogniser gave an account) or ``count_differs`` (the engine counted another length than was sent).
        from_ms: Where on the leg's clock words may be missing from; None when that is not known.
        seconds: How much audio; None when nobody can know.
    """

    leg: str
    cause: Literal["gateway_stopped", "recogniser_lost", "count_differs"]
    from_ms: int | None
    seconds: float | None


class Speaker(_Model):
    """Who speaks on a leg, as recording metadata says (SIPREC).

    Attributes:
        aor: Address of record, such as ``sip:bob@example.com``; may be empty.
        name: Display name; likewise.
    """

    aor: str
    name: str


class CallStarted(_Model):
    """The first leg of the call was answered."""

    type: Literal["call.started"] = "call.started"
    leg: str
    codec: str
    speaker: Speaker | None = None


class CallUpdated(_Model):
    """What changed on a call.

    A leg was added or ended, held or resumed by its peer; its audio and keys began or ended to be withheld; the
    recording metadata says anew who speaks on it; or the call was labelled.

    Attributes:
        leg: The leg's name; None when the call as a whole changed.
        change: What happened. After ``labelled`` the new labels are in ``call.labels``.
        speaker: Who speaks on the leg, where recording metadata says so.
    """

    type: Literal["call.updated"] = "call.updated"
    leg: str | None
    change: Literal["leg_added", "leg_ended", "held", "resumed", "withheld", "released", "speaker", "labelled"]
    speaker: Speaker | None = None


class LegQuality(_Model):
    """How good a leg sounded on the wire.

    Attributes:
        leg: The leg's name.
        loss: Share of the packets that were lost or came too late, 0 to 1.
        jitter_ms: Interarrival jitter at the end of the leg (RFC 3550).
        reordered: Packets that came out of order and could still be used.
        drift_ppm: How much faster the sender's clock ran than the gateway's; None for a leg too short to tell.
        mos: Listening quality as the E-model estimates it (ITU-T G.107), 1 to 4.41.
        unauthentic: SRTP packets that failed authentication.
        held_ms: Time on hold.
        withheld_ms: Time of sensitive input.
    """

    leg: str
    loss: float
    jitter_ms: float
    reordered: int
    drift_ppm: float | None
    mos: float
    unauthentic: int
    held_ms: int
    withheld_ms: int


class CallEnded(_Model):
    """The last leg hung up.

    Attributes:
        reason: ``bye``, ``cancel``, ``hangup``, ``rtp_timeout``, ``signalling_lost``, ``failed``, ``stream_removed``,
            ``drained``, or ``gateway_stopped``: the gateway died in mid-call, and says so once it is up again.
        seconds: From the answer to the hang-up; None when nobody can know.
        quality: How good each leg sounded.
    """

    type: Literal["call.ended"] = "call.ended"
    reason: str
    seconds: float | None
    quality: list[LegQuality] = []


class Words(_Model):
    """What was said in one utterance.

    Attributes:
        leg: The leg's name.
        utterance: Number of the utterance on its leg, from 1.
        revision: Counts the texts shown for this utterance, from 1.
        text: The words.
        start_ms: Start on the leg's own clock, milliseconds since its first RTP packet.
        end_ms: End on the same clock.
        time: Wall-clock time of the start.
    """

    leg: str
    utterance: int
    revision: int
    text: str
    start_ms: int
    end_ms: int
    time: datetime


class TranscriptPartial(Words):
    """Words that may still change. Never stored and never repeated; each replaces the one before."""

    type: Literal["transcript.partial"] = "transcript.partial"


class TranscriptFinal(Words):
    """An utterance that is over."""

    type: Literal["transcript.final"] = "transcript.final"


class TranscriptRefined(Words):
    """The recogniser changed the words of an utterance that was already final."""

    type: Literal["transcript.refined"] = "transcript.refined"


class TranscriptCompleted(_Model):
    """All the words of the call, both legs merged by wall clock, and what became of the audio of each leg.

    Attributes:
        utterances: Each in its latest revision, in the order in which they were begun.
        legs: What became of each leg's audio; without the legs of a call in whose midst the gateway stopped.
        complete: Whether the recogniser accounts for all the audio that it was sent.
        missing: What the transcript may lack; empty when it is complete.
    """

    type: Literal["call.transcript.completed"] = "call.transcript.completed"
    utterances: list[Words]
    legs: list[LegMedia]
    complete: bool
    missing: list[Missing] = []


class LegDtmf(_Model):
    """A key was pressed."""

    type: Literal["leg.dtmf"] = "leg.dtmf"
    leg: str
    key: str
    start_ms: int
    duration_ms: int


class AsrDegraded(_Model):
    """A leg is without its recogniser; its words come late, or are missing where the audio could not be kept.

    Attributes:
        leg: The leg's name.
        engine: The engine's name.
        code: The engine's own error code, or a short name such as ``connection_lost``.
        text: What happened.
        retrying: Whether the gateway goes on trying.
    """

    type: Literal["asr.degraded"] = "asr.degraded"
    leg: str
    engine: str
    code: str
    text: str
    retrying: bool


class AsrRecovered(_Model):
    """The leg has a recogniser again.

    Attributes:
        leg: The leg's name.
        engine: The engine's name.
        lost_ms: Audio that could not be kept for it, milliseconds.
    """

    type: Literal["asr.recovered"] = "asr.recovered"
    leg: str
    engine: str
    lost_ms: int


Body = Annotated[
    CallStarted
    | CallUpdated
    | CallEnded
    | TranscriptPartial
    | TranscriptFinal
    | TranscriptRefined
    | TranscriptCompleted
    | LegDtmf
    | AsrDegraded
    | AsrRecovered,
    Field(discriminator="type"),
]


class Event(_Model):
    """One event as a consumer receives it.

    Attributes:
        id: UUIDv7; the same when the event is sent again.
        version: Of this model; a consumer ignores fields that it does not know.
        time: When it happened.
        call: The call.
        seq: Gapless per call over the durable events; for a partial, the number of the one before it.
        data: What happened; ``data.type`` is the event's type.
    """

    id: str
    version: str = VERSION
    time: datetime
    call: CallInfo
    seq: int
    data: Body

    def wire(self) -> bytes:
        """Returns the event as consumers receive it: one JSON object, with ``type`` beside ``data``."""
        fields = self.model_dump(mode="json")
        data = fields.pop("data")
        return json.dumps({"type": data.pop("type"), **fields, "data": data}, ensure_ascii=False).encode()

    @classmethod
    def from_wire(cls, body: bytes) -> Event:
        """Reads what ``wire`` wrote.

        Raises:
            ValueError: The body is not an event.
        """
        fields = json.loads(body)
        try:
            fields["data"] = {"type": fields.pop("type"), **fields["data"]}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("the body is not an event: it needs an object with type and data") from error
        return cls.model_validate(fields)

    @property
    def type(self) -> str:
        """The event's type, such as ``transcript.final``."""
        return self.data.type

    @property
    def durable(self) -> bool:
        """Whether the event is stored before it is sent, and sent until it is acknowledged."""
        return not isinstance(self.data, TranscriptPartial)
