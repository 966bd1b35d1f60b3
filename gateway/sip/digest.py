"""Digest authentication of peers (RFC 7616, 8760 and 3261 section 22): challenges, and the proof that answers one."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict

LIFE_SECONDS = 300
"""How long a nonce is good."""
MOST_NONCES = 10000
"""Nonces whose counts are remembered; the oldest is forgotten first, and credentials made for it are refused then."""
ALGORITHMS = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}

_FIELD = re.compile(r'([a-zA-Z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class Challenger:
    """Makes nonces and checks what comes back; each proof is good once.

    Nonces carry their own age and our signature, so that a flood of challenges takes no memory; only those that were
    answered rightly are remembered.
    """

    def __init__(self, realm: str) -> None:
        self._realm = realm
        self._secret = secrets.token_bytes(32)
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._forgotten = 0

    def challenges(self, now: float) -> list[str]:
        """Returns the values of WWW-Authenticate, the stronger algorithm first (RFC 8760, section 2.3).

        Args:
            now: Seconds on a clock that does not go back.
        """
        nonce = self._nonce(int(now), secrets.token_hex(8))
        return [f'Digest realm="{self._realm}", nonce="{nonce}", algorithm={name}, qop="auth"' for name in ALGORITHMS]

    def proves(self, credentials: str, *, method: str, uri: str, username: str, password: str, now: float) -> bool:
        """Tells whether credentials are a user's, for this request and not used before.

        Args:
            credentials: The value of Authorization.
            method: Of the request.
            uri: Of the request line.
            username: The user whose they must be.
            password: The user's.
            now: As in ``challenges``.
        """
        scheme, _, rest = credentials.strip().partition(" ")
        fields = {name.lower(): quoted or plain for name, quoted, plain in _FIELD.findall(rest)}
        hasher = ALGORITHMS.get(fields.get("algorithm", "MD5").upper())
        nonce, count = fields.get("nonce", ""), fields.get("nc", "")
        if scheme.lower() != "digest" or hasher is None or fields.get("qop") != "auth":
            return False
        if fields.get("realm") != self._realm or fields.get("uri") != uri or not re.fullmatch("[0-9a-fA-F]{8}", count):
            return False

        def digest(text: str) -> str:
            return hasher(text.encode("utf-8", "surrogateescape")).hexdigest()

        whose = digest(f"{username}:{self._realm}:{password}")
        request = digest(f"{method}:{uri}")
        right = digest(f"{whose}:{nonce}:{count}:{fields.get('cnonce', '')}:auth:{request}")
        return _same(right, fields.get("response", "").lower()) and self._fresh(nonce, int(count, 16), now)

    def _fresh(self, nonce: str, count: int, now: float) -> bool:
        made, _, rest = nonce.partition("-")
        salt = rest.partition("-")[0]
        if not re.fullmatch("[0-9]{1,12}", made) or not _same(self._nonce(int(made), salt), nonce):
            return False
        if not 0 <= now - int(made) <= LIFE_SECONDS or count <= self._counts.get(nonce, 0):
            return False
        if nonce not in self._counts and int(made) < self._forgotten:
            return False
        self._counts[nonce] = count
        self._counts.move_to_end(nonce)
        if len(self._counts) > MOST_NONCES:
            oldest, _ = self._counts.popitem(last=False)
            self._forgotten = max(self._forgotten, int(oldest.partition("-")[0]) + 1)
        return True

    def _nonce(self, made: int, salt: str) -> str:
        signed = f"{made}-{salt}"
        return f"{signed}-{hmac.new(self._secret, signed.encode(), hashlib.sha256).hexdigest()[:32]}"


def _same(ours: str, theirs: str) -> bool:
    return hmac.compare_digest(ours.encode(), theirs.encode("utf-8", "surrogateescape"))
