"""The settings of signalling: listeners, peers, registrations, certificates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.addresses import Network, SipAddress, numeric
from gateway.section import Section
from gateway.sip.defence import Rules

Srtp = Literal["off", "optional", "required"]
Direction = Literal["recvonly", "sendrecv"]
RULES = Rules()


class Peer(Section):
    """A PBX or SBC whose calls are answered. Of what is given to know it by, everything must fit.

    Attributes:
        name: For logs and events.
        networks: Its networks, as ``192.0.2.0/24``; none for anywhere.
        tls_subjects: Names in its client certificate, one of which must be there; needs ``sip.tls.ca``.
        username: It authenticates by digest as this user.
        password: With this password.
        srtp: Encrypted RTP with keys in the SDP (RTP/SAVP): refused, taken, or insisted on.
        direction: ``sendrecv`` for a PBX that hangs up when it gets no RTP back: it is sent silence.
        max_calls: Its dialogs at once; beyond, 503. 0 for no limit of its own.
    """

    name: str
    networks: list[Network] = []
    tls_subjects: list[str] = []
    username: str = ""
    password: SecretStr = SecretStr("")
    srtp: Srtp = "off"
    direction: Direction = "recvonly"
    max_calls: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _can_be_known(self) -> Peer:
        if not (self.networks or self.tls_subjects or self.username):
            raise ValueError("nothing to know the peer by: give networks, tls_subjects or username")
        if bool(self.username) != bool(self.password.get_secret_value()):
            raise ValueError("username and password go together")
        return self


class Registration(Section):
    """An extension of a PBX that the gateway registers as.

    Attributes:
        name: For logs and events.
        registrars: Such as ``sip:pbx.example.org`` or ``sip:192.0.2.1:5061;transport=tls``. The first that answers is
            used, the next one when it fails.
        username: The extension, and who authenticates.
        password: By digest.
        domain: Of the address of record, where it is not the first registrar's host.
        expires_seconds: Asked for; it is refreshed before what the registrar granted is over.
        srtp: As a peer's.
        direction: As a peer's.
    """

    name: str
    registrars: Annotated[list[Annotated[str, Field(pattern=r"^sips?:[^\s@<>]+$")]], Field(min_length=1)]
    username: Annotated[str, Field(min_length=1)]
    password: SecretStr = SecretStr("")
    domain: str = ""
    expires_seconds: Annotated[int, Field(ge=30)] = 300
    srtp: Srtp = "off"
    direction: Direction = "recvonly"


class Tls(Section):
    """TLS for signalling.

    Attributes:
        certificate: The PEM file of the server certificate, its chain behind it.
        key: The PEM file of its key.
        ca: The PEM file of the authorities whose client certificates are asked for; empty for no client certificates.
    """

    certificate: str = ""
    key: str = ""
    ca: str = ""


class Defence(Section):
    """What is held against those who are no peers, before their messages are parsed. Needs the pjsua2 for work.

    Who is known calls from a peer's networks, or proved within the last hour who it is, by credentials or certificate.

    Attributes:
        strangers: What becomes of requests from where no peer may call: `silent` drops them, `refuse` answers 403 to
            all of them alike, over UDP. Connections are closed either way.
        scanners: What the User-Agent of scanners begins with; their messages are dropped wherever they come from.
        messages_per_second: Messages of one address that is not known; beyond, they are dropped. Twice as many at once.
        unknown_messages_per_second: Messages of all addresses together that are not known.
        peer_messages_per_second: Messages of one known address.
        calls_per_second: New calls of all peers together; beyond, 503 with Retry-After.
        failed_logins: Wrong credentials within `block_seconds` after which an address is dropped; 0 for never.
        block_seconds: For how long.
    """

    strangers: Literal["silent", "refuse"] = RULES.strangers
    scanners: Annotated[list[Annotated[str, Field(min_length=1, max_length=47)]], Field(max_length=64)] = list(
        RULES.scanners
    )
    messages_per_second: Annotated[int, Field(ge=1, le=100_000)] = RULES.messages_per_second
    unknown_messages_per_second: Annotated[int, Field(ge=1, le=100_000)] = RULES.unknown_messages_per_second
    peer_messages_per_second: Annotated[int, Field(ge=1, le=100_000)] = RULES.peer_messages_per_second
    calls_per_second: Annotated[int, Field(ge=1, le=100_000)] = RULES.calls_per_second
    failed_logins: Annotated[int, Field(ge=0)] = RULES.failed_logins
    block_seconds: Annotated[int, Field(ge=1, le=86400)] = RULES.block_seconds


class Sip(Section):
    """Signalling.

    Attributes:
        listen: Addresses to listen at, each ``udp:``, ``tcp:`` or ``tls:`` and ``ADDRESS:PORT``.
        advertise: Address that peers reach us at, where it differs from the one bound (NAT).
        tls: Certificates, read anew at SIGHUP.
        realm: Of digest authentication.
        peers: Who may call.
        defence: What is held against everybody else.
        registrations: Where the gateway registers as an extension.
        session_seconds: How often a session is refreshed at the least (RFC 4028).
        min_session_seconds: The least of it that a peer may ask for; less gets 422.
        nameservers: Numeric addresses of DNS servers that host names in Contact, Record-Route and registrars are looked
            up at, without holding up anything. With none, the system's resolver is asked, and all of signalling waits
            for its answer: for peers that give addresses.
        max_calls: Dialogs at once; beyond, 503 with Retry-After. The pjsua2 build may hold fewer, and says so at start.
        retry_after: Seconds that a 503 names.
        log_level: How much of the SIP stack's own log is taken: 1 errors to 5 every message.
    """

    listen: Annotated[list[SipAddress], Field(min_length=1)] = ["udp:127.0.0.1:5060"]
    advertise: str = ""
    tls: Tls = Tls()
    realm: str = "asr-gateway"
    peers: list[Peer] = [Peer(name="this machine", networks=["127.0.0.0/8", "::1/128"])]  # type: ignore[list-item]
    defence: Defence = Defence()
    registrations: Annotated[list[Registration], Field(max_length=60)] = []
    session_seconds: Annotated[int, Field(ge=90)] = 1800
    min_session_seconds: Annotated[int, Field(ge=90)] = 90
    nameservers: list[Annotated[str, AfterValidator(numeric)]] = []
    max_calls: Annotated[int, Field(ge=1, le=2000)] = 1000
    retry_after: Annotated[int, Field(ge=1)] = 10
    log_level: Annotated[int, Field(ge=1, le=5)] = 2

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Sip:
        if any(where.startswith("tls:") for where in self.listen) and not (self.tls.certificate and self.tls.key):
            raise ValueError("a tls: address in listen needs tls.certificate and tls.key")
        if any(peer.tls_subjects for peer in self.peers) and not self.tls.ca:
            raise ValueError("tls_subjects of a peer need tls.ca: without it no client certificate is asked for")
        if self.min_session_seconds > self.session_seconds:
            raise ValueError("min_session_seconds is above session_seconds")
        return self
