"""The settings: TOML file, environment, secrets from files; every fault found at once, with its path.

Every setting may also come from the environment: ``ASR_GATEWAY__ASR__PALATINE__TOKEN`` is ``asr.palatine.token``. A
secret ``x`` may be given as ``x_file``, the path of a file that holds it. Unknown settings are faults.
"""

from __future__ import annotations

import os
import re
import tomllib
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.asr.kinds import Named, named
from gateway.asr.options import Deepgram, Vosk, Yandex
from gateway.asr.routes import Names, Route
from gateway.section import Section, websocket_url

ENV_PREFIX = "ASR_GATEWAY__"


class ConfigError(Exception):
    """The configuration cannot be used.

    Attributes:
        faults: One line each: the path of the setting and what is wrong with it.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _listen_address(value: str) -> str:
    match = re.fullmatch(r"(?:(udp|tcp|tls):)?(\[[0-9a-fA-F:.]+\]|[0-9.]+):(\d{1,5})", value)
    if match is None or int(match[3]) > 65535:
        raise ValueError(f"{value!r} is not ADDRESS:PORT with a numeric address, such as 127.0.0.1:5060 or [::1]:5060")
    ip_address(match[2].strip("[]"))
    return value


def _sip_address(value: str) -> str:
    if not value.startswith(("udp:", "tcp:", "tls:")):
        raise ValueError(f"{value!r} does not name its transport; write udp:ADDRESS:PORT, tcp:… or tls:…")
    return _listen_address(value)


def _plain_address(value: str) -> str:
    if value.startswith(("udp:", "tcp:", "tls:")):
        raise ValueError(f"{value!r} names a transport; write ADDRESS:PORT")
    return _listen_address(value)


def _expression(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return value


def _numeric(value: str) -> str:
    ip_address(value)
    return value


def _pattern(value: str) -> str:
    groups = re.compile(_expression(value)).groupindex
    if value and not {"call", "leg"} <= set(groups):
        raise ValueError("the pattern needs the groups (?P<call>…) and (?P<leg>…)")
    return value


def _http_url(value: str) -> str:
    if not re.match(r"https?://[^/\s]+", value):
        raise ValueError(f"{value!r} is not an http:// or https:// URL")
    return value


def _network(value: Any) -> IPv4Network | IPv6Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ip_network(str(value))
    except ValueError as error:
        raise ValueError(f"{error}; write a network such as 192.0.2.0/24 or an address") from error


# one validator in place of pydantic's union, which reports the same fault twice under two names
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network), PlainSerializer(str)]


SipAddress = Annotated[str, AfterValidator(_sip_address)]
Address = Annotated[str, AfterValidator(_plain_address)]
Port = Annotated[int, Field(ge=1, le=65535)]


Srtp = Literal["off", "optional", "required"]
Direction = Literal["recvonly", "sendrecv"]


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
    """

    name: str
    networks: list[Network] = []
    tls_subjects: list[str] = []
    username: str = ""
    password: SecretStr = SecretStr("")
    srtp: Srtp = "off"
    direction: Direction = "recvonly"

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


class Sip(Section):
    """Signalling.

    Attributes:
        listen: Addresses to listen at, each ``udp:``, ``tcp:`` or ``tls:`` and ``ADDRESS:PORT``.
        advertise: Address that peers reach us at, where it differs from the one bound (NAT).
        tls: Certificates, read anew at SIGHUP.
        realm: Of digest authentication.
        peers: Who may call; everybody else gets 403.
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
    registrations: Annotated[list[Registration], Field(max_length=60)] = []
    session_seconds: Annotated[int, Field(ge=90)] = 1800
    min_session_seconds: Annotated[int, Field(ge=90)] = 90
    nameservers: list[Annotated[str, AfterValidator(_numeric)]] = []
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


class Media(Section):
    """RTP.

    Attributes:
        address: Numeric address that RTP ports are bound at.
        advertise: Address written into the SDP where it differs from ``address``.
        port_min: First port of the range; each leg takes an even port and the one above it.
        port_max: Last port of the range.
        quarantine_seconds: How long a released port rests, so that stray packets of an old call meet no new one.
        reorder_ms: How long a missing packet is waited for; 0 for not at all.
        conceal_ms: Loss up to this long is filled by repeating and fading; the rest of it by silence.
        pause_fill_ms: A pause of the sender up to this long is streamed as silence; of a longer one, only this much.
        tick_ms: How often the receiver looks at its sockets; 0 for at each packet, which costs more.
        learn_seconds: How long after the answer RTP from another address than the signalled one may be learnt (NAT); 0
            for never. Whoever guesses the port in that time may be heard until the right one sends.
        rtcp: Whether receiver reports are sent.
        recordings: A folder in which every call is recorded, in its codec, one leg a channel; empty for none. What is
            withheld is silence there.
    """

    address: str = "127.0.0.1"
    advertise: str = ""
    port_min: Port = 16384
    port_max: Port = 20479
    quarantine_seconds: Annotated[float, Field(ge=0)] = 2.0
    reorder_ms: Annotated[int, Field(ge=0, le=500)] = 40
    conceal_ms: Annotated[int, Field(ge=0, le=1000)] = 60
    pause_fill_ms: Annotated[int, Field(ge=0, le=60000)] = 2000
    tick_ms: Annotated[int, Field(ge=0, le=20)] = 5
    learn_seconds: Annotated[float, Field(ge=0, le=3600)] = 10.0
    rtcp: bool = True
    recordings: str = ""

    @model_validator(mode="after")
    def _range(self) -> Media:
        ip_address(self.address)
        if self.port_max < self.port_min + 1:
            raise ValueError("port_max leaves no pair of ports above port_min")
        return self


class Role(Section):
    """A rule that names a leg of a recording session (SIPREC) by its participant.

    Attributes:
        role: The leg's name, such as ``agent``.
        aor: Regular expression that is looked for in the address of record, such as ``^sip:1``; empty for none.
        name: Likewise in the display name.
    """

    role: Annotated[str, Field(pattern=r"^[\w.@+-]{1,64}$")]
    aor: Annotated[str, AfterValidator(_expression)] = ""
    name: Annotated[str, AfterValidator(_expression)] = ""


class Calls(Section):
    """How dialogs become calls.

    Attributes:
        call_header: Dialogs whose INVITEs carry the same value here are legs of one call; empty for never.
        leg_header: The leg's name, such as ``caller`` or ``agent``.
        uri_pattern: Regular expression on the user part of the request URI with the groups ``call`` and ``leg``, for
            PBXs that cannot add headers; empty for none.
        roles: How legs of recording sessions are named; the first rule that matches counts, and where none does the
            leg is named by the participant's own address or name.
        headers: Headers of the INVITE that go into the events.
        mask_numbers: Whether telephone numbers are masked in events, the last three digits excepted; routes still see
            them whole.
        rtp_timeout_seconds: A leg that is not on hold and gets no RTP for so long ends; 0 for never.
        lost_seconds: A leg whose dialog was lost with the signalling process goes on by its RTP, and ends when it gets
            none for so long, on hold or not.
        linger_seconds: How long a grouped call waits for another leg after the last one ended.
        drain_seconds: How long calls that are up may go on after the gateway was asked to stop.
        pause_code: Keys (RFC 4733) on a leg from which on its audio and keys are withheld from recogniser, store, log
            and consumers, such as ``*9``; empty for none.
        resume_code: Keys that end that.
    """

    call_header: str = "X-Call-Id"
    leg_header: str = "X-Call-Leg"
    uri_pattern: Annotated[str, AfterValidator(_pattern)] = ""
    roles: list[Role] = []
    headers: list[str] = []
    mask_numbers: bool = False
    rtp_timeout_seconds: Annotated[float, Field(ge=0)] = 60.0
    lost_seconds: Annotated[float, Field(gt=0)] = 10.0
    linger_seconds: Annotated[float, Field(ge=0)] = 0.5
    drain_seconds: Annotated[float, Field(ge=0)] = 30.0
    pause_code: Annotated[str, Field(pattern=r"^[0-9*#A-D]{0,16}$")] = ""
    resume_code: Annotated[str, Field(pattern=r"^[0-9*#A-D]{0,16}$")] = ""

    @model_validator(mode="after")
    def _codes(self) -> Calls:
        if bool(self.pause_code) != bool(self.resume_code):
            raise ValueError("pause_code and resume_code go together: set both, or neither")
        return self


class Palatine(Section):
    """Palatine's streaming recognition, or any server with its protocol.

    Attributes:
        url: Its address.
        token: The API token.
        auth: ``header`` sends the token as ``Authorization: Bearer``, ``query`` as a URL parameter.
        model: Model name.
        language: ISO code.
        codec: ``native`` sends the leg's G.711 as it is, ``linear16`` decodes it first.
        message_ms: Audio in one message; the service works in blocks of 300 ms.
        session_seconds: Audio in one session, where the server limits it; 0 where it does not.
        starts_per_second: Sessions started in a second at most.
        idle: ``keep`` leaves sessions open on hold and while nobody speaks; ``close`` ends them until somebody does.
    """

    url: Annotated[str, AfterValidator(websocket_url)] = "wss://api.palatine.ru/api/v1/stream/asr"
    token: SecretStr = SecretStr("")
    auth: Literal["header", "query"] = "header"
    model: str = "palatine_stream"
    language: str = "ru"
    codec: Literal["native", "linear16"] = "native"
    message_ms: Annotated[int, Field(ge=20, le=1000, multiple_of=20)] = 100
    session_seconds: Annotated[float, Field(ge=0)] = 0.0
    starts_per_second: Annotated[float, Field(gt=0)] = 100.0
    idle: Literal["keep", "close"] = "keep"


class Embedded(Section):
    """The recogniser that comes with the gateway (English).

    Attributes:
        listen: Where it serves; the gateway starts it, and again should it die.
        token: What clients must show; empty for one made at each start.
        max_sessions: Legs at once; a further one is refused.
    """

    listen: Address = "127.0.0.1:8089"
    token: SecretStr = SecretStr("")
    max_sessions: Annotated[int, Field(ge=1)] = 8


# What [asr.engines.NAME] may be of, besides the kinds of third parties.
ENGINE_KINDS: dict[str, type[Section]] = {"palatine": Palatine, "yandex": Yandex, "vosk": Vosk, "deepgram": Deepgram}


def _named(values: Any) -> Any:
    return named(values, ENGINE_KINDS)


class Asr(Section):
    """Recognition.

    Attributes:
        engine: Which engine recognises: ``embedded``, ``palatine``, ``yandex``, ``vosk``, ``deepgram``, or the name of
            one of ``asr.engines``; or a list of them in order of preference.
        connect_seconds: How long opening a session may take.
        finish_seconds: How long after the hang-up the engine's last words are waited for.
        replay_seconds: Audio kept for a new session should the engine be lost; older audio is given up and reported.
        retry_first_seconds: Wait before the first new attempt; it doubles, with jitter, up to ``retry_max_seconds``.
        retry_max_seconds: The longest wait between attempts.
        failover_seconds: An engine that has not come back after so long is replaced by the next in the list; one that
            refuses for good at once. New calls begin with the first engine that is not known to fail.
        stall_seconds: A session that takes no audio, or says nothing of so much speech, is lost.
        catch_up_seconds: A backlog that has not drained after so long is given up but for its last 2 s, and reported.
        rollover_window_seconds: So long before an engine's limit the next pause of speech moves to a new session.
        rollover_margin_seconds: So long before the limit the move waits for no pause.
        rollover_overlap_seconds: Audio that both sessions hear then, so that every word is whole in one of them.
        idle_close_seconds: Without speech for so long, sessions of engines whose rule is to close are closed.
        preroll_ms: Audio from before the first speech that such a session gets when it is opened again.
        routes: Who recognises which legs; the first that matches wins.
        engines: More engines, by name: ``kind`` and the settings of that kind.
    """

    engine: Annotated[Names, NoDecode, Field(min_length=1)] = ("embedded",)
    connect_seconds: Annotated[float, Field(gt=0)] = 5.0
    finish_seconds: Annotated[float, Field(gt=0)] = 15.0
    replay_seconds: Annotated[float, Field(ge=1, le=300)] = 45.0
    retry_first_seconds: Annotated[float, Field(gt=0)] = 0.25
    retry_max_seconds: Annotated[float, Field(gt=0)] = 5.0
    failover_seconds: Annotated[float, Field(ge=0)] = 10.0
    stall_seconds: Annotated[float, Field(ge=1)] = 15.0
    catch_up_seconds: Annotated[float, Field(ge=1)] = 30.0
    rollover_window_seconds: Annotated[float, Field(ge=0)] = 30.0
    rollover_margin_seconds: Annotated[float, Field(ge=1)] = 5.0
    rollover_overlap_seconds: Annotated[float, Field(ge=0, le=5)] = 2.0
    idle_close_seconds: Annotated[float, Field(ge=1)] = 20.0
    preroll_ms: Annotated[int, Field(ge=0, le=5000)] = 600
    palatine: Palatine = Palatine()
    embedded: Embedded = Embedded()
    yandex: Yandex = Yandex()
    vosk: Vosk = Vosk()
    deepgram: Deepgram = Deepgram()
    routes: list[Route] = []
    engines: dict[
        Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")], Annotated[Named, BeforeValidator(_named)]
    ] = {}

    def kind_of(self, engine: str) -> str:
        """Returns the kind of an engine."""
        return self.engines[engine].kind if engine in self.engines else engine

    @model_validator(mode="after")
    def _engines_exist(self) -> Asr:
        built_in = ["embedded", *ENGINE_KINDS]
        if twice := [name for name in self.engines if name in built_in]:
            raise ValueError(f"engines.{twice[0]}: that name is taken by the engine that comes with the gateway")
        names = [route.name for route in self.routes]
        if same := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"routes share a name: {', '.join(same)}")
        known = [*built_in, *self.engines]
        lists = [("engine", self.engine)]
        lists += [(f"routes[{number}].engine", route.engine) for number, route in enumerate(self.routes)]
        for path, wanted in lists:
            if unknown := [name for name in wanted if name not in known]:
                raise ValueError(f"{path}: there is no engine {unknown[0]!r}; there are {', '.join(known)}")
        for number, route in enumerate(self.routes):
            kinds = {self.kind_of(name) for name in route.engine or self.engine}
            if route.model and len(kinds) > 1:
                raise ValueError(
                    f"routes[{number}].model: {', '.join(sorted(kinds))} share no models; "
                    "give the engines models of their own in [asr.engines.NAME]"
                )
        return self


class Transcripts(Section):
    """Utterances.

    Attributes:
        pause_ms: A pause of speech this long ends an utterance.
        settle_ms: An utterance is final when, after the pause, the engine says the same text again, or nothing for
            so long.
        max_utterance_seconds: A longer one is cut at its best pause.
    """

    pause_ms: Annotated[int, Field(ge=100)] = 700
    settle_ms: Annotated[int, Field(ge=0)] = 1500
    max_utterance_seconds: Annotated[float, Field(ge=2)] = 30.0


class Outlet(Section):
    """A way out for events: what all kinds have in common.

    Attributes:
        name: For logs, metrics and replays; differs from the names of all others.
        events: Types that it wants, with ``*`` as wildcard.
        timeout_seconds: A request that takes longer has failed.
        concurrency: Calls delivered side by side; the events of one call always go one after the other.
        retry_seconds: Waits between attempts, each with jitter; after the last the event is a dead letter.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    events: Annotated[list[str], Field(min_length=1)] = ["*"]
    timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 16
    retry_seconds: list[Annotated[float, Field(gt=0)]] = [1, 2, 5, 15, 60, 300, 900, 3600, 3600, 7200, 14400]


class Endpoint(Outlet):
    """A consumer of webhooks.

    Attributes:
        url: Where events are posted.
        secret: The Standard Webhooks secret: ``whsec_`` and base64 of 24 to 64 bytes, or, for ed25519 signatures,
            ``whsk_`` and base64 of the private key.
        other_secret: A second one of either kind, while one replaces the other: messages are signed with both.
        headers: Sent with every request, such as an Authorization that a proxy in between wants.
        tls_ca: PEM file of the authorities that are trusted instead of the system's.
        tls_certificate: PEM file of the certificate that the gateway shows (mutual TLS).
        tls_key: PEM file of its key, where that is not in the same file.
    """

    url: Annotated[str, AfterValidator(_http_url)]
    secret: SecretStr
    other_secret: SecretStr | None = None
    headers: dict[Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")], SecretStr] = {}
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    @property
    def secrets(self) -> list[SecretStr]:
        """All the secrets that messages are signed with."""
        return [self.secret, *([self.other_secret] if self.other_secret else [])]

    @model_validator(mode="after")
    def _is_usable(self) -> Endpoint:
        from gateway.delivery import tls
        from gateway.delivery.signing import SigningError, signer

        for name in ("secret", "other_secret"):
            secret = getattr(self, name)
            try:
                if secret is not None:
                    signer(secret.get_secret_value())
            except SigningError as error:
                raise ValueError(f"{name}: {error}") from error
        for name, value in self.headers.items():
            if name.lower().startswith("webhook-") or name.lower() in ("host", "content-length", "content-type"):
                raise ValueError(f"headers: {name} is the gateway's own")
            if any(ord(mark) < 32 or ord(mark) == 127 for mark in value.get_secret_value()):
                raise ValueError(f"headers: {name} holds a line break or another control character")
        if self.tls_key is not None and self.tls_certificate is None:
            raise ValueError("tls_key is of no use without tls_certificate")
        try:
            tls.context(self)
        except OSError as error:
            raise ValueError(f"tls_ca, tls_certificate or tls_key cannot be used: {error}") from error
        return self


class NatsOutlet(Outlet):
    """A NATS JetStream stream.

    Attributes:
        url: The server; several are separated by commas. Credentials belong into ``token`` or ``credentials``.
        subject: Events are published under ``SUBJECT.CALL.TYPE``, dots of the type written as underscores.
        stream: The stream that must hold these subjects; made with a deduplication window of two minutes when missing.
        token: The server's token, where it wants one.
        credentials: A NATS credentials file, where it wants that.
    """

    url: Annotated[str, Field(pattern=r"^(nats|tls|wss?)://[^\s@]+$")]
    subject: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")] = "asr"
    stream: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "ASR"
    token: SecretStr | None = None
    credentials: Path | None = None


class LinesOutlet(Outlet):
    """A file, or the standard output, that gets each event as a line of JSON.

    Attributes:
        path: The file, made when missing and opened anew after it was moved away; ``-`` for the standard output.
    """

    path: str


class Delivery(Section):
    """The outbox, and the ways out of it.

    Attributes:
        database: The SQLite file; its folder is made when missing. No two gateways may share it.
        endpoints: Who gets the events by webhook.
        nats: JetStream streams that get them.
        lines: Files that get them.
        partial_seconds: A partial older than this is not sent any more.
        keep_days: How long delivered events, and the transcripts in them, are kept.
        keep_megabytes: How large the database may become. Beyond it the oldest events go: first those that nobody
            waits for, then the others, which is logged and counted.
    """

    database: Path = Path("var/outbox.db")
    endpoints: list[Endpoint] = []
    nats: list[NatsOutlet] = []
    lines: list[LinesOutlet] = []
    partial_seconds: Annotated[float, Field(gt=0)] = 3.0
    keep_days: Annotated[float, Field(gt=0)] = 7.0
    keep_megabytes: Annotated[int, Field(ge=1)] = 4096

    @property
    def outlets(self) -> list[Outlet]:
        """All ways out."""
        return [*self.endpoints, *self.nats, *self.lines]

    @model_validator(mode="after")
    def _names_differ(self) -> Delivery:
        names = [outlet.name for outlet in self.outlets]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"endpoints share a name: {', '.join(twice)}")
        return self


class Telemetry(Section):
    """Logs and metrics.

    Attributes:
        metrics: Where Prometheus scrapes; empty for nowhere.
        log_level: The lowest level that is logged.
        log_format: ``auto`` is for people on a terminal and JSON elsewhere.
        log_transcripts: Whether recognised words may be logged (at debug level).
        log_numbers: Whether phone numbers may be logged.
    """

    metrics: Address | Literal[""] = "127.0.0.1:9464"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    log_transcripts: bool = False
    log_numbers: bool = False


WebRole = Literal["view", "operate", "admin"]


class WebToken(Section):
    """Who may use the API and the live page.

    Attributes:
        name: For the audit log.
        role: `view` sees calls and transcripts; `operate` also hangs up and pauses; `admin` also drains, sets the log
            level and sees the configuration.
        token: What is shown as `Authorization: Bearer`; at least 16 characters.
    """

    name: str
    role: WebRole
    token: SecretStr

    @model_validator(mode="after")
    def _long_enough(self) -> WebToken:
        if len(self.token.get_secret_value()) < 16:
            raise ValueError("token: give it at least 16 characters, such as from `openssl rand -hex 24`")
        return self


class Web(Section):
    """The API, the live page and health.

    Attributes:
        listen: Where they are served; empty for nowhere. Elsewhere than on loopback, tokens are required, and a
            certificate or `behind_proxy`.
        anonymous: What those may do who show no token, on loopback and where no tokens are set; `none` for nothing.
        tokens: Who may do what.
        certificate: PEM file with the certificate and its chain, for HTTPS; empty for HTTP.
        key: PEM file with its private key.
        behind_proxy: Serve plain HTTP elsewhere than on loopback, because a proxy before it does TLS.
        hosts: Names by which browsers reach it, besides addresses; others are refused (DNS rebinding).
        max_viewers: Streams at once; a further one gets 503.
    """

    listen: Address | Literal[""] = "127.0.0.1:8080"
    anonymous: Literal["none", "view", "operate", "admin"] = "view"
    tokens: list[WebToken] = []
    certificate: str = ""
    key: str = ""
    behind_proxy: bool = False
    hosts: list[str] = ["localhost"]
    max_viewers: Annotated[int, Field(ge=1, le=10000)] = 200

    @model_validator(mode="after")
    def _safe_elsewhere(self) -> Web:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key go together: set both, or neither")
        if not self.listen or ip_address(self.listen.rsplit(":", 1)[0].strip("[]")).is_loopback:
            return self
        if not self.tokens:
            raise ValueError(f"listen: {self.listen} is no loopback address: set web.tokens first")
        if not (self.certificate or self.behind_proxy):
            raise ValueError(
                f"listen: {self.listen} is no loopback address: set certificate and key, or behind_proxy = true where "
                "a proxy does TLS"
            )
        return self


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, case_sensitive=False
    )

    sip: Sip = Sip()
    media: Media = Media()
    calls: Calls = Calls()
    asr: Asr = Asr()
    transcripts: Transcripts = Transcripts()
    delivery: Delivery = Delivery()
    telemetry: Telemetry = Telemetry()
    web: Web = Web()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (the base class names these parameters)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file, whose tables come in as arguments."""
        return env_settings, init_settings

    def shown(self) -> dict[str, Any]:
        """Returns the effective settings as plain values, secrets masked."""
        return self.model_dump(mode="json")


def _unknown_environment() -> list[str]:
    sections = {name.upper() for name in Settings.model_fields}
    return [
        f"{name}: no section {name.removeprefix(ENV_PREFIX).split('__')[0].lower()!r}; "
        f"the sections are {', '.join(sorted(Settings.model_fields))}"
        for name in os.environ
        if name.upper().startswith(ENV_PREFIX) and name.upper().removeprefix(ENV_PREFIX).split("__")[0] not in sections
    ]


def load(path: Path | None) -> Settings:
    """Reads the configuration.

    Args:
        path: The TOML file; None for defaults and environment alone.

    Returns:
        The settings.

    Raises:
        ConfigError: With all faults at once.
    """
    tables: dict[str, Any] = {}
    if path is not None:
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError([f"{path}: {error.strerror}"]) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError([f"{path}: not TOML: {error}"]) from error
    faults = _unknown_environment()
    try:
        settings = Settings(**tables)
    except ValidationError as error:
        faults += [_fault(item["loc"], item["msg"], item["type"]) for item in error.errors()]
    if faults:
        raise ConfigError(faults)
    return settings


def _fault(location: tuple[int | str, ...], text: str, kind: str) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    if kind == "extra_forbidden":
        text = "no such setting"
    return f"{path}: {text.removeprefix('Value error, ')}"
