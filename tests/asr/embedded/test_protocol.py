from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.asr.embedded import protocol
from gateway.asr.embedded.protocol import PATH, ErrorCode, ProtocolError, Request, read_request

TOKEN = "s3cret"
BEARER = f"Bearer {TOKEN}"


def refusal(target, authorization=BEARER, token=TOKEN):
    with pytest.raises(ProtocolError) as caught:
        read_request(target, authorization, token)
    return caught.value


def test_reads_what_is_asked():
    target = f"{PATH}?token={TOKEN}&model=palatine_stream&language=en&sample_rate=8000&codec=alaw&channels=1"
    assert read_request(target, None, TOKEN) == Request("alaw", 8000, "en")


def test_the_documented_defaults():
    assert read_request(f"{PATH}?sample_rate=16000", BEARER, TOKEN) == Request("linear16", 16000, "ru")


def test_the_documented_default_rate_is_not_supported():
    error = refusal(PATH)
    assert (error.code, error.close_code) == (ErrorCode.UNSUPPORTED_CODEC, 4003)
    assert "8000 and 16000" in error.message


@pytest.mark.parametrize(
    ("query", "authorization"),
    [
        ("", None),
        ("token=", None),
        ("token=wrong", None),
        (f"token={TOKEN}x", None),
        (f"token={TOKEN}", "Bearer wrong"),
        (f"token={TOKEN}", f"Basic {TOKEN}"),
        ("", "Bearer"),
        ("", TOKEN),
        ("token=%C3%A9", None),
    ],
)
def test_a_wrong_token_comes_first_of_all_faults(query, authorization):
    error = refusal(f"{PATH}?codec=g729&{query}".rstrip("&"), authorization)
    assert (error.code, error.close_code) == (ErrorCode.AUTH, 4001)
    assert error.message == "Unauthorized: Invalid or missing token"


def test_an_empty_token_of_the_server_lets_nobody_in():
    assert refusal(f"{PATH}?token=", None, "").code is ErrorCode.AUTH


def test_the_scheme_is_case_insensitive():
    assert read_request(f"{PATH}?sample_rate=8000", f"bearer {TOKEN}", TOKEN).sample_rate == 8000


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("codec=opus&sample_rate=8000", "opus"),
        ("codec=&sample_rate=8000", "codec"),
        ("codec=ALAW&sample_rate=8000", "ALAW"),
        ("codec=alaw&sample_rate=44100", "44100"),
        ("codec=alaw&sample_rate=8000.0", "8000.0"),
        ("codec=alaw&sample_rate=many", "many"),
        ("codec=alaw&sample_rate=8000&channels=2", "channels"),
    ],
)
def test_an_audio_format_that_is_not_supported(query, named):
    error = refusal(f"{PATH}?{query}")
    assert (error.code, error.close_code) == (ErrorCode.UNSUPPORTED_CODEC, 4003)
    assert named in error.message


@pytest.mark.parametrize(
    "query", ["sample_rate", "codec=%FF&sample_rate=8000", "codec=alaw&codec=mulaw", "&".join(["a=1"] * 40)]
)
def test_a_malformed_query(query):
    error = refusal(f"{PATH}?{query}")
    assert (error.code, error.close_code) == (ErrorCode.PROCESSING, 4000)
    assert error.message.startswith("Malformed query")


@given(
    st.text(max_size=60), st.none() | st.text(max_size=20), st.dictionaries(st.text(max_size=9), st.text(max_size=9))
)
def test_no_handshake_crashes_it_and_no_token_is_told(tail, authorization, fields):
    for target in (f"{PATH}?{tail}", f"{PATH}?{urlencode(fields)}"):
        error = refusal(target, authorization, "the-secret-token-itself")
        assert "the-secret-token-itself" not in error.message
        assert error.code in {ErrorCode.AUTH, ErrorCode.PROCESSING}


@pytest.mark.parametrize(
    ("code", "close_code"),
    [
        (ErrorCode.AUTH, 4001),
        (ErrorCode.ML_SERVICE, 4002),
        (ErrorCode.UNSUPPORTED_CODEC, 4003),
        (ErrorCode.DECODE, 4000),
        (ErrorCode.PROCESSING, 4000),
        (ErrorCode.INTERNAL, 4000),
    ],
)
def test_close_codes(code, close_code):
    assert ProtocolError(code, "").close_code == close_code


def test_messages_have_the_documented_fields():
    assert json.loads(protocol.config(Request("mulaw", 8000, "ru"))) == {
        "type": "config",
        "model": "moonshine-tiny-en",
        "sample_rate": 8000,
        "channels": 1,
        "format": "mulaw",
        "language": "en",
        "recommended_codec": "linear16",
        "supported_codecs": ["linear16", "alaw", "mulaw"],
        "supported_sample_rates": [8000, 16000],
    }
    assert json.loads(protocol.partial("мир", "привет мир", 900)) == {
        "type": "partial",
        "chunk_text": "мир",
        "full_text": "привет мир",
        "processed_ms": 900,
    }
    assert json.loads(protocol.final(15.5)) == {"type": "final", "status": "completed", "total_duration": 15.5}
    assert json.loads(protocol.error(ProtocolError(ErrorCode.ML_SERVICE, "gone"))) == {
        "type": "error",
        "message": "gone",
        "code": "ML_SERVICE_ERROR",
    }
