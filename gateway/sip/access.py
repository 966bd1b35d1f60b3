"""Who may call: peers by network, by the subject of a TLS certificate, by digest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

from gateway.sip.sdp import Terms

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Peer:
    """A PBX, an SBC, a trunk. Of what is given here, everything must fit.

    Attributes:
        name: For logs and events.
        networks: Its networks, as ``192.0.2.0/24``; a bare address is a network of one; none for anywhere.
        tls_subjects: Names in its client certificate, common name or subject alternative; none for any transport.
        username: It must authenticate as this user by digest; empty for no need.
        password: With this password.
        srtp: As in ``Terms``.
        direction: ``sendrecv`` for peers that hang up without RTP from us.
        max_calls: Its dialogs at once; 0 for no limit of its own.
    """

    name: str
    networks: tuple[str, ...] = ()
    tls_subjects: tuple[str, ...] = ()
    username: str = ""
    password: str = ""
    srtp: Literal["off", "optional", "required"] = "off"
    direction: Literal["recvonly", "sendrecv"] = "recvonly"
    max_calls: int = 0

    @property
    def terms(self) -> Terms:
        """What it is answered."""
        return Terms(self.srtp, sends=self.direction == "sendrecv")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request.

    Attributes:
        peer: Who sent it; None for nobody known.
        challenge: It could be a peer that authenticates: ask for credentials.
    """

    peer: Peer | None
    challenge: bool = False


class Access:
    """The peers, in order; the first that fits is taken, one that needs no credentials before one that does.

    IPv4-mapped IPv6 addresses, which a dual-stack socket shows, count as the IPv4 address that they hold.
    """

    def __init__(self, peers: Iterable[Peer]) -> None:
        """Reads the peers' networks.

        Raises:
            ValueError: One of them is no network.
        """
        self._peers: list[tuple[Peer, list[Network]]] = [
            (peer, [_plain(ip_network(text, strict=False)) for text in peer.networks]) for peer in peers
        ]

    def judge(self, source: str, subjects: Iterable[str] = (), proves: Callable[[Peer], bool] | None = None) -> Verdict:
        """Finds the peer that a request comes from.

        Args:
            source: ``address:port``, ``[address]:port`` or an address alone; an IPv6 zone is ignored.
            subjects: Names in the verified certificate of its TLS connection.
            proves: Tells whether the request carries a peer's credentials; None when it carries none at all.
        """
        address = address_of(source)
        if address is None:
            return Verdict(None)
        names = {name.lower() for name in subjects}
        fitting = [
            peer
            for peer, networks in self._peers
            if (not networks or any(address in network for network in networks))
            and (not peer.tls_subjects or names & {name.lower() for name in peer.tls_subjects})
        ]
        needing = [peer for peer in fitting if peer.username]
        # the proof is asked for first: credentials that are there say more than an address
        found = next((peer for peer in needing if proves and proves(peer)), None)
        found = found or next((peer for peer in fitting if not peer.username), None)
        return Verdict(found, challenge=found is None and bool(needing))


def address_of(source: str) -> IPv4Address | IPv6Address | None:
    """Returns the address in ``address:port``, ``[address]:port`` or ``address``; None when there is none."""
    text = source.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _plain(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
        return ip_network(f"{network.network_address.ipv4_mapped}/{network.prefixlen - 96}")
    return network
