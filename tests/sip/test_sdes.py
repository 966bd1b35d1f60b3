from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip import sdes

KEY = base64.b64encode(bytes(range(30))).decode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}", sdes.Crypto(1, "AES_CM_128_HMAC_SHA1_80", KEY)),
        (f"22 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|2^20", sdes.Crypto(22, "AES_CM_128_HMAC_SHA1_32", KEY)),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} WSH=64", sdes.Crypto(1, "AES_CM_128_HMAC_SHA1_80", KEY)),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4", None),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4", None),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP", None),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} WSH=64 UNAUTHENTICATED_SRTP", None),
        (f"1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}", None),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY[:-4]}", None),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:=====", None),
        ("1 AES_CM_128_HMAC_SHA1_80", None),
        ("", None),
    ],
)
def test_lines(value: str, expected: sdes.Crypto | None) -> None:
    assert sdes.read(value) == expected


@given(st.text())
def test_any_text_is_read_or_passed_over(text: str) -> None:
    assert sdes.read(text) is None


def test_what_we_write_we_can_read() -> None:
    keys = [sdes.new_key(), sdes.new_key()]
    assert keys[0] != keys[1]
    written = [crypto.line() for crypto in sdes.offers(keys)]
    assert written[0].startswith("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:")
    assert [sdes.read(line.removeprefix("a=crypto:")) for line in written] == sdes.offers(keys)
