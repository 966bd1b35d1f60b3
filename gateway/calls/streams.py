"""What the switchboard keeps of a dialog and of each of its audio streams, and how the receiver is told of a stream."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TypedDict

import structlog

from gateway.calls.call import Call
from gateway.calls.identity import Identity
from gateway.calls.leg import Leg
from gateway.media.chunks import Chunk, Digit
from gateway.media.ports import Lease
from gateway.media.rtcp import Reporter
from gateway.sip.events import Incoming, StreamMedia
from gateway.sip.siprec import MetadataError, Recording

log = structlog.get_logger()


@dataclass(slots=True)
class Stream:
    """An audio stream of a dialog, received at a port of its own, and the leg that it becomes.

    Attributes:
        number: The receiver's and the leg's.
        dialog: Whose stream it is.
        lease: Its ports.
        media: What was negotiated last.
        rtcp: Writes its reports.
        leg: None until the dialog is confirmed.
        early: What came before that.
        ending: Why it ends; empty while it goes on.
        removed: The receiver takes no more of it; its last chunk may still be on its way.
        since: When it became a leg (monotonic seconds).
    """

    number: int
    dialog: Dialog
    lease: Lease
    media: StreamMedia
    rtcp: Reporter
    leg: Leg | None = None
    early: list[Chunk | Digit] = field(default_factory=list)
    ending: str = ""
    removed: bool = False
    since: float = 0.0


@dataclass(slots=True)
class Dialog:
    """A dialog from its INVITE on, and what hangs on it.

    Attributes:
        number: The signalling process's.
        incoming: Its INVITE.
        identity: What the INVITE says about the call.
        recording: What the metadata of a recording session says so far.
        spare: Ports for streams that are not negotiated yet, by number.
        streams: Its streams, by port.
        call: None until it is confirmed.
        established: It is confirmed.
        since: When the INVITE came (monotonic seconds).
        to_tag: Our own tag, once it is confirmed.
        signalling_lost: The signalling process that held it is gone.
        ending: Why we end it; empty while we do not.
    """

    number: int
    incoming: Incoming
    identity: Identity
    recording: Recording
    spare: dict[int, Lease]
    streams: dict[int, Stream] = field(default_factory=dict)
    call: Call | None = None
    established: bool = False
    since: float = field(default_factory=time.monotonic)
    to_tag: str = ""
    signalling_lost: bool = False
    ending: str = ""


def recording_of(incoming: Incoming) -> Recording:
    """Returns what the INVITE's metadata says; what cannot be read is as if it were not there."""
    if incoming.metadata:
        try:
            return Recording().updated(incoming.metadata)
        except MetadataError as error:
            log.warning("metadata_unreadable", sip_call_id=incoming.sip_call_id, text=str(error))
    return Recording()


class Terms(TypedDict):
    """What ``Receiver.add`` and ``update`` take alike."""

    codecs: dict[int, str]
    remote: tuple[str, int] | None
    telephone_event: int
    comfort_noise: int
    rtcp_port: int
    mux: bool
    srtp: tuple[str, bytes, bytes] | None
    keepalive: int


def terms(media: StreamMedia) -> Terms:
    """Returns what was negotiated as the receiver takes it."""
    keys = None
    if media.srtp:
        keys = media.srtp["suite"], base64.b64decode(media.srtp["remote"]), base64.b64decode(media.srtp["local"])
    return {
        "codecs": {int(payload_type): codec for payload_type, codec in media.codecs.items()},
        "remote": (media.remote_address, media.remote_port) if media.remote_port and _numeric(media) else None,
        "telephone_event": media.telephone_event,
        "comfort_noise": media.comfort_noise,
        "rtcp_port": media.rtcp_port,
        "mux": media.rtcp_mux,
        "srtp": keys,
        "keepalive": int(next(iter(media.codecs))) if media.sends and media.codecs else -1,
    }


def _numeric(media: StreamMedia) -> bool:
    """Whether the SDP names a numeric address; where it has a name, the source is learnt from the packets."""
    try:
        ip_address(media.remote_address)
    except ValueError:
        return False
    return True
