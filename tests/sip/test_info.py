"""Keys and recording marks in INFO requests, as devices write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.info import KEYS, LONGEST_MS, Pressed, pressed, recorded
from gateway.sip.request import Request, read


def info(body: str, kind: str = "application/dtmf-relay", **headers: str) -> Request:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return read(f"INFO sip:g@h SIP/2.0\r\nContent-Type: {kind}\r\n{lines}\r\n{body}")


@pytest.mark.parametrize(
    ("body", "key", "duration_ms"),
    [
        ("Signal=5\r\nDuration=160\r\n", "5", 160),
        ("Signal= 1\r\nDuration= 250\r\n", "1", 250),  # Cisco
        ("Signal=#\nDuration=100", "#", 100),
        ("signal = *\r\nduration = 80\r\n", "*", 80),
        ("Signal=11\r\nDuration=250\r\n", "#", 250),  # the number of the RFC 4733 event
        ("Signal=d\r\n", "D", 0),
        ("Duration=90\r\nSignal=0\r\n", "0", 90),
        ("Signal=7\r\nDuration=many\r\n", "7", 0),
        ("Signal=7\r\nDuration=99999\r\n", "7", 0),
        ("Signal=7\r\nSignal=8\r\n", "7", 0),
    ],
)
def test_a_key_as_dtmf_relay(body: str, key: str, duration_ms: int) -> None:
    assert pressed(info(body)) == Pressed(key, duration_ms)


@pytest.mark.parametrize(("body", "key"), [("5", "5"), ("*\r\n", "*"), (" 10 ", "*"), ("Signal=9\r\n", "9")])
def test_a_key_as_dtmf(body: str, key: str) -> None:
    assert pressed(info(body, "application/DTMF; charset=us-ascii")) == Pressed(key, 0)


@pytest.mark.parametrize("body", ["", "Signal=", "Signal=!", "Signal=16", "Signal=99", "5", "Signal=55\r\n", "\x00"])
def test_what_is_no_key(body: str) -> None:
    assert pressed(info(body)) is None


def test_other_bodies_are_no_keys() -> None:
    assert pressed(info("Signal=5", "text/plain")) is None
    assert pressed(read("INFO sip:g@h SIP/2.0\r\n\r\n")) is None


@pytest.mark.parametrize(("value", "on"), [("on", True), ("OFF", False), ("maybe", None), ("", None)])
def test_whether_the_call_may_be_recorded(value: str, on: bool | None) -> None:
    assert recorded(info("", Record=value)) is on


@given(st.text(), st.sampled_from(["application/dtmf", "application/dtmf-relay"]))
def test_any_body_is_a_key_of_the_sixteen_or_none(body: str, kind: str) -> None:
    found = pressed(info(body, kind))
    assert found is None or (found.key in KEYS and 0 <= found.duration_ms <= LONGEST_MS)


@given(st.sampled_from(KEYS), st.integers(0, LONGEST_MS))
def test_what_is_written_is_read(key: str, duration_ms: int) -> None:
    assert pressed(info(f"Signal={key}\r\nDuration={duration_ms}\r\n")) == Pressed(key, duration_ms)
