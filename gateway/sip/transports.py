"""Where the stack listens."""

from __future__ import annotations

from typing import Any

from gateway.sip.stack import StartError, pj


def listen(endpoint: Any, where: str, advertise: str) -> str:
    """Starts listening.

    Args:
        endpoint: The stack.
        where: As ``udp:ADDRESS:PORT``.
        advertise: Address for Contact and Via where it differs from the bound one; empty for none.

    Returns:
        Where it listens, the port filled in.

    Raises:
        StartError: The address cannot be had.
    """
    transport, _, rest = where.partition(":")
    address, _, port = rest.rpartition(":")
    six = address.startswith("[")
    config = pj.TransportConfig()
    config.boundAddress, config.port = address.strip("[]"), int(port)
    config.publicAddress = advertise
    kind = {
        ("udp", False): pj.PJSIP_TRANSPORT_UDP,
        ("udp", True): pj.PJSIP_TRANSPORT_UDP6,
        ("tcp", False): pj.PJSIP_TRANSPORT_TCP,
        ("tcp", True): pj.PJSIP_TRANSPORT_TCP6,
    }[transport, six]
    try:
        identity = endpoint.transportCreate(kind, config)
    except pj.Error as error:
        raise StartError(
            f"cannot listen at {where}: {error.reason}; stop what uses the port, or change sip.listen"
        ) from error
    bound = endpoint.transportGetInfo(identity).localAddress
    return f"{transport}:{address}:{bound.rpartition(':')[2]}"
