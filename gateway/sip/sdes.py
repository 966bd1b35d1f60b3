"""SRTP keys in SDP (RFC 4568): reads ``a=crypto`` lines, writes ours."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
KEY_BYTES = 30
"""A master key of 16 bytes and a salt of 14 (RFC 4568, section 6.2)."""

_LINE = re.compile(r"(\d{1,9})\s+([A-Za-z0-9_]+)\s+inline:([A-Za-z0-9+/=]+)((?:\|[^|\s]+)*)((?:\s+\S+)*)")


@dataclass(frozen=True, slots=True)
class Crypto:
    """One ``a=crypto`` line that we can take.

    Attributes:
        tag: Its number, which the answer repeats.
        suite: One of ``SUITES``.
        key: Master key and salt, base64.
    """

    tag: int
    suite: str
    key: str

    def line(self) -> str:
        """Returns the line of SDP."""
        return f"a=crypto:{self.tag} {self.suite} inline:{self.key}"


def read(value: str) -> Crypto | None:
    """Reads what stands behind ``a=crypto:``.

    Args:
        value: Such as ``1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^31``.

    Returns:
        None for what we cannot do: another suite, a key of the wrong length, a master key identifier, session
        parameters that switch encryption or authentication off.
    """
    match = _LINE.fullmatch(value.strip())
    if match is None or match[2] not in SUITES:
        return None
    if any(":" in part for part in match[4].split("|")):  # LIFETIME has no colon, MKI:LENGTH has
        return None
    if any(not parameter.startswith("WSH=") for parameter in match[5].split()):
        return None
    try:
        key = base64.b64decode(match[3], validate=True)
    except (binascii.Error, ValueError):
        return None
    return Crypto(int(match[1]), match[2], match[3]) if len(key) == KEY_BYTES else None


def new_key() -> str:
    """Returns a fresh master key and salt, base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def offers(keys: Sequence[str]) -> list[Crypto]:
    """Returns what we offer: one line a suite, the stronger first, each with a key of its own."""
    return [Crypto(tag, suite, key) for tag, (suite, key) in enumerate(zip(SUITES, keys, strict=True), 1)]
