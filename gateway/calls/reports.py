"""RTCP of the legs: what their peers report, and the reports that they get."""

from __future__ import annotations

import random
import time
from heapq import heappop, heappush
from typing import Protocol

import structlog

from gateway.calls.streams import Stream
from gateway.media import rtcp
from gateway.media.chunks import Control
from gateway.media.receiver import Receiver
from gateway.media.settings import Media
from gateway.media.timeline import wall_clock

log = structlog.get_logger()

# A stream whose dialog is not confirmed yet is looked at again after so long (seconds).
UNBEGUN = 0.2


class RtcpTaker(Protocol):
    """Who wants to see the RTCP of all legs, decrypted."""

    def __call__(
        self, packet: bytes, call_id: str, at: float, source: tuple[str, int], target: tuple[str, int], /
    ) -> None:
        """Takes a packet of a dialog, when it came or went (seconds since 1970), and both ends."""


class Reports:
    """Reads the RTCP of all legs' peers, and reports to them.

    Args:
        settings: The addresses that peers know, and whether they get reports.
        receiver: Counts what came, and sends.

    Attributes:
        on_packet: Takes the RTCP of all legs; None where nobody wants it.
    """

    def __init__(self, settings: Media, receiver: Receiver) -> None:
        self._address = settings.advertise or settings.address
        self._receiver = receiver
        self._wanted = settings.rtcp
        self._due: list[tuple[float, int, Stream]] = []  # a heap
        self.on_packet: RtcpTaker | None = None

    def heard(self, stream: Stream, control: Control) -> None:
        """Takes RTCP of a leg's peer."""
        self._show(stream, control.packet, control.arrived, received=True)
        try:
            said = rtcp.parse(control.packet)
        except rtcp.RtcpError as error:
            log.debug("rtcp_malformed", text=str(error))
            return
        for report in said.reports:
            stream.rtcp.heard(report, control.arrived)
            if stream.leg is not None and control.timestamp >= 0 and report.wall_ns:
                ahead = (report.timestamp - control.timestamp + 2**31) % 2**32 - 2**31
                stream.leg.reported(control.sample + ahead, report.wall_ns, control.arrived)

    def add(self, stream: Stream) -> None:
        """Reports on a stream from now on, until it is removed."""
        if self._wanted:
            heappush(self._due, (stream.rtcp.due, stream.number, stream))

    def tick(self, now: float) -> None:
        """Sends the reports that are due (monotonic seconds)."""
        while self._due and self._due[0][0] <= now:
            stream = heappop(self._due)[2]
            if stream.removed:
                continue
            due = now + UNBEGUN
            if stream.leg is not None:
                self._send(stream, now)
                due = stream.rtcp.due
            heappush(self._due, (due, stream.number, stream))

    def _send(self, stream: Stream, now: float) -> None:
        stats = self._receiver.stats(stream.number)
        report = stream.rtcp.report(stats, now, random.random())  # noqa: S311 (spreads reports over time)
        self._receiver.send_control(stream.number, report)
        self._show(stream, report, time.monotonic_ns(), received=False)

    def _show(self, stream: Stream, packet: bytes, at: int, *, received: bool) -> None:
        if self.on_packet is None:
            return
        told = stream.media
        above = 0 if told.rtcp_mux else 1
        ours = (self._address, told.port + above)
        theirs = (told.remote_address, told.rtcp_port or told.remote_port + above)
        source, target = (theirs, ours) if received else (ours, theirs)
        self.on_packet(packet, stream.dialog.incoming.sip_call_id, wall_clock(at).timestamp(), source, target)
