from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.request import clean, read, tag_of, uri_of

INVITE = (
    'INVITE sip:7@h;x=1 SIP/2.0\r\nv: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\nf: "A; tag=no" <sip:a@h;y=2>;tag=t1\r\n'
    "T: sip:7@h ; x=3\r\nI: c1\r\nX-Long: one\r\n  two\r\nc: application/SDP ;charset=utf-8\r\n\r\nv=0\r\n"
)


def test_an_invite() -> None:
    request = read(INVITE)
    assert (request.method, request.uri) == ("INVITE", "sip:7@h;x=1")
    assert request.headers["via"] == ["SIP/2.0/UDP a", "SIP/2.0/UDP b"]
    assert request.first("x-long") == "one two"
    assert request.first("call-id") == "c1"
    assert request.first("missing") == ""
    assert (uri_of(request.first("from")), tag_of(request.first("from"))) == ("sip:a@h;y=2", "t1")
    assert (uri_of(request.first("to")), tag_of(request.first("to"))) == ("sip:7@h", "")
    assert request.sdp == "v=0\r\n"


def test_the_sdp_in_a_multipart_body() -> None:
    parts = ["Content-Type: text/xml\r\n\r\n<x/>", "Content-Type: application/sdp\r\n\r\nv=0\r\ns=ä"]
    body = "".join(f"--b\r\n{part}\r\n" for part in parts) + "--b--\r\n"
    request = read(f'INVITE sip:h SIP/2.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n{body}')
    assert request.sdp == "v=0\r\ns=ä"
    assert read("INVITE sip:h SIP/2.0\r\nContent-Type: multipart/mixed\r\n\r\nx").sdp == ""
    assert read("INVITE sip:h SIP/2.0\r\nContent-Type: text/plain\r\n\r\nx").sdp == ""


def test_a_response_has_no_method() -> None:
    assert read("SIP/2.0 200 OK\r\nVia: x\r\n\r\n").method == ""


@given(st.text())
def test_any_text_can_be_read_and_written_as_json(text: str) -> None:
    request = read(text)
    json.dumps(request.headers, ensure_ascii=False).encode()
    assert isinstance(request.sdp, str)


@given(st.binary())
def test_clean_takes_any_bytes(data: bytes) -> None:
    assert clean(data.decode("utf-8", "surrogateescape")) == data.decode("utf-8", "replace")
