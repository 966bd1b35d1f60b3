from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.access import Access, Peer, Verdict


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("192.0.2.7:5060", True),
        ("192.0.2.7", True),
        ("192.0.3.7:5060", False),
        ("[::ffff:192.0.2.7]:5060", True),
        ("[::ffff:192.0.3.7]:5060", False),
        ("[2001:db8:1::5]:5060", True),
        ("2001:db8:1::5", True),
        ("[2001:db8:2::5]:5060", False),
        ("[fe80::1%eth0]:5060", True),
        ("198.51.100.1:5060", True),
        ("198.51.100.2:5060", False),
        ("pbx.example.org:5060", False),
        ("", False),
        ("[]:5060", False),
    ],
)
def test_sources(source: str, allowed: bool) -> None:
    access = Access([Peer("pbx", ("192.0.2.0/24", "2001:db8:1::/48", "fe80::/10", "198.51.100.1"))])
    assert (access.judge(source).peer is not None) is allowed


def test_a_mapped_network_is_its_ipv4_network() -> None:
    access = Access([Peer("pbx", ("::ffff:192.0.2.0/120",))])
    assert access.judge("192.0.2.200:1").peer
    assert not access.judge("192.0.3.1:1").peer


def test_no_peer_lets_nobody_in() -> None:
    assert Access([]).judge("127.0.0.1:5060") == Verdict(None)


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="not-a-network"):
        Access([Peer("pbx", ("not-a-network",))])


@given(st.text())
def test_any_text_is_refused_or_an_address(source: str) -> None:
    assert Access([]).judge(source) == Verdict(None)
