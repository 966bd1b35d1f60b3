"""Who may call: source addresses against the peers' networks."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


class Access:
    """A list of networks; whoever is in none of them is unknown.

    IPv4-mapped IPv6 addresses, which a dual-stack socket shows, count as the IPv4 address that they hold.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        """Reads the networks.

        Args:
            networks: As ``192.0.2.0/24`` or ``2001:db8::/32``; a bare address is a network of one.

        Raises:
            ValueError: One of them is no network.
        """
        self._networks = [_plain(ip_network(text, strict=False)) for text in networks]

    def allows(self, source: str) -> bool:
        """Tells whether a source may call.

        Args:
            source: ``address:port``, ``[address]:port`` or an address alone; an IPv6 zone is ignored.

        Returns:
            False also for a text that is no address.
        """
        address = address_of(source)
        return address is not None and any(address in network for network in self._networks)


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


def _plain(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
        return ip_network(f"{network.network_address.ipv4_mapped}/{network.prefixlen - 96}")
    return network
