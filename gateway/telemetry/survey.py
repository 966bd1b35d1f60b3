"""What is read off the running parts: at each scrape, and every few seconds what costs more than a scrape may."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from gateway.calls.registry import Registry
from gateway.calls.switchboard import Switchboard
from gateway.delivery.archive import Archive, ArchiveError
from gateway.delivery.webhooks import Deliverer
from gateway.media.chunks import SAMPLE_RATE
from gateway.media.receiver import Receiver
from gateway.sip.events import Ready
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.pulse import Pulse
from gateway.telemetry.reception import Reception


class Survey:
    """Reads the parts for the metrics and the pulse.

    Args:
        metrics: Gets what is read.
        pulse: Likewise, for people who look.
        registry: The calls.
        switchboard: Their dialogs.
        deliverer: Says what waits for whom.
        database: The store's file.
    """

    def __init__(
        self,
        metrics: Metrics,
        pulse: Pulse,
        registry: Registry,
        switchboard: Switchboard,
        deliverer: Deliverer,
        database: Path,
    ) -> None:
        self._metrics = metrics
        self._pulse = pulse
        self._registry = registry
        self._switchboard = switchboard
        self._deliverer = deliverer
        self._database = database

    def watch(self, receiver: Receiver) -> None:
        """Adds the gauges that read the parts at each scrape."""
        gauge = self._metrics.gauge
        gauge("calls", "Calls that are not over", lambda: len(self._registry))
        gauge("legs", "Legs that are connected", lambda: self._switchboard.legs)
        gauge("event_loop_lag_seconds", "How late the event loop was", lambda: self._pulse.loop_lag)
        gauge("asr_unsettled_seconds", "Audio kept because its words are not settled", self._unsettled)
        gauge("store_bytes", "Size of the store's file and its log", lambda: _size(self._database))
        self._metrics.collect(Reception(receiver.totals))

    def running(self, ready: Ready) -> None:
        """Says what is running."""
        self._metrics.build(
            version=version("asr-gateway"),
            python=platform.python_version(),
            pjsip=ready.version,
            build=ready.build,
        )

    async def look(self) -> None:
        """Looks at all legs, and at what waits; to be called every few seconds."""
        self._look_at_legs()
        oldest: dict[str, float] = {}
        with contextlib.suppress(ArchiveError):
            oldest = await asyncio.to_thread(self._oldest)
        now = time.time()
        self._pulse.oldest = {name: max(0.0, now - accepted) for name, accepted in oldest.items()}
        for name, waiting in self._deliverer.waiting.items():
            self._metrics.waiting(name, waiting, self._pulse.oldest.get(name, 0.0))

    def _look_at_legs(self) -> None:
        written: Counter[str] = Counter()
        backlog = worst = 0.0
        for call in self._registry:
            for leg in call.legs:
                if leg.summary is None:
                    written.update(leg.written)
                    backlog += leg.backlog / SAMPLE_RATE
                    worst = max(worst, leg.backlog / SAMPLE_RATE)
        self._metrics.sessions(sessions(self._registry))
        self._metrics.surveyed(written, backlog, worst)

    def _unsettled(self) -> float:
        return sum(leg.unsettled for call in self._registry for leg in call.legs) / SAMPLE_RATE

    def _oldest(self) -> dict[str, float]:
        with contextlib.closing(Archive(self._database)) as archive:
            return archive.oldest()


def sessions(registry: Registry) -> dict[str, Counter[str]]:
    """Counts the recognitions that are not over, by engine and state."""
    found: dict[str, Counter[str]] = {}
    for call in registry:
        for leg in call.legs:
            if leg.summary is None:
                found.setdefault(leg.engine, Counter())[leg.recognition.value] += 1
    return found


def _size(database: Path) -> int:
    """Returns the bytes of an SQLite file and its write-ahead log, which holds what is newest."""
    files = (database, database.with_name(f"{database.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
