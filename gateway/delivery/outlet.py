"""What every way out offers: it takes one message at a time and says what became of it.

Order, storage, retries and limits are the same for all ways and lie above this (``worker.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.delivery.observer import Result


@dataclass(frozen=True, slots=True)
class Message:
    """An event on its way out.

    Attributes:
        id: The event's id, the same for every attempt.
        call: The call's id.
        type: Such as ``transcript.final``.
        body: The event as consumers receive it.
    """

    id: str
    call: str
    type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt.

    Attributes:
        result: As ``Observer.attempted`` has it.
        status: The HTTP status, 0 when none came.
        seconds: How long it took.
        retry_after: Seconds that the consumer asked to be left alone; None when it did not.
        text: What happened, for a log; holds nothing secret.
    """

    result: Result
    status: int
    seconds: float
    retry_after: float | None
    text: str


class Outlet(Protocol):
    """One way out: a webhook, a NATS stream, a file.

    Attributes:
        shown: Where it leads, as it may be logged.
    """

    shown: str

    async def send(self, message: Message, timeout: float) -> Outcome:  # noqa: ASYNC109 (it is a setting)
        """Sends one message.

        Args:
            message: What to send.
            timeout: Seconds after which it has failed.

        Returns:
            What came of it; nothing is raised.
        """

    async def close(self) -> None:
        """Closes connections and files."""
