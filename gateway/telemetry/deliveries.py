"""What delivery tells, as metrics, as a step of the flight recorder, and for who looks at the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import events
from gateway.delivery.observer import Dropped, Observer, Result
from gateway.delivery.outlet import Message, Outcome
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.pulse import Pulse

if TYPE_CHECKING:  # it needs the extra
    from gateway.telemetry.spans import CallSpans


class DeliveryMetrics(Observer):
    """Counts what delivery tells.

    Attributes:
        spans: Makes spans of it; None where nobody wants them.
    """

    def __init__(self, metrics: Metrics, pulse: Pulse) -> None:
        self._metrics = metrics
        self._pulse = pulse
        self.spans: CallSpans | None = None

    def attempted(self, endpoint: str, event_type: str, result: Result, seconds: float, status: int) -> None:  # noqa: ARG002
        """Counts a request."""
        self._metrics.webhook_attempted(endpoint, result)
        self._pulse.results[endpoint] = f"{result} {status}" if status else result

    def tried(self, endpoint: str, message: Message, attempt: int, outcome: Outcome) -> None:
        """Makes a span of an attempt."""
        if self.spans is not None:
            self.spans.tried(endpoint, message, attempt, outcome)

    def delivered(self, endpoint: str, event: events.Event, at: float) -> None:  # noqa: ARG002
        """Measures a delivery."""
        self._metrics.webhook_delivered(endpoint, event)
        if event.durable:
            self._pulse.delivered[endpoint] += 1
            self._pulse.recorder.note(
                event.call.id, "delivery", "delivered", endpoint=endpoint, type=event.type, seq=event.seq
            )

    def dropped(self, endpoint: str, event_type: str, reason: Dropped) -> None:  # noqa: ARG002
        """Counts an event that is not sent."""
        self._metrics.webhook_dropped(endpoint, reason)

    def dead_letter(self, endpoint: str, event_type: str) -> None:  # noqa: ARG002
        """Counts an event whose attempts are used up."""
        self._metrics.webhook_dropped(endpoint, "dead_letter")
        self._pulse.dead[endpoint] += 1

    def storage(self, ok: bool, text: str) -> None:
        """Keeps in mind whether events can be written."""
        self._pulse.store = "ok" if ok else text

    def undurable(self, event_type: str) -> None:  # noqa: ARG002
        """Counts an event that is not on disk."""
        self._metrics.undurable()
