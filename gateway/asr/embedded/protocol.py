"""Palatine's streaming protocol as its server speaks it: the query of the handshake and the JSON messages.

Follows "Потоковый API" of Palatine's documentation. The documentation names four close codes of its own; an error that
has none of them closes with 4000. It has no error code for a sample rate or a number of channels that is not
supported; they are answered like a codec, because nothing but another audio format helps.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit

PATH = "/api/v1/stream/asr"
MODEL = "moonshine-tiny-en"
LANGUAGE = "en"
CODECS = ("linear16", "alaw", "mulaw")
SAMPLE_RATES = (8000, 16000)
DEFAULT_SAMPLE_RATE = 48000
RECOMMENDED_CODEC = "linear16"
MAX_QUERY_FIELDS = 32


class ErrorCode(StrEnum):
    """The documented error codes."""

    AUTH = "AUTH_ERROR"
    UNSUPPORTED_CODEC = "UNSUPPORTED_CODEC"
    DECODE = "DECODE_ERROR"
    ML_SERVICE = "ML_SERVICE_ERROR"
    PROCESSING = "PROCESSING_ERROR"
    INTERNAL = "INTERNAL_ERROR"


CLOSE_NORMAL = 1000
CLOSE_INTERNAL = 4000
CLOSE_CODES = {ErrorCode.AUTH: 4001, ErrorCode.ML_SERVICE: 4002, ErrorCode.UNSUPPORTED_CODEC: 4003}


class ProtocolError(Exception):
    """The session ends with an ``error`` message.

    Attributes:
        code: The documented error code.
        message: What happened, for a person; holds no secret.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def close_code(self) -> int:
        """The WebSocket close code that goes with the error."""
        return CLOSE_CODES.get(self.code, CLOSE_INTERNAL)


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for.

    Attributes:
        codec: One of ``CODECS``.
        sample_rate: One of ``SAMPLE_RATES``, in Hz.
        language: As the client named it; the recogniser has English only and says so in ``config``.
    """

    codec: str
    sample_rate: int
    language: str


def read_request(target: str, authorization: str | None, token: str) -> Request:
    """Reads the handshake of a client.

    Args:
        target: The request target: path and query.
        authorization: The ``Authorization`` header, if any. It takes precedence over the query's token.
        token: The token that clients must show.

    Returns:
        What the client asks for.

    Raises:
        ProtocolError: The token is wrong, the query is malformed, or the audio format is not supported.
    """
    query = urlsplit(target).query
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS
        )
    except ValueError:
        if query:
            raise ProtocolError(
                ErrorCode.PROCESSING, "Malformed query: it must be name=value pairs joined by &, percent-encoded UTF-8"
            ) from None
        pairs = []
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ProtocolError(ErrorCode.PROCESSING, "Malformed query: a parameter is given more than once")
    if not _authorised(fields.get("token"), authorization, token):
        raise ProtocolError(ErrorCode.AUTH, "Unauthorized: Invalid or missing token")
    return Request(
        codec=_codec(fields.get("codec", RECOMMENDED_CODEC)),
        sample_rate=_sample_rate(fields.get("sample_rate", str(DEFAULT_SAMPLE_RATE)), fields.get("channels", "1")),
        language=fields.get("language", "ru"),
    )


def _authorised(query_token: str | None, authorization: str | None, token: str) -> bool:
    shown = query_token or ""
    if authorization is not None:
        scheme, _, credentials = authorization.partition(" ")
        shown = credentials.strip() if scheme.lower() == "bearer" else ""
    same = hmac.compare_digest(shown.encode(errors="surrogateescape"), token.encode(errors="surrogateescape"))
    return same and bool(token)


def _codec(value: str) -> str:
    if value not in CODECS:
        raise ProtocolError(
            ErrorCode.UNSUPPORTED_CODEC, f"Unsupported codec {value[:40]!r}: the codecs are {', '.join(CODECS)}"
        )
    return value


def _sample_rate(value: str, channels: str) -> int:
    rates = {str(rate): rate for rate in SAMPLE_RATES}
    if value not in rates:
        raise ProtocolError(
            ErrorCode.UNSUPPORTED_CODEC,
            f"Unsupported sample_rate {value[:40]!r}: the rates are {' and '.join(rates)}, "
            f"and {DEFAULT_SAMPLE_RATE} is taken where none is given",
        )
    if channels != "1":
        raise ProtocolError(ErrorCode.UNSUPPORTED_CODEC, f"Unsupported channels {channels[:40]!r}: only 1 is supported")
    return rates[value]


def config(request: Request) -> str:
    """Returns the first message of a session, which says what really is in use."""
    return _message(
        type="config",
        model=MODEL,
        sample_rate=request.sample_rate,
        channels=1,
        format=request.codec,
        language=LANGUAGE,
        recommended_codec=RECOMMENDED_CODEC,
        supported_codecs=CODECS,
        supported_sample_rates=SAMPLE_RATES,
    )


def partial(chunk_text: str, full_text: str, processed_ms: int) -> str:
    """Returns a result message.

    Args:
        chunk_text: The words that are new in it.
        full_text: All the words of the session so far.
        processed_ms: Audio that they cover; an extension of the protocol, which others ignore.
    """
    return _message(type="partial", chunk_text=chunk_text, full_text=full_text, processed_ms=processed_ms)


def final(total_duration: float) -> str:
    """Returns the last message of a session that went well.

    Args:
        total_duration: Audio processed, seconds.
    """
    return _message(type="final", status="completed", total_duration=total_duration)


def error(failure: ProtocolError) -> str:
    """Returns the last message of a session that failed."""
    return _message(type="error", message=failure.message, code=failure.code.value)


def _message(**fields: object) -> str:
    return json.dumps(fields, ensure_ascii=False)
