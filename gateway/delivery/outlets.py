"""Makes the outlet that a table of the configuration describes; loads no package that none of them needs."""

from __future__ import annotations

from collections.abc import Callable

from gateway.delivery import settings as config
from gateway.delivery.outlet import Outlet


def make(settings: config.Outlet, clock: Callable[[], float]) -> Outlet:
    """Returns an outlet; it connects when the first message is sent.

    Args:
        settings: Of any kind.
        clock: Seconds since the epoch.

    Raises:
        ModuleNotFoundError: It needs an extra that is not installed.
    """
    match settings:
        case config.NatsOutlet():
            from gateway.delivery.nats import NatsStream

            return NatsStream(settings)
        case config.LinesOutlet():
            from gateway.delivery.lines import LinesFile

            return LinesFile(settings)
        case config.Endpoint():
            from gateway.delivery.sender import Sender

            return Sender(settings, clock)
    raise TypeError(type(settings).__name__)
