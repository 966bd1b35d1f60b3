"""The settings of the engines that come with the gateway."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.addresses import Address
from gateway.asr.routes import Names
from gateway.section import Section, websocket_url


def _host_and_port(value: str) -> str:
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})", value)
    if match is None or not 0 < int(match[2]) < 65536:
        raise ValueError(f"{value!r} is not HOST:PORT")
    return value


HostAndPort = Annotated[str, AfterValidator(_host_and_port)]


class Yandex(Section):
    """Yandex SpeechKit, API v3 or v2, over gRPC. Give one of the three credentials.

    Attributes:
        api: ``v3``, which the vendor recommends, or ``v2``.
        endpoint: Where the recogniser is.
        tls: Whether the connections are encrypted; off only for a server on this machine.
        ca_file: Certificates to trust in place of the usual ones, PEM.
        api_key: An API key of a service account.
        iam_token: An IAM token; it ends within 12 hours, and nobody renews it.
        service_account_key: The JSON of an authorised key of a service account: IAM tokens are made of it and renewed.
        iam_endpoint: Where IAM tokens are made.
        folder_id: The folder; left out with a service account, whose own is taken.
        languages: Codes such as ``ru-RU`` that are recognised; v2 takes the first.
        model: Model name.
        normalise: Whether finals are followed by a nicer text: numbers as digits, punctuation.
        profanity_filter: Whether swear words are masked.
        literature_text: Whether the normalised text is punctuated as in books.
        eou: How soon an utterance ends in a pause: ``default``, or ``high`` for sooner (v3).
        max_pause_ms: A hint for how long words of one utterance lie apart at most; 0 for the service's own (v3).
        message_ms: Audio in one message; a message goes about every so often.
        replay_speed: How many times faster than real time kept audio is sent again; the service wants about 1.
        session_seconds: Audio in one session, as the service limits it.
        session_bytes: Likewise, bytes of audio.
        idle_seconds: How long the service keeps a session to which nothing is sent.
        idle: On holds and long pauses, ``silence`` keeps the session by saying how long nothing came, ``close`` ends it
            until somebody speaks.
        starts_per_second: Sessions started in a second, as the service limits it.
        streams_per_connection: Sessions that share a connection; servers limit them, most to 100.
    """

    api: Literal["v3", "v2"] = "v3"
    endpoint: HostAndPort = "stt.api.cloud.yandex.net:443"
    tls: bool = True
    ca_file: str = ""
    api_key: SecretStr = SecretStr("")
    iam_token: SecretStr = SecretStr("")
    service_account_key: SecretStr = SecretStr("")
    iam_endpoint: HostAndPort = "iam.api.cloud.yandex.net:443"
    folder_id: str = ""
    languages: Annotated[Names, Field(min_length=1)] = ("ru-RU",)
    model: str = "general"
    normalise: bool = True
    profanity_filter: bool = False
    literature_text: bool = False
    eou: Literal["default", "high"] = "default"
    max_pause_ms: Annotated[int, Field(ge=0, le=5000)] = 0
    message_ms: Annotated[int, Field(ge=20, le=1000, multiple_of=20)] = 200
    replay_speed: Annotated[float, Field(gt=1, le=10)] = 2.0
    session_seconds: Annotated[float, Field(gt=10)] = 300.0
    session_bytes: Annotated[int, Field(gt=160_000)] = 10_000_000
    idle_seconds: Annotated[float, Field(gt=1)] = 5.0
    idle: Literal["silence", "close"] = "silence"
    starts_per_second: Annotated[float, Field(gt=0)] = 40.0
    streams_per_connection: Annotated[int, Field(ge=1, le=1000)] = 50

    @model_validator(mode="after")
    def _one_credential(self) -> Yandex:
        given = [
            name for name in ("api_key", "iam_token", "service_account_key") if getattr(self, name).get_secret_value()
        ]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; one of them is enough")
        return self


class Vosk(Section):
    """A vosk-server, by its WebSocket protocol.

    Attributes:
        url: Its address.
        message_ms: Audio in one message.
    """

    url: Annotated[str, AfterValidator(websocket_url)] = "ws://127.0.0.1:2700"
    message_ms: Annotated[int, Field(ge=20, le=1000, multiple_of=20)] = 200


class Deepgram(Section):
    """Deepgram's streaming recognition, which takes G.711 as it is.

    Attributes:
        url: Its address.
        api_key: The API key.
        model: Model name.
        language: Language code.
        codec: ``native`` sends the leg's G.711 as it is, ``linear16`` decodes it first.
        smart_format: Whether numbers, dates and punctuation are written nicely.
        endpointing_ms: A pause so long ends an utterance.
        utterance_end_ms: So long after the last word an utterance ends even where noise hides the pause; 1000 at least.
        message_ms: Audio in one message.
    """

    url: Annotated[str, AfterValidator(websocket_url)] = "wss://api.deepgram.com/v1/listen"
    api_key: SecretStr = SecretStr("")
    model: str = "nova-3"
    language: str = "ru"
    codec: Literal["native", "linear16"] = "native"
    smart_format: bool = True
    endpointing_ms: Annotated[int, Field(ge=10, le=5000)] = 300
    utterance_end_ms: Annotated[int, Field(ge=1000, le=5000)] = 1000
    message_ms: Annotated[int, Field(ge=20, le=1000, multiple_of=20)] = 100


class Palatine(Section):
    """Palatine's streaming recognition, or any server with its protocol.

    Attributes:
        url: Its address.
        token: The API token.
        auth: ``header`` sends the token as ``Authorization: Bearer``, ``query`` as a URL parameter.
        model: Model name.
        language: ISO code.
        codec: ``native`` sends the leg's G.711 as it is, ``linear16`` decodes it first.
        message_ms: Audio in one message. The service works in blocks of 300 ms: shorter messages bring no word sooner,
            and cost the gateway more.
        silence_ms: Likewise while nobody speaks: nothing waits for it, and the first word ends such a message at once.
            0 for no longer messages then.
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
    message_ms: Annotated[int, Field(ge=20, le=1000, multiple_of=20)] = 300
    silence_ms: Annotated[int, Field(ge=0, le=2000, multiple_of=20)] = 900
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
