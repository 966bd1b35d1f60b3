"""A dialog on the stack: pjsua2's call object, which asks ``gateway.sip.dialog`` for every SDP."""

from __future__ import annotations

import random
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Protocol

from gateway.sip import info
from gateway.sip.dialog import Dialog
from gateway.sip.events import Metadata, Pressed, Recorded
from gateway.sip.request import Request, clean, read, tag_of
from gateway.sip.sdp import Negotiated, SdpError
from gateway.sip.stack import Owner, guarded, operation, pj

PENDING = 491
GLARE_SECONDS = 2.0
"""Longest wait before what crossed another offer is sent again, by who did not choose the Call-ID (RFC 3261, 14.1)."""


class CallOwner(Owner, Protocol):
    """The agent, as its calls see it."""

    def forget(self, call: DialogCall) -> None:
        """Lets go of a call that is over."""

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Has something done outside of the stack's callbacks."""


class DialogCall(pj.Call if pj else object):  # type: ignore[misc]
    """A dialog as pjsua2 sees it.

    Attributes:
        told: The gateway knows of it; what we refuse by ourselves it hears of by ``Refused`` alone.
        peer: Whose it is; empty until that is known.
    """

    def __init__(self, agent: CallOwner, account: Any, call_id: int, dialog: Dialog, offer: str) -> None:
        super().__init__(account, call_id)
        self.offer = offer
        self.told = False
        self.peer = ""
        self.agent = agent
        self.dialog = dialog

    @guarded
    def onCallTsxState(self, prm: Any) -> None:  # noqa: N802 (pjsua2 names its callbacks)
        """A transaction changed: a re-INVITE or an UPDATE may have brought metadata, an INFO a key.

        What we send shows our tag, which the stack does not tell otherwise.
        """
        state = prm.e.body.tsxState
        if state.type == pj.PJSIP_EVENT_TX_MSG and not self.dialog.to_tag and state.tsx.method == "INVITE":
            self.dialog.to_tag = tag_of(read(state.src.tdata.wholeMsg).first("to"))
        if state.type != pj.PJSIP_EVENT_RX_MSG:
            return
        if state.tsx.role != pj.PJSIP_ROLE_UAS:
            if (state.tsx.method, state.tsx.statusCode) == ("INVITE", PENDING):
                self.agent.later(random.uniform(0.0, GLARE_SECONDS), self._refresh)  # noqa: S311 (to miss the peer)
            return
        if self.told and state.tsx.method in ("INVITE", "UPDATE", "INFO"):
            request = read(state.src.rdata.wholeMsg)
            if request.method == "INFO":
                self._informed(request)
            elif request.method == state.tsx.method and (metadata := request.metadata):
                self.agent.send(Metadata(self.dialog.number, metadata))

    @guarded
    def onCallTransferRequest(self, prm: Any) -> None:  # noqa: N802
        """A peer wants us to call somebody (REFER): the gateway calls nobody."""
        prm.statusCode = 603

    @guarded
    def onCallReplaceRequest(self, prm: Any) -> None:  # noqa: N802
        """A call wants to take this one's place (Replaces, RFC 3891), and its audio with it: it may not."""
        prm.statusCode = 603

    @guarded
    def onCallRxOffer(self, prm: Any) -> None:  # noqa: N802
        """A re-INVITE or UPDATE with an offer; what we cannot answer gets 488 and changes nothing."""
        try:
            self.dialog.check(prm.offer.wholeSdp)
        except SdpError as error:
            prm.statusCode = 488
            self.agent.log(2, f"dialog {self.dialog.number}: offer refused with 488: {error}")

    @guarded
    def onCallSdpCreated(self, prm: Any) -> None:  # noqa: N802
        """The stack wants an answer, or an offer; its own goes, ours comes.

        The answer to the first offer is asked for at once, before the gateway has given a port: there a draft is left,
        and ``accept`` gives the answer.
        """
        if not self.told:
            return
        offer = prm.remSdp.wholeSdp
        prm.sdp.wholeSdp = self.dialog.answer_to(offer) if offer else self.dialog.offer()

    def accept(self, address: str, ports: list[int]) -> None:
        """Answers the INVITE with 200.

        Raises:
            SdpError: There is no answer to its offer.
            pj.Error: The stack did not take it.
        """
        self.dialog.accept(address, ports)
        parameters = operation(200)
        if self.offer:
            parameters.sdp.wholeSdp = self.dialog.answer_to(self.offer)
        self.answer(parameters)

    @guarded
    def onCallMediaState(self, _prm: Any) -> None:  # noqa: N802
        """Offer and answer are complete."""
        if not self.dialog.keyless:
            self._tell_media()

    @guarded
    def onCallState(self, prm: Any) -> None:  # noqa: N802
        """The dialog was confirmed, or is over."""
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            if self.dialog.keyless and prm.e.type == pj.PJSIP_EVENT_RX_MSG:
                self.dialog.keys_from(read(prm.e.body.rxMsg.rdata.wholeMsg).sdp)
                self._tell_media()
            if established := self.dialog.confirmed():
                self.agent.send(established)
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            transaction = prm.e.body.tsxState.tsx if prm.e.type == pj.PJSIP_EVENT_TSX_STATE else None
            bye = transaction is not None and transaction.method == "BYE" and transaction.role == pj.PJSIP_ROLE_UAS
            ended = self.dialog.ended(info.lastStatusCode, clean(info.lastReason), bye=bye)
            self.agent.forget(self)
            if ended and self.told:
                self.agent.send(ended)

    def _refresh(self) -> None:
        """Sends a session refresh again that crossed a re-INVITE; the stack does so with UPDATE alone.

        Without it the session ends when its time is up (RFC 4028, section 10), if the peer's own does not renew it.
        """
        if not self.dialog.over:
            self.reinvite(pj.CallOpParam())

    def _informed(self, request: Request) -> None:
        if (key := info.pressed(request)) is not None:
            self.agent.send(Pressed(self.dialog.number, key.key, key.duration_ms))
        if (on := info.recorded(request)) is not None:
            self.agent.send(Recorded(self.dialog.number, on))

    def _tell_media(self) -> None:
        if self.dialog.offered:
            self.dialog.take({line: self._answered(line) for line in self.dialog.lines})
        self.agent.send(self.dialog.media())

    def _answered(self, line: int) -> Negotiated:
        """Reads the peer's answer to our own offer from the stack, which keeps no SDP of it.

        Both payload types of our offer are static, so either may come, whichever the peer prefers to send.
        """
        stream = self.getStreamInfo(line)
        address, _, port = stream.remoteRtpAddress.rpartition(":")
        chosen = {8: "alaw", 0: "mulaw"} if stream.txPt == 8 else {0: "mulaw", 8: "alaw"}
        control, _, control_port = stream.remoteRtcpAddress.rpartition(":")
        numeric = ip_address(address.strip("[]"))
        return Negotiated(
            index=line,
            codecs=chosen,
            telephone_event=stream.audRxEventPt,
            comfort_noise=13,
            remote_address=str(numeric),
            remote_port=int(port),
            held=not stream.dir & pj.PJMEDIA_DIR_DECODING or numeric.is_unspecified,
            label="",
            sends=self.dialog.terms.sends,
            rtcp_port=int(control_port) if control == address else 0,
        )
