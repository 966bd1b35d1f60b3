"""What is a secret in a SIP message goes, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip import wire
from gateway.sip.events import Wire
from gateway.sip.secrets import without_numbers, without_secrets

HEAD = "INVITE sip:100@a SIP/2.0\r\nCall-ID: x\r\n"


@pytest.mark.parametrize(
    "line",
    [
        'Authorization: Digest username="u", nonce="n", response="HIDE"',
        'proxy-authorization : Digest username="u",\r\n response="HIDE",\r\n\tcnonce="HIDE"',
        'Authentication-Info: rspauth="HIDE"',
    ],
)
def test_credentials_go_with_their_folded_lines(line: str) -> None:
    text = without_secrets(f"{HEAD}{line}\r\nMax-Forwards: 70\r\n\r\n")
    assert "HIDE" not in text
    assert text.startswith(HEAD)
    assert text.endswith(": …\r\nMax-Forwards: 70\r\n\r\n")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:HIDE|2^31|1:1;inline:HIDE\r\n", "inline:****|2^31|1:1;inline:****"),
        ("a=key-mgmt:mikey HIDE\r\n", "a=key-mgmt:mikey ****\r\n"),
        ("k=clear:HIDE\r\n", "k=clear:****\r\n"),
        ("Signal=5\r\nDuration=160\r\n", "Signal=*\r\nDuration=160\r\n"),
        (" Signal = 5\r\n", " Signal = *\r\n"),
    ],
)
def test_keys_go_and_the_body_keeps_its_length(body: str, shown: str) -> None:
    whole = f"{HEAD}Content-Length: {len(body)}\r\n\r\n{body}"
    text = without_secrets(whole)
    assert shown in text
    assert len(text) == len(whole)


def test_a_bare_key_goes() -> None:
    head = "INFO sip:100@a SIP/2.0\r\nContent-Type: application/dtmf\r\n"
    assert without_secrets(f"{head}\r\n5") == f"{head}\r\n*"
    assert without_secrets(f"{head.replace('dtmf', 'sdp')}\r\n5").endswith("5")


def test_a_message_is_read_out_of_the_log() -> None:
    text = f"{HEAD}Authorization: Digest x\r\n\r\nv=0\r\n"
    line = f"RX 61 bytes Request msg INVITE/cseq=1 (rdata0x55) from UDP 192.0.2.1:5060:\n{text}\n--end msg--"
    assert wire.logged(line, 5.0) == Wire(5.0, True, "udp", "192.0.2.1:5060", f"{HEAD}Authorization: …\r\n\r\nv=0\r\n")
    out = f"TX 9 bytes Response msg 200/OPTIONS/cseq=1 (tdta0x) to TLS6 [2001:db8::1]:5061:\n{HEAD}\n--end msg--"
    assert wire.logged(out, 5.0) == Wire(5.0, False, "tls", "[2001:db8::1]:5061", HEAD)
    cut = wire.logged(line[:-20], 5.0)
    assert cut is not None
    assert cut.text.startswith(HEAD)


def test_a_line_of_the_stack_is_logged_without_numbers() -> None:
    line = "Error: <sip:+74951234567@a>, SIPS:100:x@b and tel:+7495;ext=1, sip:a.example\nINVITE sip:200@a SIP/2.0"
    assert without_numbers(line) == "Error: <sip:…@a>, SIPS:…@b and tel:…;ext=1, sip:a.example"


@given(st.text(max_size=300))
def test_other_lines_are_passed_over(text: str) -> None:
    without_secrets(text)
    assert wire.logged(text, 0.0) is None
