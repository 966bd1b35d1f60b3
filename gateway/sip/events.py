"""What the signalling process tells the gateway: events of dialogs, and how the process itself does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.sip.messages import Message, message


@message
class Ready(Message):
    """The stack listens.

    Attributes:
        version: pjproject's version.
        build: ``"trial"`` (the PyPI wheel, 4 calls, OpenSSL 1.0.2) or ``"work"``.
        capacity: Calls that this build holds at once.
        listening: The bound addresses, as ``udp:127.0.0.1:5060``.
    """

    version: str
    build: str
    capacity: int
    listening: list[str]


@message
class Incoming(Message):
    """An INVITE outside a dialog, not answered yet; an ``Accept`` or a ``Reject`` must follow.

    Attributes:
        dialog: The dialog's number from now on.
        sip_call_id: The Call-ID header.
        from_tag: The caller's tag.
        to_tag: Our own tag; empty here, ``Established`` has it.
        request_uri: As in the request line.
        from_uri: The URI of From.
        to_uri: The URI of To.
        source: Where the packet came from, ``address:port`` (IPv6 in brackets).
        transport: ``udp``, ``tcp`` or ``tls``.
        headers: All headers of the INVITE by lower-case name (long forms), in order of appearance.
        offer: The SDP of the offer; empty for a late offer.
        peer: The name of the peer that it comes from, or of the registration whose registrar sent it.
        recording: A recording session (SIPREC): each of its audio streams is a leg, where of other offers the first is.
        streams: Audio streams that the answer takes, each of which wants a port.
        metadata: The recording metadata in the body (RFC 7865); empty for none.
    """

    dialog: int
    sip_call_id: str
    from_tag: str
    to_tag: str
    request_uri: str
    from_uri: str
    to_uri: str
    source: str
    transport: str
    headers: dict[str, list[str]]
    offer: str
    peer: str = ""
    recording: bool = False
    streams: int = 1
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class StreamMedia:
    """What was negotiated for one audio stream.

    Attributes:
        port: Our RTP port, by which the stream is known.
        label: The stream's label (RFC 4574), which the recording metadata names; empty for none.
        codecs: The G.711 payload types that may arrive, as ``{"8": "alaw"}``: all that the offer named, the answered
            one first. The answer names one (pjsip's negotiator keeps no second), yet senders do switch between them.
        telephone_event: Payload type of RFC 4733 events, -1 when not negotiated.
        comfort_noise: Payload type of RFC 3389 comfort noise that the peer offered, -1 for none.
        remote_address: Where the peer says that it sends from and receives at.
        remote_port: Likewise; 0 when the peer took its stream out.
        held: As *its* SDP says (RFC 3264, section 8.4), the peer does not send (``recvonly``, ``inactive``,
            c=0.0.0.0), or does not listen any more (``sendonly`` after ``sendrecv``).
        srtp: ``{"suite": …, "remote": base64, "local": base64}``: how its packets are decrypted, and ours encrypted
            (RFC 4568); empty for plain RTP.
        sends: We answered that we send, too: the peer expects RTP, be it silence.
        rtcp_port: Where the peer takes RTCP (RFC 3605); 0 for the port above ``remote_port``.
        rtcp_mux: RTCP goes on the RTP port (RFC 5761), as offered and answered.
    """

    port: int
    label: str
    codecs: dict[str, str]
    telephone_event: int
    comfort_noise: int
    remote_address: str
    remote_port: int
    held: bool
    srtp: dict[str, str] = field(default_factory=dict)
    sends: bool = False
    rtcp_port: int = 0
    rtcp_mux: bool = False


@message
class Media(Message):
    """An offer and its answer were exchanged: the first time, and after each re-INVITE or UPDATE.

    Attributes:
        dialog: The dialog's number.
        streams: All streams that hold now; one that was there before and is not among them was taken out.
    """

    dialog: int
    streams: list[StreamMedia]

    def __post_init__(self) -> None:
        """Makes streams of what came as JSON."""
        parts: list[Any] = self.streams
        made = [StreamMedia(**part) if isinstance(part, dict) else part for part in parts]
        object.__setattr__(self, "streams", made)


@message
class Metadata(Message):
    """Recording metadata came with a re-INVITE or an UPDATE (RFC 7866, section 9.1).

    Attributes:
        dialog: The dialog's number.
        text: The XML: all of it again, or what has changed.
    """

    dialog: int
    text: str


@message
class Pressed(Message):
    """A key came by INFO (RFC 6086).

    Attributes:
        dialog: The dialog's number.
        key: One of ``0123456789*#ABCD``.
        duration_ms: How long it was pressed; 0 where the peer does not say.
    """

    dialog: int
    key: str
    duration_ms: int


@message
class Recorded(Message):
    """The peer said by INFO whether the call may be recorded from now on (``Record: off`` and ``on``).

    Attributes:
        dialog: The dialog's number.
        on: Whether it may.
    """

    dialog: int
    on: bool


@message
class Established(Message):
    """The ACK for our 200 came: the dialog is confirmed.

    Attributes:
        dialog: The dialog's number.
        to_tag: Our own tag.
    """

    dialog: int
    to_tag: str = ""


@message
class Ended(Message):
    """The dialog is over; its number may be forgotten.

    Attributes:
        dialog: The dialog's number.
        reason: ``bye`` (the peer hung up), ``cancel``, ``hangup`` (we did), ``refused`` (our ``Reject``) or
            ``failed`` (with ``code`` and ``text``).
        code: The last SIP status code, 0 when none.
        text: Its reason phrase.
    """

    dialog: int
    reason: str
    code: int
    text: str


@message
class Refused(Message):
    """An INVITE that the signalling process refused by itself, before any dialog: unknown peer, draining, full.

    Attributes:
        code: The status that was sent.
        cause: ``unknown_peer``, ``unauthorized`` (wrong credentials), ``full``,
            ``draining`` or ``no_common_codec`` (also for SDP that cannot be read).
        source: Where the packet came from.
    """

    code: int
    cause: str
    source: str


@message
class Offence(Message):
    """Somebody does what no peer does. Each source is told at once, then every ten seconds at most.

    Attributes:
        peer: Where it came from, ``address:port``.
        cause: ``unauthorized`` and ``unknown_peer`` as in ``Refused``, or why the gate dropped it: ``stranger``,
            ``scanner``, ``malformed``, ``flood``, ``blocked``, ``unasked``, ``connection``.
        count: How often since it was told last.
        agent: Its User-Agent, of letters, digits and ``-._/`` alone; empty where it gave none.
    """

    peer: str
    cause: str
    count: int
    agent: str = ""


@message
class Kept(Message):
    """What the gate kept out since it was told last.

    Attributes:
        counts: Messages by cause: those of ``Offence``, and of new calls that got 503 ``draining``, ``full``, ``rate``
            and ``busy``.
    """

    counts: dict[str, int]


@message
class Registered(Message):
    """How a registration stands.

    Attributes:
        name: The registration's.
        registrar: Its URI.
        code: The last status.
        text: Its reason phrase.
        expires: Seconds that it holds; 0 when it does not.
    """

    name: str
    registrar: str
    code: int
    text: str
    expires: int


@message
class Reloaded(Message):
    """The answer to ``Reload``.

    Attributes:
        fault: Why the old certificate stays; empty where the new one is in use.
    """

    fault: str


@message
class Fault(Message):
    """The signalling process cannot go on; it exits after this."""

    text: str


@message
class StackLog(Message):
    """A line of the stack's own log.

    Attributes:
        level: pjlib's: 1 error, 2 warning, 3 info, 4 and more debug.
        text: Without secrets: credentials and keys are cut out.
    """

    level: int
    text: str


@message
class Wire(Message):
    """A SIP message as it came or went, retransmissions too; told where ``Setup.wire`` asks for it.

    Attributes:
        at: Seconds since 1970.
        received: Whether it came.
        transport: ``udp``, ``tcp`` or ``tls``.
        remote: The far end, ``address:port`` (IPv6 in brackets).
        text: The message without secrets, cut short at what the stack's log holds.
        dropped: Messages before this one that were not told, because the gateway was behind.
    """

    at: float
    received: bool
    transport: str
    remote: str
    text: str
    dropped: int = 0


@message
class Pong(Message):
    """The answer to a ``Ping``, from the thread that serves the stack.

    Attributes:
        number: The ping's.
    """

    number: int
