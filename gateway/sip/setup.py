"""What the signalling process is told first, from the configuration."""

from __future__ import annotations

from typing import Any

from gateway.sip.commands import Setup
from gateway.sip.settings import Peer, Registration, Sip

USER_AGENT = "asr-gateway"


def setup(sip: Sip, *, wire: bool) -> Setup:
    """Returns the first command.

    Args:
        sip: The configuration.
        wire: Whether every SIP message is told as ``Wire``.
    """
    return Setup(
        listen=list(sip.listen),
        advertise=sip.advertise,
        peers=[_opened(peer) for peer in sip.peers],
        max_calls=sip.max_calls,
        retry_after=sip.retry_after,
        user_agent=USER_AGENT,
        log_level=sip.log_level,
        realm=sip.realm,
        tls=sip.tls.model_dump(),
        registrations=[_opened(registration) for registration in sip.registrations],
        session_seconds=sip.session_seconds,
        min_session_seconds=sip.min_session_seconds,
        nameservers=list(sip.nameservers),
        wire=wire,
        defence=sip.defence.model_dump(),
    )


def _opened(section: Peer | Registration) -> dict[str, Any]:
    """Returns a section with its password as the signalling process needs it: the link is a socket pair of our own."""
    return section.model_dump(mode="json") | {"password": section.password.get_secret_value()}
