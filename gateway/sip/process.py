"""The signalling process: a SIP user agent server on pjsua2, and nothing else.

``python -m gateway.sip.process FD FIRST`` speaks ``gateway.sip.messages`` over the inherited socket FD and numbers its
dialogs from FIRST. It handles no RTP: the loop media transport opens no socket, and every SDP on the wire is ours.

Everything happens on one thread, which takes turns between the stack and the link: pjsua2 has no worker threads here,
so each of its callbacks runs inside ``libHandleEvents``.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, TypeVar

from gateway.sip.access import Access
from gateway.sip.build import BuildError, installed
from gateway.sip.dialog import Dialog
from gateway.sip.messages import (
    Accept,
    Drain,
    Fault,
    Hangup,
    Incoming,
    Message,
    MessageError,
    Ready,
    Refused,
    Reject,
    Setup,
    StackLog,
    Stop,
)
from gateway.sip.pipe import Pipe, PipeClosedError
from gateway.sip.request import Request, clean, read, tag_of, uri_of
from gateway.sip.sdp import Negotiated, SdpError

try:
    import pjsua2 as pj
except ImportError:  # told to the gateway by installed()
    pj = None

TURN_MS = 5
"""Longest wait for the stack before the link is looked at."""
FAREWELL_SECONDS = 1.0
"""How long the answers to our last BYEs are waited for."""
MOST_STREAMS = 16

_AUTHORIZATION = re.compile(r"^((?:Proxy-)?Authorization\s*:).*$", re.IGNORECASE | re.MULTILINE)
F = TypeVar("F", bound=Callable[..., None])


class StartError(Exception):
    """The stack does not start; the message says what to do."""


def guarded(callback: F) -> F:
    """Keeps a callback's exception from passing through C++, where it would end the process."""

    def call(self: Any, *arguments: Any) -> None:
        try:
            callback(self, *arguments)
        except PipeClosedError:
            self.agent.closed = True
        except Exception as error:
            self.agent.log(1, f"{type(self).__name__}.{callback.__name__}: {type(error).__name__}: {error}")

    return call  # type: ignore[return-value]


class StackWriter(pj.LogWriter if pj else object):  # type: ignore[misc]
    """Takes the stack's log."""

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.agent = agent

    def write(self, entry: Any) -> None:
        """Called by pjlib with one line."""
        self.agent.log(entry.level, entry.msg)


class DialogCall(pj.Call if pj else object):  # type: ignore[misc]
    """A dialog as pjsua2 sees it.

    Attributes:
        told: The gateway knows of it; what we refuse by ourselves it hears of by ``Refused`` alone.
    """

    def __init__(self, agent: Agent, account: Any, call_id: int, dialog: Dialog, offer: str) -> None:
        super().__init__(account, call_id)
        self.offer = offer
        self.told = False
        self.agent = agent
        self.dialog = dialog

    @guarded
    def onCallRxOffer(self, prm: Any) -> None:  # noqa: N802 (pjsua2 names its callbacks)
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

    def accept(self, address: str, port: int) -> None:
        """Answers the INVITE with 200.

        Raises:
            SdpError: There is no answer to its offer.
            pj.Error: The stack did not take it.
        """
        self.dialog.accept(address, port)
        operation = _operation(200)
        if self.offer:
            operation.sdp.wholeSdp = self.dialog.answer_to(self.offer)
        self.answer(operation)

    @guarded
    def onCallMediaState(self, _prm: Any) -> None:  # noqa: N802
        """Offer and answer are complete."""
        if self.dialog.offered:
            self.dialog.take(self._answered())
        self.agent.send(self.dialog.media())

    @guarded
    def onCallState(self, prm: Any) -> None:  # noqa: N802
        """The dialog was confirmed, or is over."""
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            if established := self.dialog.confirmed():
                self.agent.send(established)
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            transaction = prm.e.body.tsxState.tsx if prm.e.type == pj.PJSIP_EVENT_TSX_STATE else None
            bye = transaction is not None and transaction.method == "BYE" and transaction.role == pj.PJSIP_ROLE_UAS
            ended = self.dialog.ended(info.lastStatusCode, clean(info.lastReason), bye=bye)
            self.agent.forget(self)
            if ended and self.told:
                self.agent.send(ended)

    def _answered(self) -> Negotiated:
        """Reads the peer's answer to our own offer from the stack, which keeps no SDP of it.

        Both payload types of our offer are static, so either may come, whichever the peer prefers to send.
        """
        stream = self.getStreamInfo(0)
        address, _, port = stream.remoteRtpAddress.rpartition(":")
        chosen = {8: "alaw", 0: "mulaw"} if stream.txPt == 8 else {0: "mulaw", 8: "alaw"}
        numeric = ip_address(address.strip("[]"))
        return Negotiated(
            index=0,
            codecs=chosen,
            telephone_event=stream.audRxEventPt,
            comfort_noise=13,
            remote_address=str(numeric),
            remote_port=int(port),
            held=not stream.dir & pj.PJMEDIA_DIR_DECODING or numeric.is_unspecified,
            label="",
        )


class GatewayAccount(pj.Account if pj else object):  # type: ignore[misc]
    """The account under which all calls come in."""

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.agent = agent

    @guarded
    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802
        """An INVITE outside a dialog."""
        self.agent.incoming(prm.callId, prm.rdata)


class GatewayEndpoint(pj.Endpoint if pj else object):  # type: ignore[misc]
    """The stack."""

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.agent = agent

    @guarded
    def onRejectedIncomingCall(self, prm: Any) -> None:  # noqa: N802
        """The stack refused an INVITE before it became a call."""
        self.agent.stack_refused(prm.statusCode, prm.rdata.srcAddress)


class Agent:
    """The user agent: the stack on one side, the link on the other.

    Attributes:
        closed: The gateway is gone.
    """

    def __init__(self, pipe: Pipe, first: int) -> None:
        """Prepares; nothing is started.

        Args:
            pipe: The link.
            first: Number of the first dialog.
        """
        self.closed = False
        self._pipe = pipe
        self._next = first
        self._setup = Setup([], "", [], 0, 0, "")
        self._access = Access([])
        self._calls: dict[int, DialogCall] = {}
        self._over: list[DialogCall] = []
        self._retry_after = 0
        self._stopping = False

    # What the stack's callbacks use.

    def send(self, message: Message) -> None:
        """Sends an event up."""
        self._pipe.send(message)

    def log(self, level: int, text: str) -> None:
        """Sends a log line up; a closed link is noticed elsewhere."""
        try:
            self._pipe.send(StackLog(level, clean(_AUTHORIZATION.sub(r"\1 …", text.rstrip()))))
        except PipeClosedError:
            self.closed = True

    def forget(self, call: DialogCall) -> None:
        """Lets go of a call; its object lives until its callback has returned."""
        self._calls.pop(call.dialog.number, None)
        self._over.append(call)

    def incoming(self, call_id: int, rdata: Any) -> None:
        """Refuses an INVITE or tells the gateway of it."""
        request = read(rdata.wholeMsg)
        offer = request.sdp
        call = DialogCall(self, self._account, call_id, Dialog(self._next), offer)
        self._next += 1
        self._calls[call.dialog.number] = call
        if (refusal := self._refusal(rdata.srcAddress, offer, call.dialog)) is not None:
            code, cause = refusal
            call.dialog.ask("refused")
            self.send(Refused(code, cause, rdata.srcAddress))
            self._refuse(call, code, self._retry_after or self._setup.retry_after if code == 503 else 0)
            return
        call.told = True
        self.send(_incoming(call.dialog.number, request, rdata, offer))

    def stack_refused(self, code: int, source: str) -> None:
        """Tells the gateway of an INVITE that the stack refused."""
        if cause := {406: "no_common_codec", 486: "full", 488: "no_common_codec"}.get(code):
            self.send(Refused(code, cause, source))

    # The life of the process.

    def start(self) -> None:
        """Reads the setup and starts listening.

        Raises:
            StartError: It cannot listen, or pjsua2 is missing.
            PipeClosedError: The gateway is gone.
        """
        try:
            build = installed()
        except BuildError as error:
            raise StartError(str(error)) from error
        if pj is None:
            raise StartError("pjsua2 is installed and does not import; build it anew: make pjsip")
        self._setup = self._first()
        self._access = Access(self._setup.networks)
        self._endpoint = GatewayEndpoint(self)
        self._endpoint.libCreate()
        self._endpoint.libInit(self._endpoint_config(build.capacity))
        self._endpoint.audDevManager().setNoDev()
        listening = [self._listen(address) for address in self._setup.listen]
        self._endpoint.libStart()
        self._account = GatewayAccount(self)
        self._account.create(_account_config())
        version = self._endpoint.libVersion().full
        self.send(Ready(version, build.name, build.capacity, listening))

    def run(self) -> None:
        """Serves until told to stop, or until the gateway is gone."""
        while not (self._stopping or self.closed):
            self._turn()
        for call in list(self._calls.values()):
            self._hang_up(call)
        until = time.monotonic() + FAREWELL_SECONDS
        while self._calls and time.monotonic() < until:
            self._turn()

    def close(self) -> None:
        """Shuts the stack down."""
        self._over.clear()
        self._calls.clear()
        if hasattr(self, "_endpoint"):
            self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)

    def _turn(self) -> None:
        self._endpoint.libHandleEvents(TURN_MS)
        self._over.clear()
        if self.closed:
            return
        try:
            self._pipe.flush()
            for message in self._pipe.receive():
                self._command(message)
        except PipeClosedError:
            self.closed = True

    def _command(self, message: Message) -> None:
        match message:
            case Stop():
                self._stopping = True
            case Drain(retry_after=seconds):
                self._retry_after = seconds
                os.environ["PJSUA_DRAINING"] = "1"  # the build for work answers OPTIONS by this, the trial build cannot
            case Accept() | Reject() | Hangup():
                # a dialog that ended while the command was on its way is no fault
                if call := self._calls.get(message.dialog):
                    self._obey(call, message)
            case _:
                raise MessageError(f"{type(message).__name__} is not a command")

    def _obey(self, call: DialogCall, message: Accept | Reject | Hangup) -> None:
        try:
            if isinstance(message, Accept):
                call.accept(message.address, message.port)
            elif isinstance(message, Hangup):
                self._hang_up(call)
            elif call.dialog.ask("refused"):
                self._refuse(call, message.code, message.retry_after)
        except (pj.Error, SdpError) as error:
            self.log(1, f"dialog {call.dialog.number}: {type(message).__name__} failed: {_reason(error)}")
            if isinstance(message, Accept):
                self._give_up(call)

    def _hang_up(self, call: DialogCall) -> None:
        if call.dialog.ask("hangup"):
            operation = pj.CallOpParam()
            if not call.dialog.established:
                operation.statusCode = 480
            call.hangup(operation)

    def _give_up(self, call: DialogCall) -> None:
        """Ends a call whose answer failed; where the stack has given up on it itself, its last state tells the end."""
        try:
            self._refuse(call, 500, 0)
        except pj.Error as error:
            self.log(1, f"dialog {call.dialog.number}: refusal failed: {_reason(error)}")

    def _refuse(self, call: DialogCall, code: int, retry_after: int) -> None:
        operation = _operation(code)
        if retry_after:
            header = pj.SipHeader()
            header.hName, header.hValue = "Retry-After", str(retry_after)
            headers = pj.SipHeaderVector()
            headers.append(header)
            operation.txOption.headers = headers
        call.answer(operation)

    def _refusal(self, source: str, offer: str, dialog: Dialog) -> tuple[int, str] | None:
        if not self._access.allows(source):
            return 403, "unknown_peer"
        if self._retry_after:
            return 503, "draining"
        if len(self._calls) > self._setup.max_calls:
            return 503, "full"
        if offer:
            try:
                dialog.check(offer)
            except SdpError as error:
                self.log(3, f"dialog {dialog.number}: {error}")
                return 488, "no_common_codec"
        return None

    def _first(self) -> Setup:
        self._pipe.wait()
        message = next(self._pipe.receive(), None)
        if not isinstance(message, Setup):
            raise StartError("the first message on the link must be Setup")
        return message

    def _endpoint_config(self, capacity: int) -> Any:
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = False
        config.uaConfig.userAgent = self._setup.user_agent
        # room beyond our own bound, so that it is we who refuse, with Retry-After
        config.uaConfig.maxCalls = min(capacity, self._setup.max_calls + 64)
        # pjsip is built without resampling: any other rate makes every call 488
        config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
        config.logConfig.level = self._setup.log_level
        config.logConfig.consoleLevel = 0
        config.logConfig.msgLogging = self._setup.log_level >= 5
        config.logConfig.decor = 0
        self._writer = StackWriter(self)
        config.logConfig.writer = self._writer
        return config

    def _listen(self, listen: str) -> str:
        transport, _, rest = listen.partition(":")
        address, _, port = rest.rpartition(":")
        six = address.startswith("[")
        config = pj.TransportConfig()
        config.boundAddress, config.port = address.strip("[]"), int(port)
        config.publicAddress = self._setup.advertise
        kind = {
            ("udp", False): pj.PJSIP_TRANSPORT_UDP,
            ("udp", True): pj.PJSIP_TRANSPORT_UDP6,
            ("tcp", False): pj.PJSIP_TRANSPORT_TCP,
            ("tcp", True): pj.PJSIP_TRANSPORT_TCP6,
        }[transport, six]
        try:
            identity = self._endpoint.transportCreate(kind, config)
        except pj.Error as error:
            raise StartError(
                f"cannot listen at {listen}: {error.reason}; stop what uses the port, or change sip.listen"
            ) from error
        bound = self._endpoint.transportGetInfo(identity).localAddress
        return f"{transport}:{address}:{bound.rpartition(':')[2]}"


def _account_config() -> Any:
    config = pj.AccountConfig()
    config.idUri = "sip:asr-gateway@localhost"
    config.mediaConfig.useLoopMedTp = True
    config.mediaConfig.lockCodecEnabled = False
    # else offers of SAVP are refused before they can be looked at
    config.mediaConfig.srtpUse, config.mediaConfig.srtpSecureSignaling = 1, 0
    return config


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", error))


def _operation(code: int) -> Any:
    operation = pj.CallOpParam(True)
    operation.statusCode = code
    operation.opt.audioCount, operation.opt.videoCount, operation.opt.textCount = MOST_STREAMS, 0, 0
    return operation


def _incoming(number: int, request: Request, rdata: Any, offer: str) -> Incoming:
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


def main(arguments: list[str]) -> int:
    """Runs the process.

    Args:
        arguments: The number of the inherited socket and the number of the first dialog.

    Returns:
        0 when told to stop or when the gateway went away, 1 when it could not start.
    """
    # a stop comes over the link; signals to the whole process group or control group are for the gateway
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    descriptor, first = map(int, arguments)
    # libraries may have opened descriptors that are inheritable: RTP ports must not stay bound here
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, os.sysconf("SC_OPEN_MAX"))
    pipe = Pipe(socket.socket(fileno=descriptor))
    agent = Agent(pipe, first)
    try:
        agent.start()
        agent.run()
    except PipeClosedError:
        return 0
    except (StartError, MessageError, ValueError) as error:
        pipe.send(Fault(str(error)))
        return 1
    finally:
        agent.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
