"""What the web side sees and does of the running gateway: the adapters of ``Probe`` and ``Operator``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any

from gateway.asr.engine import Engine
from gateway.asr.gate import Breaker
from gateway.calls.registry import Registry
from gateway.calls.switchboard import Switchboard
from gateway.calls.tape import Tapes
from gateway.config import Settings
from gateway.delivery.sender import shown
from gateway.media.quality import quality
from gateway.media.timeline import milliseconds
from gateway.telemetry import logs
from gateway.telemetry.pulse import Pulse
from gateway.telemetry.survey import sessions
from gateway.web.feed import Feed
from gateway.web.parts import EndpointView, EngineView, Outcome, Ready, Status
from gateway.web.view import LegQuality, SpanView

SPANS = 400
# A leg this loud moves its meter; below, it is noise (dBov).
AUDIBLE = -60


class Control:
    """Looks at and acts on the gateway.

    Args:
        settings: The configuration.
        registry: The calls.
        switchboard: Their dialogs.
        engines: The recognisers.
        pulse: What the telemetry keeps in mind.
        stop: Begins the end of the gateway.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        switchboard: Switchboard,
        engines: Iterable[Engine],
        pulse: Pulse,
        stop: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._switchboard = switchboard
        self._engines = engines
        self._pulse = pulse
        self._stop = stop
        self._started = time.monotonic()
        self._level: str = settings.telemetry.log_level
        self.feed: Feed | None = None
        self.tapes: Tapes | None = None
        self.capacity = 0
        self.listening: list[str] = []
        self.draining = False
        self.waiting: Callable[[], dict[str, int]] = dict

    # Probe

    def quality(self, call: str) -> list[LegQuality]:
        """Returns how the audio of each leg goes."""
        known = self._registry.get(call)
        if known is None:
            return []
        found = []
        for leg in known.legs:
            stats = self._switchboard.stats(leg)
            sound = quality(stats, concealed=self._settings.media.conceal_ms > 0) if stats and stats.packets else None
            spans = [
                SpanView.model_construct(
                    kind=span.kind.name.lower(),
                    start_ms=milliseconds(span.first),
                    end_ms=milliseconds(span.first + span.samples),
                )
                for span in leg.timeline
            ]
            found.append(
                LegQuality.model_construct(
                    leg=leg.name,
                    codec=leg.codec,
                    engine=leg.engine,
                    asr=leg.recognition.value,
                    level=leg.level,
                    duration_ms=milliseconds(leg.timeline.duration),
                    packets=stats.packets if stats else 0,
                    lost=stats.lost if stats else 0,
                    late=stats.late if stats else 0,
                    foreign=stats.foreign if stats else 0,
                    jitter_ms=round(stats.jitter / 8, 2) if stats else 0.0,
                    loss=sound.loss if sound else 0.0,
                    mos=sound.mos if sound else None,
                    spans=spans[-SPANS:],
                )
            )
        return found

    def levels(self) -> dict[str, list[tuple[str, int]]]:
        """Returns how loud the legs are of each call in which somebody is."""
        found = {}
        for call in self._registry:
            legs = [(leg.name, leg.level) for leg in call.legs if leg.summary is None]
            if any(level > AUDIBLE for _, level in legs):
                found[call.id] = legs
        return found

    # Operator

    def status(self) -> Status:
        """Returns the gateway at a glance."""
        waiting = self.waiting()
        known = sessions(self._registry)
        return Status(
            version=version("asr-gateway"),
            seconds=round(time.monotonic() - self._started, 1),
            draining=self.draining,
            calls=len(self._registry),
            legs=self._switchboard.legs,
            capacity=min(self.capacity, self._settings.sip.max_calls),
            sip=self.listening,
            store=self._pulse.store,
            engines=[
                EngineView(
                    name=engine.name,
                    state=engine.gate.state.value,
                    sessions=dict(known.get(engine.name, {})),
                    starts=engine.gate.starts,
                    outages=engine.gate.opened,
                )
                for engine in {engine.name: engine for engine in self._engines}.values()
            ],
            endpoints=[
                EndpointView(
                    name=endpoint.name,
                    url=shown(endpoint.url),
                    waiting=waiting.get(endpoint.name, 0),
                    oldest_seconds=self._pulse.oldest.get(endpoint.name),
                    last_result=self._pulse.results.get(endpoint.name, ""),
                    dead=self._pulse.dead[endpoint.name],
                    delivered=self._pulse.delivered[endpoint.name],
                )
                for endpoint in self._settings.delivery.endpoints
            ],
            loop_lag_ms=round(self._pulse.loop_lag * 1000, 1),
            viewers=self.feed.viewers if self.feed else 0,
        )

    def ready(self) -> Ready:
        """Returns whether calls can be taken."""
        reasons = []
        if self.draining:
            reasons.append("draining")
        if not self.listening:
            reasons.append("signalling")
        elif self._switchboard.legs >= min(self.capacity, self._settings.sip.max_calls):
            reasons.append("full")
        if all(engine.gate.state is not Breaker.CLOSED for engine in self._engines):
            reasons.append("no_engine")
        return Ready(ready=not reasons, reasons=reasons)

    def hang_up(self, call: str) -> Outcome:
        """Ends all dialogs of a call."""
        if self._registry.get(call) is None:
            return "unknown"
        return "done" if self._switchboard.hang_up(call) else "unable"

    def pause(self, call: str, leg: str, *, paused: bool) -> Outcome:
        """Withholds a leg's audio from its recogniser, or goes on with it."""
        known = self._registry.get(call)
        if known is None or leg not in {item.name for item in known.legs}:
            return "unknown"
        return "done" if self._switchboard.withhold(call, withheld=paused, leg=leg) else "unable"

    def label(self, call: str, labels: dict[str, str]) -> Outcome:
        """Attaches labels to a call; an empty text takes one away."""
        known = self._registry.get(call)
        if known is None:
            return "unknown"
        known.label(labels)
        return "done"

    def drain(self) -> None:
        """Takes no more calls and stops once the last one is over."""
        self._stop()

    def log_level(self, level: str | None = None) -> str:
        """Returns the lowest level that is logged, after setting it where one is given."""
        if level is not None:
            self._level = level
            logs.set_level(level)
        return self._level

    def latency(self) -> list[dict[str, Any]]:
        """Returns the latencies of the last hour, minute by minute."""
        return self._pulse.last_hour.shown(time.monotonic())

    def trace(self, call: str) -> list[dict[str, Any]] | None:
        """Returns the steps of a call."""
        return self._pulse.recorder.steps(call)

    def tape(self, call: str) -> list[dict[str, Any]] | None:
        """Returns what is on the tape of a call."""
        return self.tapes.records(call) if self.tapes else None
