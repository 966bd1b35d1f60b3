"""The settings of the outbox and of the ways out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.addresses import http_url
from gateway.section import Section


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

    url: Annotated[str, AfterValidator(http_url)]
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
