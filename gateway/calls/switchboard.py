"""Where signalling, media and calls meet: what happens when a dialog begins, changes and ends."""

from __future__ import annotations

import asyncio
import base64
import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import count
from typing import Protocol, TypedDict

import structlog

from gateway.asr.engine import Engine
from gateway.asr.routes import Facts
from gateway.calls.call import Call
from gateway.calls.identity import Identity, facts_of, identify
from gateway.calls.leg import Leg
from gateway.calls.registry import Registry
from gateway.config import Settings
from gateway.media import rtcp
from gateway.media.chunks import Chunk, Control, Digit
from gateway.media.ports import Lease, NoFreePortError, PortPool
from gateway.media.receiver import Receiver
from gateway.media.rtcp import Reporter
from gateway.sip import messages

log = structlog.get_logger()

# RTP that was under way when the BYE overtook it is still taken (seconds).
STRAGGLERS = 0.1
# How often legs are told that time passes, for what no packet announces (seconds).
TICK = 0.2


class Signalling(Protocol):
    """The link to the signalling process, as far as it is needed here."""

    def send(self, message: messages.Message) -> None:
        """Sends a command."""


class Chooser(Protocol):
    """Says who recognises a leg."""

    def choose(self, facts: Facts) -> tuple[str, Sequence[Engine]]:
        """Returns the name of the route that a leg takes, and its engines in order of preference."""


class Counters(Protocol):
    """What the metrics count here."""

    def call_refused(self, cause: str) -> None:
        """An INVITE was refused."""

    def leg_up(self) -> None:
        """A leg was answered."""

    def leg_down(self, reason: str) -> None:
        """A leg ended."""


@dataclass(slots=True)
class _Dialog:
    """A dialog from its INVITE on, and what hangs on it."""

    number: int
    incoming: messages.Incoming
    identity: Identity
    lease: Lease
    media: messages.Media | None = None
    leg: Leg | None = None
    call: Call | None = None
    early: list[Chunk | Digit] = field(default_factory=list)
    rtcp: Reporter | None = None
    signalling_lost: bool = False
    removed: bool = False
    ending: str = ""
    since: float = 0.0


class Switchboard:
    """Turns the events of signalling and media into calls.

    Args:
        settings: The configuration.
        engines: Says who recognises.
        registry: The calls.
        receiver: Takes the RTP.
        counters: The metrics.
    """

    def __init__(
        self, settings: Settings, engines: Chooser, registry: Registry, receiver: Receiver, counters: Counters
    ) -> None:
        self._settings = settings
        self._engines = engines
        self._registry = registry
        self._receiver = receiver
        self._counters = counters
        media = settings.media
        self._ports = PortPool(media.address, media.port_min, media.port_max, media.quarantine_seconds)
        self._dialogs: dict[int, _Dialog] = {}  # by the signalling process's number
        self._legs: dict[int, _Dialog] = {}  # by the receiver's number
        self._numbers = count(1)
        self._loop = asyncio.get_running_loop()
        self._signalling: Signalling | None = None
        self.idle = asyncio.Event()
        self.idle.set()

    def connect(self, signalling: Signalling) -> None:
        """Takes the link through which commands go."""
        self._signalling = signalling

    @property
    def legs(self) -> int:
        """Legs that are connected."""
        return len(self._legs)

    # signalling

    def on_message(self, message: messages.Message) -> None:
        """Takes an event of the signalling process."""
        match message:
            case messages.Incoming():
                self._incoming(message)
            case messages.Media():
                self._media(message)
            case messages.Established(dialog):
                self._established(dialog)
            case messages.Ended():
                self._ended(message)
            case messages.Refused(code, cause, source):
                self._counters.call_refused(cause)
                log.warning("call_refused", code=code, cause=cause, source=source)

    def on_signalling_lost(self) -> None:
        """The signalling process died: its dialogs are gone, the media of their legs may go on."""
        for dialog in self._dialogs.values():
            dialog.signalling_lost = True
            if dialog.leg is None:
                self._release(dialog)
        self._dialogs.clear()

    def _incoming(self, incoming: messages.Incoming) -> None:
        if self._signalling is None:
            return
        try:
            lease = self._ports.lease(time.monotonic())
        except NoFreePortError as error:
            self._counters.call_refused("no_port")
            log.error("call_refused", code=503, cause="no_port", text=str(error))
            retry_after = self._settings.sip.retry_after
            self._signalling.send(messages.Reject(incoming.dialog, 503, retry_after))
            return
        identity = identify(incoming, self._settings.calls)
        self._dialogs[incoming.dialog] = _Dialog(next(self._numbers), incoming, identity, lease)
        self.idle.clear()
        address = self._settings.media.advertise or self._settings.media.address
        self._signalling.send(messages.Accept(incoming.dialog, address, lease.port))

    def _media(self, media: messages.Media) -> None:
        dialog = self._dialogs.get(media.dialog)
        if dialog is None:
            return
        codecs = {int(payload_type): codec for payload_type, codec in media.codecs.items()}
        remote = (media.remote_address, media.remote_port) if media.remote_port and _numeric(media) else None
        terms: _Terms = {
            "telephone_event": media.telephone_event,
            "comfort_noise": media.comfort_noise,
            "rtcp_port": media.rtcp_port,
            "mux": media.rtcp_mux,
            "srtp": _keys(media),
            "keepalive": next(iter(codecs)) if media.sends else -1,
        }
        first, dialog.media = dialog.media is None, media
        if first:
            rtp_fd, rtcp_fd, ssrc = dialog.lease.rtp.fileno(), dialog.lease.rtcp.fileno(), secrets.randbits(32)
            self._receiver.add(dialog.number, rtp_fd, codecs=codecs, remote=remote, rtcp_fd=rtcp_fd, ssrc=ssrc, **terms)
            dialog.rtcp = Reporter(ssrc, secrets.token_urlsafe(12), time.monotonic())
            self._legs[dialog.number] = dialog
        else:
            self._receiver.update(dialog.number, codecs=codecs, remote=remote, **terms)
            if dialog.leg is not None and dialog.call is not None:
                dialog.call.hold(dialog.leg, held=media.held)

    def _established(self, number: int) -> None:
        dialog = self._dialogs.get(number)
        if dialog is None or dialog.media is None or dialog.leg is not None:
            return
        codec = next(iter(dialog.media.codecs.values()))
        call = self._registry.call_for(dialog.identity)
        name = call.free_name(dialog.identity.leg)
        facts = facts_of(dialog.incoming, dialog.identity)
        route, engines = self._engines.choose(facts)
        log.info("leg_routed", call=call.id, leg=name, route=route, engines=[engine.name for engine in engines])
        dialog.leg = Leg(dialog.number, name, dialog.incoming.sip_call_id, codec, engines, self._settings, owner=call)
        dialog.call = call
        dialog.since = time.monotonic()
        call.add(dialog.leg)
        self._counters.leg_up()
        call.hold(dialog.leg, held=dialog.media.held)
        early, dialog.early = dialog.early, []
        for item in early:
            self._hand_over(dialog, item)

    def _ended(self, ended: messages.Ended) -> None:
        dialog = self._dialogs.pop(ended.dialog, None)
        if dialog is None:
            return
        if ended.reason == "failed":
            log.warning("dialog_failed", code=ended.code, text=ended.text, sip_call_id=dialog.incoming.sip_call_id)
        self._end(dialog, ended.reason)

    # media

    def on_media(self) -> None:
        """Takes what the receiver has ready."""
        for item in self._receiver.drain():
            dialog = self._legs.get(item.leg)
            if dialog is None:
                continue
            if isinstance(item, Control):
                self._control(dialog, item)
            else:
                self._hand_over(dialog, item)

    def _control(self, dialog: _Dialog, control: Control) -> None:
        """Takes RTCP of a leg's peer."""
        try:
            said = rtcp.parse(control.packet)
        except rtcp.RtcpError as error:
            log.debug("rtcp_malformed", text=str(error))
            return
        for report in said.reports:
            if dialog.rtcp is not None:
                dialog.rtcp.heard(report, control.arrived)
            if dialog.leg is not None and control.timestamp >= 0 and report.wall_ns:
                ahead = (report.timestamp - control.timestamp + 2**31) % 2**32 - 2**31
                dialog.leg.timeline.anchor.reported(control.sample + ahead, report.wall_ns, control.arrived)

    def _hand_over(self, dialog: _Dialog, item: Chunk | Digit) -> None:
        last = isinstance(item, Chunk) and item.last
        if dialog.leg is None or dialog.call is None:
            # Peers send from the 200 on, words and all. The ACK comes, or the dialog ends, within 32 s (RFC 3261,
            # timer H), which bounds this.
            dialog.early.append(item)
            if last:
                self._release(dialog)
        elif isinstance(item, Digit):
            dialog.leg.digit(item)
        else:
            dialog.leg.chunk(item)
            if last:
                dialog.call.account(dialog.leg, self._receiver.stats(item.leg))
                self._hung_up(dialog)

    def tick(self) -> None:
        """Lets time pass; to be called every ``TICK`` seconds."""
        now = time.monotonic()
        limit = self._settings.calls.rtp_timeout_seconds
        for dialog in list(self._legs.values()):
            if dialog.leg is None or dialog.removed:
                continue
            dialog.leg.tick()
            stats = self._receiver.stats(dialog.number)
            if self._settings.media.rtcp and dialog.rtcp is not None and dialog.rtcp.due(now):
                report = dialog.rtcp.report(stats, now, random.random())  # noqa: S311 (spreads reports over time)
                self._receiver.send_control(dialog.number, report)
            if not limit or dialog.ending or (dialog.leg.held and not dialog.signalling_lost):
                continue
            heard = stats.last_arrival / 1e9
            if now - max(heard, dialog.since) > limit:
                self._silent(dialog)

    def withhold(self, call: str, *, withheld: bool, leg: str = "") -> int:
        """Begins or ends sensitive input.

        Args:
            call: The call's id.
            withheld: Whether audio and keys are withheld from now on.
            leg: The leg's name; empty for all legs of the call.

        Returns:
            How many connected legs of the call have the name.
        """
        found = [
            dialog.leg
            for dialog in self._legs.values()
            if dialog.leg is not None and dialog.call is not None and dialog.call.id == call
            if leg in ("", dialog.leg.name)
        ]
        for one in found:
            one.withhold(withheld=withheld)
        return len(found)

    def hang_up_all(self) -> None:
        """Ends every dialog, because the gateway goes down."""
        for number, dialog in list(self._dialogs.items()):
            dialog.ending = dialog.ending or "drained"
            if self._signalling is not None:
                self._signalling.send(messages.Hangup(number))
        for dialog in list(self._legs.values()):
            if dialog.signalling_lost:
                self._end(dialog, "signalling_lost")

    def close(self) -> None:
        """Drops every leg at once."""
        for dialog in self._legs.values():
            if dialog.leg is not None:
                dialog.leg.abort()

    # inside

    def _silent(self, dialog: _Dialog) -> None:
        """Ends a leg that gets no RTP any more."""
        if dialog.signalling_lost:
            self._end(dialog, "signalling_lost")
            return
        dialog.ending = "rtp_timeout"
        log.warning("rtp_timeout", sip_call_id=dialog.incoming.sip_call_id)
        for number, known in self._dialogs.items():
            if known is dialog and self._signalling is not None:
                self._signalling.send(messages.Hangup(number))

    def _end(self, dialog: _Dialog, reason: str) -> None:
        dialog.ending = dialog.ending or reason
        if dialog.media is None:
            self._release(dialog)
        else:
            self._loop.call_later(STRAGGLERS, self._remove, dialog)

    def _remove(self, dialog: _Dialog) -> None:
        dialog.removed = True
        self._receiver.remove(dialog.number)

    def _hung_up(self, dialog: _Dialog) -> None:
        """The last chunk of a leg is out."""
        call, leg = dialog.call, dialog.leg
        self._release(dialog)
        if call is None or leg is None:
            return
        self._counters.leg_down(dialog.ending)
        call.hung_up(leg)
        if not call.up:
            wait = self._settings.calls.linger_seconds if call.key else 0.0
            self._loop.call_later(wait, self._end_call, call, dialog.ending)

    def _end_call(self, call: Call, reason: str) -> None:
        if not call.up and not call.ended:
            call.end(reason)

    def _release(self, dialog: _Dialog) -> None:
        self._legs.pop(dialog.number, None)
        self._ports.release(dialog.lease, time.monotonic())
        if not self._legs and not self._dialogs:
            self.idle.set()


class _Terms(TypedDict):
    """What ``Receiver.add`` and ``update`` take alike, codecs and address aside."""

    telephone_event: int
    comfort_noise: int
    rtcp_port: int
    mux: bool
    srtp: tuple[str, bytes, bytes] | None
    keepalive: int


def _keys(media: messages.Media) -> tuple[str, bytes, bytes] | None:
    """Returns SRTP's suite and keys; None for plain RTP."""
    if not media.srtp:
        return None
    return media.srtp["suite"], base64.b64decode(media.srtp["remote"]), base64.b64decode(media.srtp["local"])


def _numeric(media: messages.Media) -> bool:
    """Whether the SDP names a numeric address; where it has a name, the source is learnt from the packets."""
    try:
        ip_address(media.remote_address)
    except ValueError:
        return False
    return True
