"""The account under which calls come in, and what an INVITE tells the gateway."""

from __future__ import annotations

from typing import Any, Protocol

from gateway.sip.messages import Incoming
from gateway.sip.request import Request, clean, tag_of, uri_of
from gateway.sip.stack import Owner, guarded, pj


class AccountOwner(Owner, Protocol):
    """The agent, as its accounts see it."""

    def incoming(self, call_id: int, rdata: Any) -> None:
        """Takes an INVITE."""


class GatewayAccount(pj.Account if pj else object):  # type: ignore[misc]
    """The account under which all calls come in."""

    def __init__(self, agent: AccountOwner) -> None:
        super().__init__()
        self.agent = agent

    @guarded
    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802
        """An INVITE outside a dialog."""
        self.agent.incoming(prm.callId, prm.rdata)


def account_config() -> Any:
    """Returns the settings of the account for trunks."""
    config = pj.AccountConfig()
    config.idUri = "sip:asr-gateway@localhost"
    config.mediaConfig.useLoopMedTp = True
    config.mediaConfig.lockCodecEnabled = False
    # else offers of SAVP are refused before they can be looked at
    config.mediaConfig.srtpUse, config.mediaConfig.srtpSecureSignaling = 1, 0
    return config


def described(number: int, request: Request, rdata: Any, offer: str) -> Incoming:
    """Returns the event for an INVITE."""
    sent, to = request.first("from"), request.first("to")
    via = request.first("via").upper()
    return Incoming(
        dialog=number,
        sip_call_id=request.first("call-id"),
        from_tag=tag_of(sent),
        to_tag="",
        request_uri=request.uri,
        from_uri=uri_of(sent),
        to_uri=uri_of(to),
        source=rdata.srcAddress,
        transport=next((name for name in ("tcp", "tls") if via.startswith(f"SIP/2.0/{name.upper()}")), "udp"),
        headers=request.headers,
        offer=clean(offer),
    )
