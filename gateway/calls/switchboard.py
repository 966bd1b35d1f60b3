"""Where signalling, media and calls meet: what happens when a dialog begins, changes and ends."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Protocol

import structlog

from gateway.asr.engine import Engine
from gateway.asr.routes import Facts
from gateway.calls.call import Call
from gateway.calls.identity import facts_of, identify, leg_name, mask
from gateway.calls.leg import WIRE_SILENCE, Leg
from gateway.calls.registry import Registry
from gateway.calls.reports import Reports
from gateway.calls.streams import Dialog, Stream, recording_of, terms
from gateway.calls.tape import TapedLeg, Tapes
from gateway.config import Settings
from gateway.media.chunks import Chunk, Control, Digit
from gateway.media.ports import Lease, NoFreePortError, PortPool
from gateway.media.receiver import Receiver
from gateway.media.rtcp import Reporter
from gateway.media.stats import StreamStats
from gateway.sip import commands, events
from gateway.sip.messages import Message
from gateway.sip.siprec import MetadataError, Participant

log = structlog.get_logger()

# RTP that was under way when the BYE overtook it is still taken (seconds).
STRAGGLERS = 0.1
# Ports that a recording session holds for streams that it may add, since those must be answered at once.
SPARE_PORTS = 2
# How often legs are told that time passes, for what no packet announces (seconds).
TICK = 0.2


class Signalling(Protocol):
    """The link to the signalling process, as far as it is needed here."""

    def send(self, message: Message) -> None:
        """Sends a command."""


class Chooser(Protocol):
    """Says who recognises a leg."""

    def choose(self, facts: Facts) -> tuple[str, Sequence[Engine]]:
        """Returns the name of the route that a leg takes, and its engines in order of preference."""


class Counters(Protocol):
    """What the metrics count here."""

    def call_refused(self, cause: str) -> None:
        """An INVITE was refused."""

    def call_set_up(self, seconds: float) -> None:
        """So long after its INVITE a dialog was confirmed."""

    def leg_up(self) -> None:
        """A leg was answered."""

    def leg_down(self, reason: str) -> None:
        """A leg ended."""


class Switchboard:
    """Turns the events of signalling and media into calls.

    Args:
        settings: The configuration.
        engines: Says who recognises.
        registry: The calls.
        receiver: Takes the RTP.
        counters: The metrics.
        tapes: Records what goes into the calls.

    Attributes:
        reports: The RTCP of all legs.
        idle: Set while no leg is connected and no dialog there.
    """

    def __init__(
        self,
        settings: Settings,
        engines: Chooser,
        registry: Registry,
        receiver: Receiver,
        counters: Counters,
        tapes: Tapes,
    ) -> None:
        self._settings = settings
        self._engines = engines
        self._registry = registry
        self._receiver = receiver
        self._counters = counters
        self._tapes = tapes
        media = settings.media
        self._ports = PortPool(media.address, media.port_min, media.port_max, media.quarantine_seconds)
        self._dialogs: dict[int, Dialog] = {}  # by the signalling process's number
        self._legs: dict[int, Stream] = {}  # by the receiver's number
        self._numbers = count(1)
        self._loop = asyncio.get_running_loop()
        self._signalling: Signalling | None = None
        self.reports = Reports(media, receiver)
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

    def on_message(self, message: Message) -> None:
        """Takes an event of the signalling process."""
        match message:
            case events.Incoming():
                self._incoming(message)
            case events.Media():
                self._media(message)
            case events.Metadata():
                self._metadata(message)
            case events.Pressed(dialog, key, duration_ms):
                for leg in self._legs_of(dialog)[:1]:  # of a recording session nobody knows which leg is meant
                    leg.pressed(key, duration_ms)
            case events.Recorded(dialog, on):
                for leg in self._legs_of(dialog):
                    leg.withhold(withheld=not on)
            case events.Established():
                self._established(message)
            case events.Ended():
                self._ended(message)
            case events.Refused(code, cause, source):
                self._counters.call_refused(cause)
                log.warning("call_refused", code=code, cause=cause, source=source)

    def on_signalling_lost(self) -> None:
        """The signalling process died: its dialogs are gone, the media of their legs may go on."""
        for dialog in self._dialogs.values():
            dialog.signalling_lost = True
            for stream in list(dialog.streams.values()):
                if stream.leg is None:
                    self._end(stream, "signalling_lost")
            self._release_spare(dialog)
        self._dialogs.clear()
        self._look_idle()

    def _incoming(self, incoming: events.Incoming) -> None:
        if self._signalling is None:
            return
        settings = self._settings
        recording = recording_of(incoming)
        spare = self._leased(incoming.streams + (SPARE_PORTS if incoming.recording else 0))
        if spare is None:
            self._counters.call_refused("no_port")
            self._signalling.send(commands.Reject(incoming.dialog, 503, settings.sip.retry_after))
            return
        identity = identify(incoming, settings.calls, recording)
        self._dialogs[incoming.dialog] = Dialog(incoming.dialog, incoming, identity, recording, spare)
        self.idle.clear()
        address = settings.media.advertise or settings.media.address
        self._signalling.send(commands.Accept(incoming.dialog, address, list(spare)))

    def _media(self, media: events.Media) -> None:
        dialog = self._dialogs.get(media.dialog)
        if dialog is None:
            return
        for told in media.streams:
            if (stream := dialog.streams.get(told.port)) is not None:
                stream.media = told
                if told.codecs:
                    self._receiver.update(stream.number, **terms(told))
                if stream.leg is not None and dialog.call is not None:
                    dialog.call.hold(stream.leg, held=told.held)
            elif (lease := dialog.spare.pop(told.port, None)) is not None:
                self._receive(dialog, lease, told)
        ports = {told.port for told in media.streams}
        for port, stream in list(dialog.streams.items()):
            if port not in ports:
                self._end(stream, "stream_removed")
        if dialog.incoming.recording and len(dialog.spare) < SPARE_PORTS and self._signalling is not None:
            more = self._leased(SPARE_PORTS - len(dialog.spare)) or {}
            dialog.spare |= more
            self._signalling.send(commands.Spare(dialog.number, list(more)))

    def _receive(self, dialog: Dialog, lease: Lease, told: events.StreamMedia) -> None:
        """Begins to receive a stream."""
        number, ssrc = next(self._numbers), secrets.randbits(32)
        stream = Stream(number, dialog, lease, told, Reporter(ssrc, secrets.token_urlsafe(12), time.monotonic()))
        rtp_fd, rtcp_fd = lease.rtp.fileno(), lease.rtcp.fileno()
        self._receiver.add(number, rtp_fd, rtcp_fd=rtcp_fd, ssrc=ssrc, **terms(told))
        dialog.streams[told.port] = self._legs[number] = stream
        self.reports.add(stream)
        if dialog.established:
            self._begin(stream)

    def _legs_of(self, number: int) -> list[Leg]:
        dialog = self._dialogs.get(number)
        return [stream.leg for stream in dialog.streams.values() if stream.leg is not None] if dialog else []

    def _metadata(self, metadata: events.Metadata) -> None:
        dialog = self._dialogs.get(metadata.dialog)
        if dialog is None:
            return
        try:
            dialog.recording = dialog.recording.updated(metadata.text)
        except MetadataError as error:
            log.warning("metadata_unreadable", sip_call_id=dialog.incoming.sip_call_id, text=str(error))
            return
        for stream in dialog.streams.values():
            if stream.leg is not None and dialog.call is not None:
                dialog.call.identified(stream.leg, self._speaker(stream))

    def _established(self, established: events.Established) -> None:
        dialog = self._dialogs.get(established.dialog)
        if dialog is None or dialog.established:
            return
        dialog.established, dialog.to_tag = True, established.to_tag
        self._counters.call_set_up(time.monotonic() - dialog.since)
        for stream in dialog.streams.values():
            self._begin(stream)

    def _begin(self, stream: Stream) -> None:
        """Makes the leg: the dialog is confirmed."""
        dialog = stream.dialog
        if dialog.call is None or dialog.call.ended:
            shown = dialog.identity.masked() if self._settings.calls.mask_numbers else dialog.identity
            dialog.call = self._registry.call_for(shown)
        call = dialog.call
        speaker = self._speaker(stream)
        name = dialog.identity.leg
        if dialog.incoming.recording:
            name = leg_name(speaker, stream.media.label, self._settings.calls)
        codec = next(iter(stream.media.codecs.values()))
        name = call.free_name(name)
        route, engines = self._engines.choose(facts_of(dialog.incoming, replace(dialog.identity, leg=name)))
        log.info("leg_routed", call=call.id, leg=name, route=route, engines=[engine.name for engine in engines])
        made = (stream.number, name, dialog.incoming.sip_call_id, codec, engines, self._settings, call)
        tape = self._tapes.of(call.id, begin=not call.legs)
        stream.leg = Leg(*made) if tape is None else TapedLeg(*made, tape=tape)
        stream.leg.on_calm = partial(self._receiver.calm, stream.number)
        stream.since = time.monotonic()
        call.add(stream.leg, speaker, tags=(dialog.incoming.from_tag, dialog.to_tag))
        self._counters.leg_up()
        call.hold(stream.leg, held=stream.media.held)
        early, stream.early = stream.early, []
        for item in early:
            self._hand_over(stream, item)

    def _speaker(self, stream: Stream) -> Participant | None:
        speaker = stream.dialog.recording.speaker(stream.media.label)
        if speaker is not None and self._settings.calls.mask_numbers:
            return Participant(mask(speaker.aor), mask(speaker.name))
        return speaker

    def _ended(self, ended: events.Ended) -> None:
        dialog = self._dialogs.pop(ended.dialog, None)
        if dialog is None:
            return
        if ended.reason == "failed":
            log.warning("dialog_failed", code=ended.code, text=ended.text, sip_call_id=dialog.incoming.sip_call_id)
        for stream in list(dialog.streams.values()):
            self._end(stream, dialog.ending or ended.reason)
        self._release_spare(dialog)
        self._look_idle()

    # media

    def on_media(self) -> None:
        """Takes what the receiver has ready."""
        for item in self._receiver.drain():
            stream = self._legs.get(item.leg)
            if stream is None:
                continue
            if isinstance(item, Control):
                self.reports.heard(stream, item)
            else:
                self._hand_over(stream, item)

    def _hand_over(self, stream: Stream, item: Chunk | Digit) -> None:
        last = isinstance(item, Chunk) and item.last
        call = stream.dialog.call
        if stream.leg is None or call is None:
            # Peers send from the 200 on, words and all. The ACK comes, or the dialog ends, within 32 s (RFC 3261,
            # timer H), which bounds this.
            stream.early.append(item)
            if last:
                self._release(stream)
        elif isinstance(item, Digit):
            stream.leg.digit(item)
        else:
            stream.leg.chunk(item)
            if last:
                call.account(stream.leg, self._receiver.stats(item.leg))
                self._hung_up(stream, call)

    def tick(self) -> None:
        """Lets time pass; to be called every ``TICK`` seconds."""
        now = time.monotonic()
        # chunks tell the other legs that time passes: of a thousand, only these few are looked at
        for number in self._receiver.still(WIRE_SILENCE):
            stream = self._legs.get(number)
            if stream is None or stream.leg is None or stream.removed:
                continue
            stream.leg.tick()
            if not stream.ending and self._silent(stream, now):
                self._timed_out(stream, now)
        self.reports.tick(now)

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
            stream.leg
            for stream in self._legs.values()
            if stream.leg is not None and stream.dialog.call is not None and stream.dialog.call.id == call
            if leg in ("", stream.leg.name)
        ]
        for one in found:
            one.withhold(withheld=withheld)
        return len(found)

    def hang_up(self, call: str) -> int:
        """Ends the dialogs of a call.

        Args:
            call: The call's id.

        Returns:
            How many were told to end.
        """
        found = [dialog for dialog in self._dialogs.values() if dialog.call is not None and dialog.call.id == call]
        for dialog in found:
            dialog.ending = dialog.ending or "hangup"
            if self._signalling is not None:
                self._signalling.send(commands.Hangup(dialog.number))
        lost = [
            stream
            for stream in self._legs.values()
            if stream.dialog.signalling_lost and stream.dialog.call is not None and stream.dialog.call.id == call
        ]
        for stream in lost:
            self._end(stream, "signalling_lost")
        return len(found) + len(lost)

    def stats(self, leg: Leg) -> StreamStats | None:
        """Returns what the receiver counts on a leg, or counted."""
        return self._receiver.stats(leg.number) if leg.number in self._legs else leg.stats

    def hang_up_all(self) -> None:
        """Ends every dialog, because the gateway goes down."""
        for number, dialog in list(self._dialogs.items()):
            dialog.ending = dialog.ending or "drained"
            if self._signalling is not None:
                self._signalling.send(commands.Hangup(number))
        for stream in list(self._legs.values()):
            if stream.dialog.signalling_lost:
                self._end(stream, "signalling_lost")

    def close(self) -> None:
        """Drops every leg at once."""
        for stream in self._legs.values():
            if stream.leg is not None:
                stream.leg.abort()

    # inside

    def _leased(self, count: int) -> dict[int, Lease] | None:
        """Leases ports; None, and a line in the log, where there are not so many."""
        try:
            return self._ports.lease_all(count, time.monotonic())
        except (NoFreePortError, OSError) as error:
            log.error("no_port", text=str(error))
            return None

    def _silent(self, stream: Stream, now: float) -> bool:
        """Whether a stream that should send gets no RTP any more."""
        calls, lost = self._settings.calls, stream.dialog.signalling_lost
        limit = calls.lost_seconds if lost else calls.rtp_timeout_seconds
        if not limit or stream.leg is None or (stream.leg.held and not lost):
            return False
        if now - max(stream.leg.heard_at, stream.since) <= limit:
            return False
        # packets that no chunk tells of, such as a telephone event that goes on
        heard = self._receiver.stats(stream.number).last_arrival / 1e9
        return now - max(heard, stream.since) > limit

    def _timed_out(self, stream: Stream, now: float) -> None:
        """Ends what gets no RTP any more: a dialog when none of its streams does."""
        dialog = stream.dialog
        if dialog.signalling_lost:
            self._end(stream, "signalling_lost")
            return
        if dialog.ending or any(
            other.leg is not None and not other.leg.held and not self._silent(other, now)
            for other in dialog.streams.values()
        ):
            return
        dialog.ending = "rtp_timeout"
        log.warning("rtp_timeout", sip_call_id=dialog.incoming.sip_call_id)
        if self._signalling is not None:
            self._signalling.send(commands.Hangup(dialog.number))

    def _end(self, stream: Stream, reason: str) -> None:
        if stream.ending:
            return
        stream.ending = reason
        stream.dialog.streams.pop(stream.lease.port, None)
        self._loop.call_later(STRAGGLERS, self._remove, stream)

    def _remove(self, stream: Stream) -> None:
        stream.removed = True
        self._receiver.remove(stream.number)

    def _hung_up(self, stream: Stream, call: Call) -> None:
        """The last chunk of a leg is out."""
        self._release(stream)
        if stream.leg is None:
            return
        self._counters.leg_down(stream.ending)
        call.hung_up(stream.leg)
        if not call.up:
            wait = self._settings.calls.linger_seconds if call.key else 0.0
            self._loop.call_later(wait, self._end_call, call, stream.ending)

    def _end_call(self, call: Call, reason: str) -> None:
        if not call.up and not call.ended:
            call.end(reason)

    def _release(self, stream: Stream) -> None:
        self._legs.pop(stream.number, None)
        self._ports.release(stream.lease, time.monotonic())
        self._look_idle()

    def _release_spare(self, dialog: Dialog) -> None:
        for lease in dialog.spare.values():
            self._ports.release(lease, time.monotonic())
        dialog.spare.clear()

    def _look_idle(self) -> None:
        if not self._legs and not self._dialogs:
            self.idle.set()
