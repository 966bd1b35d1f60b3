"""Who may do what: bearer tokens with roles, compared in constant time; every operating request is logged."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.web.settings import Web, WebRole

RANKS: Final[dict[str, int]] = {"none": 0, "view": 1, "operate": 2, "admin": 3}
LONGEST_BODY: Final = 65536
SAFE: Final = {"GET", "HEAD", "OPTIONS"}
HEADERS: Final = [
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     b"img-src 'self' data:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]  # fmt: skip

audit = structlog.get_logger("audit")


@dataclass(frozen=True, slots=True)
class User:
    """Who asks.

    Attributes:
        name: The token's name, or ``anonymous``.
        role: What it may do.
    """

    name: str
    role: str


class Access:
    """Knows the tokens.

    Args:
        settings: Tokens, and what those may do who show none.
    """

    def __init__(self, settings: Web) -> None:
        # of equal length, so that comparing them tells nothing about a token's
        self._known = [(_digest(item.token.get_secret_value()), User(item.name, item.role)) for item in settings.tokens]
        self._anonymous = User("anonymous", "none" if settings.tokens else settings.anonymous)

    @property
    def open(self) -> bool:
        """Whether anybody may look who shows no token."""
        return self._anonymous.role != "none"

    def user(self, token: str | None) -> User | None:
        """Returns whose token it is; None for one that nobody has."""
        if token is None:
            return self._anonymous if self.open else None
        shown, found = _digest(token), None
        for known, user in self._known:
            if hmac.compare_digest(shown, known):
                found = user
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


_bearer = HTTPBearer(auto_error=False, description="A token of `web.tokens`")


def needs(role: WebRole) -> Callable[..., Awaitable[User]]:
    """Returns a dependency that lets in who has at least this role.

    Raises (when called):
        HTTPException: 401 without a token that is known, 403 where its role is too low.
    """

    async def check(
        request: Request, credentials: HTTPAuthorizationCredentials | None = Security(_bearer)  # noqa: B008 (FastAPI)
    ) -> User:  # fmt: skip
        access: Access = request.app.state.access
        user = access.user(None if credentials is None else credentials.credentials)
        if user is None:
            raise HTTPException(401, "show a token as Authorization: Bearer", {"WWW-Authenticate": "Bearer"})
        if RANKS[user.role] < RANKS[role]:
            log_request(request, user, "refused")
            raise HTTPException(403, f"this needs the role {role}, {user.name} has {user.role}")
        if request.method not in SAFE:
            log_request(request, user, "allowed")
        return user

    return check


def log_request(request: Request, user: User, verdict: str) -> None:
    """Writes who did what into the audit log; the path holds no number and no words."""
    source = request.client.host if request.client else ""
    audit.info(
        "audit", user=user.name, role=user.role, verdict=verdict, method=request.method, path=request.url.path,
        source=source,
    )  # fmt: skip


class Guard:
    """Checks what is the same for all requests: the name asked for, where a browser comes from, how long a body is.

    Args:
        app: What comes after.
        hosts: Names that browsers may use.
    """

    def __init__(self, app: ASGIApp, hosts: list[str]) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope["method"], headers)
        if refusal is not None:
            status, text = refusal
            body = b'{"detail":"%s"}' % text.encode()
            start = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
            await answer({"type": "http.response.start", "status": status, "headers": start})
            await answer({"type": "http.response.body", "body": body})
            return
        await self._app(scope, receive, answer)

    def _refusal(self, method: str, headers: dict[bytes, str]) -> tuple[int, str] | None:
        host = headers.get(b"host", "")
        if not self._expected(host):
            # a page of a stranger whose name was made to point here (DNS rebinding)
            return 421, "this name is not in web.hosts"
        if method in SAFE:
            return None
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "pages of other origins may not operate"
        length = headers.get(b"content-length", "0")
        if b"transfer-encoding" in headers or not length.isdecimal() or int(length) > LONGEST_BODY:
            return 413, f"a body has at most {LONGEST_BODY} bytes, and a content-length"
        return None

    def _expected(self, host: str) -> bool:
        name = re.sub(r":\d+$", "", host).strip("[]").lower()
        if name in self._hosts:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True


def masked(value: Any) -> Any:
    """Returns settings as they may be shown: URLs without user, password and query besides what is masked already."""
    if isinstance(value, dict):
        return {name: masked(item) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, str) and "://" in value:
        return re.sub(r"(://)[^/@]*@", r"\1", value).partition("?")[0]
    return value
