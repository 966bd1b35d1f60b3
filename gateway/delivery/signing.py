"""Standard Webhooks signatures, the symmetric kind.

Follows https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: the signed content
is ``id.timestamp.body``, the signature ``v1,`` and the base64 of its HMAC-SHA256.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

PREFIX = "whsec_"
TOLERANCE_SECONDS = 300
ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"


class SigningError(ValueError):
    """A secret cannot be used, or a message is not authentic. The text says why and holds nothing secret."""


def key_of(secret: str) -> bytes:
    """Reads a secret.

    Args:
        secret: ``whsec_`` and the base64 of 24 to 64 bytes.

    Returns:
        The key.

    Raises:
        SigningError: The secret has another form.
    """
    if not secret.startswith(PREFIX):
        raise SigningError(f"does not start with {PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SigningError(f"what follows {PREFIX} is not base64") from None
    if not 24 <= len(key) <= 64:
        raise SigningError(f"holds {len(key)} bytes; 24 to 64 are needed")
    return key


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Signs one message.

    Args:
        key: From ``key_of``.
        message_id: The ``webhook-id``; the same for every attempt.
        timestamp: Seconds since the epoch, of this attempt.
        body: The bytes that are sent.

    Returns:
        The signature, as ``v1,BASE64``.
    """
    content = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def headers(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Returns the three headers of a signed message; the arguments are those of ``sign``."""
    return {ID: message_id, TIMESTAMP: str(timestamp), SIGNATURE: sign(key, message_id, timestamp, body)}


def verify(
    key: bytes, received: Mapping[str, str], body: bytes, now: float, tolerance: float = TOLERANCE_SECONDS
) -> None:
    """Checks that a message is authentic and fresh.

    Args:
        key: From ``key_of``.
        received: The request's headers, by lower-case name or case-insensitively.
        body: The bytes that came.
        now: Seconds since the epoch.
        tolerance: How far the timestamp may be from ``now``, either way, in seconds.

    Raises:
        SigningError: A header is missing or malformed, the timestamp is too far off, or no signature fits.
    """
    try:
        message_id, stamp, signatures = received[ID], received[TIMESTAMP], received[SIGNATURE]
    except KeyError as error:
        raise SigningError(f"the header {error.args[0]} is missing") from None
    if not (stamp.isascii() and stamp.isdigit()):
        raise SigningError(f"{TIMESTAMP} is not a number of seconds")
    if abs(now - int(stamp)) > tolerance:
        raise SigningError(f"{TIMESTAMP} is more than {tolerance:g} s off")
    expected = sign(key, message_id, int(stamp), body).encode()
    # several signatures, separated by spaces, are what a rotation of secrets looks like
    fits = [hmac.compare_digest(expected, signature.encode()) for signature in signatures.split(" ")]
    if not any(fits):
        raise SigningError("no signature fits")
