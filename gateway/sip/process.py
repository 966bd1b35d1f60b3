"""The signalling process: a SIP user agent server on pjsua2, and nothing else.

``python -m gateway.sip.process FD FIRST`` takes commands and tells events over the inherited socket FD, and numbers its
dialogs from FIRST. It handles no RTP: the loop media transport opens no socket, and every SDP on the wire is ours.

Everything happens on one thread, which takes turns between the stack and the link: pjsua2 has no worker threads here,
so each of its callbacks runs inside ``libHandleEvents``.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gateway.sip.access import Peer
from gateway.sip.account import GatewayAccount, account_config, described
from gateway.sip.admission import Admission, Admitted, Refusal
from gateway.sip.build import BuildError, installed
from gateway.sip.commands import Accept, Drain, Hangup, Ping, Reject, Reload, Setup, Spare, Stop
from gateway.sip.defence import Rules, openness
from gateway.sip.dialog import Dialog
from gateway.sip.dialog_call import DialogCall
from gateway.sip.events import Fault, Offence, Pong, Ready, Refused, Reloaded, StackLog, Wire
from gateway.sip.gate import Gate
from gateway.sip.messages import Message, MessageError
from gateway.sip.pipe import Pipe, PipeClosedError
from gateway.sip.registration import RegisteredAccount, Registration
from gateway.sip.request import Request, clean, read
from gateway.sip.sdp import SdpError
from gateway.sip.secrets import without_secrets
from gateway.sip.siprec import is_recording
from gateway.sip.stack import StackWriter, StartError, endpoint_config, guarded, headers, operation, pj, reason
from gateway.sip.transports import Transports

TURN_MS = 5
"""Longest wait for the stack before the link is looked at."""
FAREWELL_SECONDS = 1.0
"""How long the answers to our last BYEs are waited for."""


class GatewayEndpoint(pj.Endpoint if pj else object):  # type: ignore[misc]
    """The stack."""

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.agent = agent

    @guarded
    def onRejectedIncomingCall(self, prm: Any) -> None:  # noqa: N802
        """The stack refused an INVITE before it became a call."""
        self.agent.stack_refused(prm.statusCode, prm.rdata.srcAddress)

    @guarded
    def onTransportState(self, prm: Any) -> None:  # noqa: N802
        """A connection came up or went down."""
        self.agent.transports.changed(prm)


class Agent:
    """The user agent: the stack on one side, the link on the other.

    Attributes:
        closed: The gateway is gone.
        transports: Where it listens; there once ``start`` has returned.
        gate: Who is let in; there likewise.
    """

    transports: Transports
    gate: Gate

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
        self._registrations: list[RegisteredAccount] = []
        self._admission = Admission(self._setup)
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._calls: dict[int, DialogCall] = {}
        self._of_peer: Counter[str] = Counter()
        self._over: list[DialogCall] = []
        self._retry_after = 0
        self._stopping = False
        self._untold = 0  # copies of SIP messages dropped since the last that was not

    # What the stack's callbacks use.

    def send(self, message: Message) -> None:
        """Sends an event up."""
        self._pipe.send(message)

    def log(self, level: int, text: str) -> None:
        """Sends a log line up; a closed link is noticed elsewhere."""
        try:
            self._pipe.send(StackLog(level, without_secrets(clean(text.rstrip()))))
        except PipeClosedError:
            self.closed = True

    def wired(self, message: Wire) -> None:
        """Sends a copy of a SIP message up; it may be dropped, which the next one tells."""
        before = self._pipe.dropped
        try:
            self._pipe.send(replace(message, dropped=self._untold))
        except PipeClosedError:
            self.closed = True
        self._untold = self._untold + 1 if self._pipe.dropped > before else 0

    def forget(self, call: DialogCall) -> None:
        """Lets go of a call; its object lives until its callback has returned."""
        if self._calls.pop(call.dialog.number, None) is not None and call.peer:
            self._of_peer[call.peer] -= 1
        self._over.append(call)
        self.gate.unpin(call.dialog.number)
        self._weigh()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Has something done outside of the stack's callbacks."""
        self._timers.append((time.monotonic() + seconds, action))

    def incoming(self, account: GatewayAccount, call_id: int, rdata: Any) -> None:
        """Refuses an INVITE, asks for credentials, or tells the gateway of it."""
        request, source = read(rdata.wholeMsg), rdata.srcAddress
        offer = request.sdp
        call = DialogCall(self, account, call_id, Dialog(self._next), offer)
        self._next += 1
        self._calls[call.dialog.number] = call
        verdict = self._admission.judge(request, source, self.transports.subjects(source), account, time.monotonic())
        if isinstance(verdict, Refusal):
            if verdict.cause:
                self.send(Refused(verdict.code, verdict.cause, source))
                self.send(Offence(source, verdict.cause, 1))
            if verdict.cause == "unauthorized":
                self.gate.failed(source)
            call.dialog.ask("refused")
            self._refuse(call, verdict.code, more=verdict.headers)
            return
        self.gate.proved(source)
        self._of_peer[verdict.peer] += 1
        call.peer, call.dialog.terms, call.dialog.recording = verdict.peer, verdict.terms, is_recording(request)
        if (refusal := self._refusal(request, call.dialog, verdict)) is not None:
            code, cause = refusal
            call.dialog.ask("refused")
            self.send(Refused(code, cause, source))
            self._refuse(call, code, self._retry_after or self._setup.retry_after if code == 503 else 0)
            return
        call.told = True
        self.gate.pin(call.dialog.number, request.first("call-id"))
        self._weigh()
        self.send(described(call.dialog, request, rdata, offer, verdict.peer))
        if "100rel" in ",".join(request.headers.get("require", [])).lower():
            call.answer(operation(180))  # a caller that insists on PRACK gets something to acknowledge (RFC 3262)

    def registered(self) -> None:
        """Lets in the registrars that hold a registration: calls come from there."""
        self.gate.let_in(account.source for account in self._registrations)

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
        self._admission = Admission(self._setup, self._registrations)
        peers = openness(Peer(**peer) for peer in self._setup.peers)
        self.gate = Gate(Rules(**self._setup.defence), peers, self._setup.retry_after)
        self._endpoint = GatewayEndpoint(self)
        self._endpoint.libCreate()
        self._writer = StackWriter(self, self._setup)
        self._endpoint.libInit(endpoint_config(self._setup, build.capacity, self._writer))
        self._endpoint.audDevManager().setNoDev()
        self.gate.start()
        self.transports = Transports(self._endpoint, self._setup.advertise, self._setup.tls, build.name)
        listening = [self.transports.listen(address) for address in self._setup.listen]
        self._endpoint.libStart()
        self._account = GatewayAccount(self)
        self._account.create(account_config(self._setup))
        for wanted in self._setup.registrations:
            self._registrations.append(RegisteredAccount(self, Registration(**wanted), self._setup))
        version = self._endpoint.libVersion().full
        self.send(Ready(version, build.name, build.capacity, listening))
        for account in self._registrations:
            account.begin()

    def run(self) -> None:
        """Serves until told to stop, or until the gateway is gone."""
        while not (self._stopping or self.closed):
            self._turn()
        for call in list(self._calls.values()):
            self._hang_up(call)
        until = time.monotonic() + FAREWELL_SECONDS
        for account in self._registrations:
            account.leave()
        while (self._calls or any(account.holds for account in self._registrations)) and time.monotonic() < until:
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
        if self._timers:
            self._due(time.monotonic())
        try:
            for news in self.gate.news(time.monotonic()):
                self.send(news)
            self._pipe.flush()
            for message in self._pipe.receive():
                self._command(message)
        except PipeClosedError:
            self.closed = True

    def _due(self, now: float) -> None:
        due = [action for at, action in self._timers if at <= now]
        self._timers = [timer for timer in self._timers if timer[0] > now]
        for action in due:
            try:
                action()
            except pj.Error as error:
                self.log(1, reason(error))

    def _command(self, message: Message) -> None:
        match message:
            case Stop():
                self._stopping = True
            case Ping(number):
                self.send(Pong(number))
            case Reload():
                self._reload()
            case Drain(retry_after=seconds):
                self._retry_after = seconds
                for account in self._registrations:
                    account.leave()
                self.gate.drain(seconds)
            case Accept() | Spare() | Reject() | Hangup():
                # a dialog that ended while the command was on its way is no fault
                if call := self._calls.get(message.dialog):
                    self._obey(call, message)
            case _:
                raise MessageError(f"{type(message).__name__} is not a command")

    def _obey(self, call: DialogCall, message: Accept | Spare | Reject | Hangup) -> None:
        try:
            if isinstance(message, Accept):
                call.accept(message.address, message.ports)
            elif isinstance(message, Spare):
                call.dialog.spare(message.ports)
            elif isinstance(message, Hangup):
                self._hang_up(call)
            elif call.dialog.ask("refused"):
                self._refuse(call, message.code, message.retry_after)
        except (pj.Error, SdpError) as error:
            self.log(1, f"dialog {call.dialog.number}: {type(message).__name__} failed: {reason(error)}")
            if isinstance(message, Accept):
                self._give_up(call)

    def _hang_up(self, call: DialogCall) -> None:
        if call.dialog.ask("hangup"):
            parameters = pj.CallOpParam()
            if not call.dialog.established:
                parameters.statusCode = 480
            call.hangup(parameters)

    def _give_up(self, call: DialogCall) -> None:
        """Ends a call whose answer failed; where the stack has given up on it itself, its last state tells the end."""
        try:
            self._refuse(call, 500, 0)
        except pj.Error as error:
            self.log(1, f"dialog {call.dialog.number}: refusal failed: {reason(error)}")

    def _refuse(
        self, call: DialogCall, code: int, retry_after: int = 0, *, more: Sequence[tuple[str, str]] = ()
    ) -> None:
        parameters = operation(code)
        lines = [*more, ("Retry-After", str(retry_after))] if retry_after else list(more)
        if lines:
            parameters.txOption.headers = headers(lines)
        call.answer(parameters)

    def _reload(self) -> None:
        try:
            self.transports.reload()
        except StartError as error:
            self.send(Reloaded(str(error)))
        else:
            self.send(Reloaded(""))

    def _weigh(self) -> None:
        """Tells the gate whether a further call is taken."""
        self.gate.load(full=len(self._calls) >= self._setup.max_calls)

    def _refusal(self, request: Request, dialog: Dialog, peer: Admitted) -> tuple[int, str] | None:
        if self._retry_after:
            return 503, "draining"
        if len(self._calls) > self._setup.max_calls:
            return 503, "full"
        if peer.max_calls and self._of_peer[peer.peer] > peer.max_calls:
            return 503, "peer_full"
        if offer := request.sdp:
            try:
                dialog.check(offer)
            except SdpError as error:
                self.log(3, f"dialog {dialog.number}: {error}")
                return 488, "no_common_codec"
        elif request.body.strip() and not request.metadata:
            return 415, "no_common_codec"
        return None

    def _first(self) -> Setup:
        self._pipe.wait()
        message = next(self._pipe.receive(), None)
        if not isinstance(message, Setup):
            raise StartError("the first message on the link must be Setup")
        return message


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
