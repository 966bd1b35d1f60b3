"""Yandex Cloud's credentials: API keys, IAM tokens, and IAM tokens made of a service account's key and renewed.

A service-account key signs a JWT (PS256), which ``IamTokenService/Create`` exchanges for an IAM token of at most 12
hours; the vendor asks for a new one about every hour.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import jwt
import structlog

from gateway.asr.options import Yandex

log = structlog.get_logger()

AUDIENCE = "https://iam.api.cloud.yandex.net/iam/v1/tokens"
JWT_SECONDS = 3600
RENEW_AFTER = 3600.0  # seconds of a token's life, where its end is further away
RENEW_BEFORE = 600.0  # seconds before its end, at the latest
RETRY_SECONDS = 30.0  # between attempts to renew a token that is still valid


class AuthError(Exception):
    """There are no credentials to be had.

    Attributes:
        retryable: Whether that may pass by itself.
    """

    def __init__(self, text: str, *, retryable: bool) -> None:
        super().__init__(text)
        self.retryable = retryable


class Credentials(Protocol):
    """Gives the ``authorization`` of a call."""

    async def authorization(self) -> str:
        """Returns the value of the header.

        Raises:
            AuthError: There is none.
        """

    def refused(self, authorization: str) -> bool:
        """Takes note that the service refused a value; returns whether another one may be had."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """Credentials that stay as they are; ``refused`` never helps."""

    value: str

    async def authorization(self) -> str:
        """Returns the value."""
        return self.value

    def refused(self, authorization: str) -> bool:  # noqa: ARG002
        """There is no other one."""
        return False


@dataclass(frozen=True, slots=True)
class IamToken:
    """An IAM token.

    Attributes:
        value: The token.
        made: When, seconds since the epoch.
        expires: When it ends, likewise.
    """

    value: str
    made: float
    expires: float

    def usable(self, now: float) -> bool:
        """Whether the service takes it; one that is about to end may be refused on the way."""
        return now < self.expires - 5

    def due(self, now: float) -> bool:
        """Whether it is time for another one."""
        return now >= min(self.made + RENEW_AFTER, self.expires - RENEW_BEFORE)


class ServiceAccountKey:
    """An authorised key of a service account, as ``yc iam key create`` writes it.

    Args:
        text: The JSON: ``id``, ``service_account_id`` and ``private_key`` (PEM).

    Raises:
        ValueError: It is something else; the text says what is missing and holds nothing of it.
    """

    def __init__(self, text: str) -> None:
        try:
            fields = json.loads(text)
            self._id = str(fields["id"])
            self._account = str(fields["service_account_id"])
            pem = str(fields["private_key"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                "service_account_key is not the JSON that `yc iam key create` writes "
                f"(id, service_account_id, private_key): {type(error).__name__}"
            ) from None
        # the vendor puts a line of its own before the PEM
        self._key = pem[max(pem.find("-----BEGIN"), 0) :]
        try:
            self.jwt(0)
        except (ValueError, TypeError, jwt.PyJWTError):
            raise ValueError("the private_key of service_account_key is no RSA key in PEM") from None

    def jwt(self, now: float) -> str:
        """Returns a signed request for a token, at a time in seconds since the epoch."""
        payload: dict[str, Any] = {
            "aud": AUDIENCE,
            "iss": self._account,
            "iat": int(now),
            "exp": int(now) + JWT_SECONDS,
        }
        return jwt.encode(payload, self._key, algorithm="PS256", headers={"kid": self._id})


class RenewedToken:
    """IAM tokens of a service-account key, each renewed before it ends; all who ask share one request.

    Args:
        key: The key.
        exchange: Exchanges a JWT for a token and its end (seconds since the epoch); raises ``AuthError``.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        key: ServiceAccountKey,
        exchange: Callable[[str], Awaitable[tuple[str, float]]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key = key
        self._exchange = exchange
        self._clock = clock
        self._token: IamToken | None = None
        self._request: asyncio.Task[IamToken] | None = None
        self._not_before = 0.0

    async def authorization(self) -> str:
        """Returns the header; waits only where no valid token is there.

        Raises:
            AuthError: No token could be had.
        """
        now = self._clock()
        token = self._token
        if token is not None and token.usable(now):
            if token.due(now) and now >= self._not_before:
                self._renew()
        else:
            # shielded: one who gives up waiting does not take the token from the others
            token = await asyncio.shield(self._renew())
        return f"Bearer {token.value}"

    def refused(self, authorization: str) -> bool:
        """Forgets the token, unless there is a newer one already."""
        if self._token is not None and f"Bearer {self._token.value}" == authorization:
            fresh = self._clock() - self._token.made < RETRY_SECONDS
            self._token = None
            return not fresh  # one that has just been made is refused for a reason that a new one would not change
        return True

    def _renew(self) -> asyncio.Task[IamToken]:
        if self._request is None or self._request.done():
            self._request = asyncio.get_running_loop().create_task(self._fetch())
            self._request.add_done_callback(self._fetched)
        return self._request

    async def _fetch(self) -> IamToken:
        now = self._clock()
        value, expires = await self._exchange(self._key.jwt(now))
        self._token = IamToken(value, now, expires)
        return self._token

    def _fetched(self, request: asyncio.Task[IamToken]) -> None:
        if not request.cancelled() and (error := request.exception()) is not None:
            self._not_before = self._clock() + RETRY_SECONDS
            log.warning("iam_token_not_renewed", text=str(error), valid=self._token is not None)


def credentials_of(settings: Yandex, exchange: Callable[[str], Awaitable[tuple[str, float]]]) -> Credentials:
    """Returns the credentials that the settings name.

    Raises:
        ValueError: They name none, or they cannot be used.
    """
    if key := settings.service_account_key.get_secret_value():
        return RenewedToken(ServiceAccountKey(key), exchange)
    if api_key := settings.api_key.get_secret_value():
        return Fixed(f"Api-Key {api_key}")
    if token := settings.iam_token.get_secret_value():
        return Fixed(f"Bearer {token}")
    raise ValueError("it needs credentials: api_key, iam_token or service_account_key")
