"""The settings of the API, the live page and health."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from gateway.addresses import Address
from gateway.section import Section

WebRole = Literal["view", "operate", "admin"]


class WebToken(Section):
    """Who may use the API and the live page.

    Attributes:
        name: For the audit log.
        role: `view` sees calls and transcripts; `operate` also hangs up and pauses; `admin` also drains, sets the log
            level and sees the configuration.
        token: What is shown as `Authorization: Bearer`; at least 16 characters.
    """

    name: str
    role: WebRole
    token: SecretStr

    @model_validator(mode="after")
    def _long_enough(self) -> WebToken:
        if len(self.token.get_secret_value()) < 16:
            raise ValueError("token: give it at least 16 characters, such as from `openssl rand -hex 24`")
        return self


class Web(Section):
    """The API, the live page and health.

    Attributes:
        listen: Where they are served; empty for nowhere. Elsewhere than on loopback, tokens are required, and a
            certificate or `behind_proxy`.
        anonymous: What those may do who show no token, on loopback and where no tokens are set; `none` for nothing.
        tokens: Who may do what.
        certificate: PEM file with the certificate and its chain, for HTTPS; empty for HTTP.
        key: PEM file with its private key.
        behind_proxy: Serve plain HTTP elsewhere than on loopback, because a proxy before it does TLS.
        hosts: Names by which browsers reach it, besides addresses; others are refused (DNS rebinding).
        max_viewers: Streams at once; a further one gets 503.
    """

    listen: Address | Literal[""] = "127.0.0.1:8080"
    anonymous: Literal["none", "view", "operate", "admin"] = "view"
    tokens: list[WebToken] = []
    certificate: str = ""
    key: str = ""
    behind_proxy: bool = False
    hosts: list[str] = ["localhost"]
    max_viewers: Annotated[int, Field(ge=1, le=10000)] = 200

    @model_validator(mode="after")
    def _safe_elsewhere(self) -> Web:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key go together: set both, or neither")
        if not self.listen or ip_address(self.listen.rsplit(":", 1)[0].strip("[]")).is_loopback:
            return self
        if not self.tokens:
            raise ValueError(f"listen: {self.listen} is no loopback address: set web.tokens first")
        if not (self.certificate or self.behind_proxy):
            raise ValueError(
                f"listen: {self.listen} is no loopback address: set certificate and key, or behind_proxy = true where "
                "a proxy does TLS"
            )
        return self
