"""One signed POST to one endpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import aiohttp
from yarl import URL

from gateway.delivery import signing, tls
from gateway.delivery.observer import Result
from gateway.delivery.outlet import Message, Outcome
from gateway.delivery.retry import retry_after_seconds
from gateway.delivery.settings import Endpoint

RESPONSE_LIMIT: Final = 65536
USER_AGENT: Final = "asr-gateway"


def shown(url: str) -> str:
    """Returns a URL as it may be logged: without user, password, query and fragment."""
    return str(URL(url).with_user(None).with_query(None).with_fragment(None))


class Sender:
    """The HTTP client of one endpoint: a connection for each call that is delivered side by side, no cookies.

    Args:
        endpoint: Its settings.
        clock: Seconds since the epoch.
    """

    def __init__(self, endpoint: Endpoint, clock: Callable[[], float] = time.time) -> None:
        self._endpoint = endpoint
        self._keys = [signing.signer(secret.get_secret_value()) for secret in endpoint.secrets]
        self._headers = {name.lower(): value.get_secret_value() for name, value in endpoint.headers.items()}
        self._url = URL(endpoint.url)
        self.shown = shown(endpoint.url)
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Message, timeout: float) -> Outcome:  # noqa: ASYNC109 (it is a setting)
        """Sends one message, signed for this attempt with every secret.

        Args:
            message: What to send.
            timeout: Seconds after which it has failed.

        Returns:
            What came of it; only a 2xx is ``delivered``. Redirects are not followed.
        """
        now = self._clock()
        headers = {
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            **self._headers,
            **signing.headers(self._keys, message.id, int(now), message.body),
        }
        started = time.perf_counter()
        status, retry_after, text = 0, None, ""
        result: Result
        try:
            async with (
                asyncio.timeout(timeout),
                self._client().post(self._url, data=message.body, headers=headers, allow_redirects=False) as response,
            ):
                status = response.status
                retry_after = retry_after_seconds(response.headers.get("retry-after"), now)
                result = _result(status)
                text = f"HTTP status {status}"
                await _discard(response)
        except TimeoutError:
            result, text = "timeout", f"no complete answer within {timeout:g} s"
        except (aiohttp.ClientError, OSError) as error:
            # the type is enough: the error's own text may repeat the URL with its query
            result, text = "unreachable", type(error).__name__
        return Outcome(result, status, time.perf_counter() - started, retry_after, text)

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._endpoint.concurrency, ttl_dns_cache=30, ssl=tls.context(self._endpoint) or True
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session


def _result(status: int) -> Result:
    if 200 <= status < 300:
        return "delivered"
    if 300 <= status < 400:
        return "redirected"
    return "gone" if status == 410 else "refused"


async def _discard(response: aiohttp.ClientResponse) -> None:
    """Reads a small body to its end, so that the connection can be used again; closes on a large one."""
    left = RESPONSE_LIMIT
    while left > 0:
        if not (part := await response.content.read(left)):
            return
        left -= len(part)
    response.close()
