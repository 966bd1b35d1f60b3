"""What the gateway has the signalling process do."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from gateway.sip.messages import Message, message


@message
class Accept(Message):
    """Answer the INVITE with 200.

    Attributes:
        dialog: The dialog's number.
        address: The address that goes into the SDP, our RTP address as the peer must see it.
        ports: Our RTP ports, already bound: one for each of the INVITE's ``streams``. Those beyond are kept for streams
            that the peer adds later.
    """

    dialog: int
    address: str
    ports: list[int]


@message
class Spare(Message):
    """More ports for streams that the peer may add.

    Attributes:
        dialog: The dialog's number.
        ports: Bound RTP ports.
    """

    dialog: int
    ports: list[int]


@message
class Reject(Message):
    """Answer the INVITE with a failure.

    Attributes:
        dialog: The dialog's number.
        code: SIP status, 400 to 699.
        retry_after: Seconds for Retry-After; 0 for none.
    """

    dialog: int
    code: int
    retry_after: int = 0


@message
class Hangup(Message):
    """End the dialog with BYE, or with a failure where it is not answered yet."""

    dialog: int


@message
class Ping(Message):
    """Asks for a ``Pong``: a process that gives none hangs."""

    number: int


@message
class Drain(Message):
    """Take no new calls from now on: 503 with Retry-After."""

    retry_after: int


@message
class Reload(Message):
    """Read the TLS certificate and key anew; connections that stand go on."""


@message
class Stop(Message):
    """Hang up what is left and exit 0."""


@message
class Setup(Message):
    """The first command: everything that the process needs to start listening.

    Attributes:
        listen: Addresses as ``udp:0.0.0.0:5060``.
        advertise: Address for Contact and Via where it differs from the bound one; empty for none.
        peers: Who is answered, as the fields of ``gateway.sip.access.Peer``.
        max_calls: Dialogs at once; beyond, 503.
        retry_after: Seconds that a 503 names.
        user_agent: The User-Agent and Server header.
        log_level: pjlib's level for ``StackLog``.
        realm: Of digest authentication.
        tls: ``certificate``, ``key``, ``ca`` (paths of PEM files; no ``ca``, no client certificates).
        registrations: Where to register, as the fields of ``gateway.sip.registration.Registration``.
        session_seconds: Session-Expires that we ask for and grant (RFC 4028).
        min_session_seconds: The least that we grant.
        nameservers: Numeric addresses; none for the system's resolver, which is waited for.
        wire: Whether every SIP message is told as ``Wire``.
        defence: What is held against others, as the fields of ``gateway.sip.defence.Rules``.
    """

    listen: list[str]
    advertise: str
    peers: list[dict[str, Any]]
    max_calls: int
    retry_after: int
    user_agent: str
    log_level: int = 2
    realm: str = "asr-gateway"
    tls: dict[str, str] = field(default_factory=dict)
    registrations: list[dict[str, Any]] = field(default_factory=list)
    session_seconds: int = 1800
    min_session_seconds: int = 90
    nameservers: list[str] = field(default_factory=list)
    wire: bool = False
    defence: dict[str, Any] = field(default_factory=dict)
