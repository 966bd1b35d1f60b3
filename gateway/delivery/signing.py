"""Standard Webhooks signatures, symmetric (``v1``) and asymmetric (``v1a``, ed25519).

Follows https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: the signed content
is ``id.timestamp.body``; a signature is ``v1,`` and the base64 of its HMAC-SHA256, or ``v1a,`` and the base64 of its
ed25519 signature. A message carries one for each secret, separated by spaces: while a secret is being replaced,
consumers with the old one and with the new one both find theirs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PREFIX = "whsec_"
PRIVATE_PREFIX = "whsk_"
PUBLIC_PREFIX = "whpk_"
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
    content = _content(message_id, timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


Signer = Callable[[str, int, bytes], str]
Verifier = Callable[[str, int, bytes, str], bool]


def signer(secret: str) -> Signer:
    """Returns what signs with a secret; it takes the arguments of ``sign`` but the key.

    Args:
        secret: ``whsec_…`` as for ``key_of``, or ``whsk_`` and the base64 of an ed25519 private key: its 32 bytes, or
            these and the 32 of the public key.

    Raises:
        SigningError: The secret has another form.
    """
    if not secret.startswith(PRIVATE_PREFIX):
        key = key_of(secret)
        return lambda message_id, timestamp, body: sign(key, message_id, timestamp, body)
    private = Ed25519PrivateKey.from_private_bytes(_key_bytes(secret, PRIVATE_PREFIX, (32, 64))[:32])

    def sign_with(message_id: str, timestamp: int, body: bytes) -> str:
        return "v1a," + base64.b64encode(private.sign(_content(message_id, timestamp, body))).decode()

    return sign_with


def verifier(secret: str) -> Verifier:
    """Returns what says whether one signature of a message fits; its last argument is the signature.

    Args:
        secret: ``whsec_…``, or ``whpk_`` and the base64 of the 32 bytes of an ed25519 public key.

    Raises:
        SigningError: The secret has another form.
    """
    if not secret.startswith(PUBLIC_PREFIX):
        key = key_of(secret)
        return lambda message_id, timestamp, body, signature: hmac.compare_digest(
            sign(key, message_id, timestamp, body).encode(), signature.encode()
        )
    public = Ed25519PublicKey.from_public_bytes(_key_bytes(secret, PUBLIC_PREFIX, (32,)))

    def fits(message_id: str, timestamp: int, body: bytes, signature: str) -> bool:
        version, _, encoded = signature.partition(",")
        try:
            public.verify(base64.b64decode(encoded, validate=True), _content(message_id, timestamp, body))
        except (InvalidSignature, ValueError):
            return False
        return version == "v1a"

    return fits


def public_key(secret: str) -> str:
    """Returns the ``whpk_…`` that belongs to a ``whsk_…``: what consumers are given.

    Raises:
        SigningError: The secret has another form.
    """
    private = Ed25519PrivateKey.from_private_bytes(_key_bytes(secret, PRIVATE_PREFIX, (32, 64))[:32])
    return PUBLIC_PREFIX + base64.b64encode(private.public_key().public_bytes_raw()).decode()


def headers(signers: Sequence[Signer], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Returns the three headers of a message, signed by each of the signers."""
    signatures = " ".join(signed(message_id, timestamp, body) for signed in signers)
    return {ID: message_id, TIMESTAMP: str(timestamp), SIGNATURE: signatures}


def verify(
    verifiers: Sequence[Verifier],
    received: Mapping[str, str],
    body: bytes,
    now: float,
    tolerance: float = TOLERANCE_SECONDS,
) -> None:
    """Checks that a message is authentic and fresh.

    Args:
        verifiers: What consumers know: one secret, or two while one is being replaced.
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
    fits = [fit(message_id, int(stamp), body, each) for each in signatures.split(" ") for fit in verifiers]
    if not any(fits):
        raise SigningError("no signature fits")


def _content(message_id: str, timestamp: int, body: bytes) -> bytes:
    return b"%s.%d.%s" % (message_id.encode(), timestamp, body)


def _key_bytes(secret: str, prefix: str, lengths: tuple[int, ...]) -> bytes:
    if not secret.startswith(prefix):
        raise SigningError(f"does not start with {prefix}")
    try:
        key = base64.b64decode(secret.removeprefix(prefix), validate=True)
    except (binascii.Error, ValueError):
        raise SigningError(f"what follows {prefix} is not base64") from None
    if len(key) not in lengths:
        raise SigningError(f"holds {len(key)} bytes; {' or '.join(map(str, lengths))} are needed")
    return key
