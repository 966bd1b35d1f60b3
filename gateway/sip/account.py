"""The account under which calls come in, and what an INVITE tells the gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gateway.sip.commands import Setup
from gateway.sip.dialog import Dialog
from gateway.sip.events import Incoming
from gateway.sip.request import Request, clean, tag_of, uri_of
from gateway.sip.stack import Owner, guarded, pj


class AccountOwner(Owner, Protocol):
    """The agent, as its accounts see it."""

    def incoming(self, account: GatewayAccount, call_id: int, rdata: Any) -> None:
        """Takes an INVITE."""

    def registered(self) -> None:
        """Takes note that a registrar has accepted a registration."""

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Has something done outside of the stack's callbacks."""


class GatewayAccount(pj.Account if pj else object):  # type: ignore[misc]
    """The account under which all calls come in."""

    def __init__(self, agent: AccountOwner) -> None:
        super().__init__()
        self.agent = agent

    @guarded
    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802
        """An INVITE outside a dialog."""
        self.agent.incoming(self, prm.callId, prm.rdata)


def account_config(setup: Setup) -> Any:
    """Returns the settings of an account: the one for trunks as it is."""
    config = pj.AccountConfig()
    config.idUri = "sip:asr-gateway@localhost"
    config.mediaConfig.useLoopMedTp = True
    config.mediaConfig.lockCodecEnabled = False
    # else offers of SAVP are refused before they can be looked at
    config.mediaConfig.srtpUse, config.mediaConfig.srtpSecureSignaling = 1, 0
    if hasattr(config.callConfig, "siprecUse"):  # not in the quick build
        config.callConfig.siprecUse = pj.PJSUA_SIP_SIPREC_OPTIONAL
        # in the Contact of every response: a recording server (RFC 7866, section 6.2)
        config.sipConfig.contactParams = ";+sip.srs"
    config.callConfig.prackUse = pj.PJSUA_100REL_OPTIONAL
    config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_OPTIONAL
    config.callConfig.timerSessExpiresSec = setup.session_seconds
    config.callConfig.timerMinSESec = setup.min_session_seconds
    return config


def described(dialog: Dialog, request: Request, rdata: Any, offer: str, peer: str) -> Incoming:
    """Returns the event for an INVITE.

    Raises:
        SdpError: There is no answer to its offer.
    """
    sent, to = request.first("from"), request.first("to")
    via = request.first("via").upper()
    return Incoming(
        dialog=dialog.number,
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
        peer=peer,
        recording=dialog.recording,
        streams=dialog.streams(offer) if offer else 1,
        metadata=request.metadata,
    )
