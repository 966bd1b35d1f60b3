"""What is held against those who are no peers: the rules that ``gateway.sip.gate`` gives to the stack."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Literal

from gateway.sip.access import Network, Peer

SCANNERS = (
    "friendly-scanner", "friendly-request", "sipvicious", "sipcli", "sipscan", "sip-scan", "sundayddr", "iWar",
    "siparmyknife", "VaxSIPUserAgent", "SIVuS", "sipptk", "smap", "pplsip",
)  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """The rules; ``gateway.sip.settings.Defence`` says what each means, and has its defaults from here."""

    strangers: Literal["silent", "refuse"] = "silent"
    scanners: tuple[str, ...] = SCANNERS
    messages_per_second: int = 10
    unknown_messages_per_second: int = 50
    peer_messages_per_second: int = 5000
    calls_per_second: int = 200
    failed_logins: int = 10
    block_seconds: int = 300


@dataclass(frozen=True, slots=True)
class Openness:
    """From where peers may call.

    Attributes:
        networks: From any address of these.
        plain: From any address at all, with credentials.
        tls: Likewise, over TLS, with credentials or by certificate.
    """

    networks: tuple[Network, ...]
    plain: bool
    tls: bool


def openness(peers: Iterable[Peer]) -> Openness:
    """Tells from where the peers may call.

    Raises:
        ValueError: A network of a peer is none.
    """
    known = list(peers)
    anywhere = [peer for peer in known if not peer.networks]
    return Openness(
        tuple(dict.fromkeys(ip_network(text, strict=False) for peer in known for text in peer.networks)),
        plain=any(not peer.tls_subjects for peer in anywhere),
        tls=bool(anywhere),
    )
