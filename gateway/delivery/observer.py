"""What delivery tells about itself, for metrics and logs of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import structlog

from gateway.events import Event

if TYPE_CHECKING:  # it needs ``Result``
    from gateway.delivery.outlet import Message, Outcome

Result = Literal["delivered", "refused", "redirected", "gone", "timeout", "unreachable"]
Dropped = Literal["superseded", "expired", "failed", "memory_full", "disabled", "lost"]

log = structlog.get_logger(__name__)


class Observer:
    """Subclass it and override what is of interest; all calls come on the event loop and must not wait."""

    def attempted(self, endpoint: str, event_type: str, result: Result, seconds: float, status: int) -> None:
        """A request is over.

        Args:
            endpoint: The endpoint's name.
            event_type: Such as ``transcript.final``.
            result: ``delivered`` (2xx), ``refused`` (any other status), ``redirected`` (3xx), ``gone`` (410),
                ``timeout`` or ``unreachable``.
            seconds: From the start of the request to the end of the response.
            status: The HTTP status, 0 when none came.
        """

    def tried(self, endpoint: str, message: Message, attempt: int, outcome: Outcome) -> None:
        """A request for a durable event is over; told after ``attempted``.

        Args:
            endpoint: The endpoint's name.
            message: What was sent.
            attempt: How many attempts of it that makes, from 1; those while the endpoint is down count as one.
            outcome: What came of it.
        """

    def delivered(self, endpoint: str, event: Event, at: float) -> None:
        """An endpoint has acknowledged an event.

        Args:
            endpoint: The endpoint's name.
            event: The event, a partial or a durable one.
            at: Seconds since the epoch.
        """

    def dropped(self, endpoint: str, event_type: str, reason: Dropped) -> None:
        """An event is not sent, or not sent again.

        Args:
            endpoint: The endpoint's name.
            event_type: Such as ``transcript.partial``.
            reason: For partials ``superseded`` (by a newer one or by a durable event), ``expired`` or ``failed``. For
                durable events, which are lost to this endpoint then: ``memory_full`` (undurable, and too many of
                them), ``disabled`` (undurable, and the endpoint answered 410) or ``lost`` (its row is not on disk any
                more).
        """

    def dead_letter(self, endpoint: str, event_type: str) -> None:
        """The retry schedule of an event is used up."""

    def disabled(self, endpoint: str) -> None:
        """The endpoint answered 410: it gets nothing until the gateway is started again."""

    def undurable(self, event_type: str) -> None:
        """A durable event could not be written; it is delivered from memory, and lost should the gateway stop."""

    def storage(self, ok: bool, text: str) -> None:
        """The outbox file can be written, or cannot any more.

        Args:
            ok: Which of the two.
            text: What happened.
        """


class Guarded(Observer):
    """Passes everything on to another observer whose faults are logged and stop nothing."""

    def __init__(self, observer: Observer) -> None:
        for name in [name for name in vars(Observer) if not name.startswith("_")]:
            setattr(self, name, _guarded(getattr(observer, name)))


def _guarded(call: Callable[..., None]) -> Callable[..., None]:
    def guarded(*arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception:
            log.exception("an observer of the delivery failed")

    return guarded
