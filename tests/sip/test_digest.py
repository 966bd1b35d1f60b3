from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip import digest
from gateway.sip.digest import ALGORITHMS, LIFE_SECONDS, Challenger

URI = "sip:100@gateway"


def nonce(challenge: str) -> str:
    return re.search(r'nonce="([^"]+)"', challenge)[1]


def credentials(value: str, *, algorithm: str = "MD5", count: int = 1, **changes: str) -> str:
    """What a client makes of a nonce (RFC 7616, section 3.4)."""

    def hashed(text: str) -> str:
        return hashlib.new(algorithm.replace("-", ""), text.encode()).hexdigest()

    of = {
        "username": "pbx",
        "realm": "here",
        "uri": URI,
        "cnonce": "abc",
        "qop": "auth",
        "method": "INVITE",
        "password": "secret",
    } | changes
    first = hashed(f"{of['username']}:{of['realm']}:{of['password']}")
    second = hashed(f"{of['method']}:{of['uri']}")
    response = hashed(f"{first}:{value}:{count:08x}:{of['cnonce']}:{of['qop']}:{second}")
    return (
        f'Digest username="{of["username"]}", realm="{of["realm"]}", nonce="{value}", uri="{of["uri"]}", '
        f'response="{response}", algorithm={algorithm}, cnonce="{of["cnonce"]}", qop={of["qop"]}, nc={count:08x}'
    )


def proves(challenger: Challenger, text: str, now: float = 1001.0) -> bool:
    return challenger.proves(text, method="INVITE", uri=URI, username="pbx", password="secret", now=now)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_right_credentials(algorithm: str) -> None:
    challenger = Challenger("here")
    by_algorithm = dict(zip(ALGORITHMS, challenger.challenges(1000.0), strict=True))
    challenge = by_algorithm[algorithm]
    assert challenge.startswith('Digest realm="here", nonce="')
    assert challenge.endswith(f'algorithm={algorithm}, qop="auth"')
    assert proves(challenger, credentials(nonce(challenge), algorithm=algorithm))


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "guess"},
        {"username": "other"},
        {"realm": "there"},
        {"uri": "sip:900@gateway"},
        {"method": "REGISTER"},
        {"qop": "auth-int"},
    ],
)
def test_wrong_credentials(wrong: dict[str, str]) -> None:
    challenger = Challenger("here")
    assert not proves(challenger, credentials(nonce(challenger.challenges(1000.0)[1]), **wrong))


def test_each_proof_is_good_once_and_counts_go_up() -> None:
    challenger = Challenger("here")
    value = nonce(challenger.challenges(1000.0)[1])
    assert proves(challenger, credentials(value, count=2))
    assert not proves(challenger, credentials(value, count=2))
    assert not proves(challenger, credentials(value, count=1))
    assert proves(challenger, credentials(value, count=3))


def test_nonces_age_and_are_ours() -> None:
    challenger = Challenger("here")
    value = nonce(challenger.challenges(1000.0)[1])
    assert not proves(challenger, credentials(value), now=1000.0 + LIFE_SECONDS + 1)
    younger = value.replace("1000", "1200", 1)
    assert not proves(challenger, credentials(younger), now=1201.0)
    assert not proves(Challenger("here"), credentials(value))


def test_what_is_forgotten_cannot_be_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "MOST_NONCES", 2)
    challenger = Challenger("here")
    values = [nonce(challenger.challenges(1000.0 + n)[1]) for n in range(4)]
    assert all(proves(challenger, credentials(value), now=1010.0) for value in values)
    assert not any(proves(challenger, credentials(value), now=1010.0) for value in values)


@given(st.text())
def test_any_text_is_no_proof(text: str) -> None:
    challenger = Challenger("here")
    assert not proves(challenger, text)
    assert not proves(challenger, f'Digest realm="here", uri="{URI}", qop=auth, nc=00000001, nonce="{text}"')
