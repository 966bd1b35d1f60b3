"""Addresses and expressions in settings: checked as they are read, with an error that says what to write."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator


def _listen_address(value: str) -> str:
    match = re.fullmatch(r"(?:(udp|tcp|tls):)?(\[[0-9a-fA-F:.]+\]|[0-9.]+):(\d{1,5})", value)
    if match is None or int(match[3]) > 65535:
        raise ValueError(f"{value!r} is not ADDRESS:PORT with a numeric address, such as 127.0.0.1:5060 or [::1]:5060")
    ip_address(match[2].strip("[]"))
    return value


def _sip_address(value: str) -> str:
    if not value.startswith(("udp:", "tcp:", "tls:")):
        raise ValueError(f"{value!r} does not name its transport; write udp:ADDRESS:PORT, tcp:… or tls:…")
    return _listen_address(value)


def _plain_address(value: str) -> str:
    if value.startswith(("udp:", "tcp:", "tls:")):
        raise ValueError(f"{value!r} names a transport; write ADDRESS:PORT")
    return _listen_address(value)


def expression(value: str) -> str:
    """Checks a regular expression; a fault raises ValueError, as in all checks here."""
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return value


def numeric(value: str) -> str:
    """Checks an address without a port that needs no look-up."""
    ip_address(value)
    return value


def http_url(value: str) -> str:
    """Checks a URL that events may be posted to."""
    if not re.match(r"https?://[^/\s]+", value):
        raise ValueError(f"{value!r} is not an http:// or https:// URL")
    return value


def _network(value: Any) -> IPv4Network | IPv6Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ip_network(str(value))
    except ValueError as error:
        raise ValueError(f"{error}; write a network such as 192.0.2.0/24 or an address") from error


# one validator in place of pydantic's union, which reports the same fault twice under two names
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network), PlainSerializer(str)]


SipAddress = Annotated[str, AfterValidator(_sip_address)]
Address = Annotated[str, AfterValidator(_plain_address)]
Port = Annotated[int, Field(ge=1, le=65535)]
