"""When a failed delivery is tried again: a pure function of the schedule, the attempt and the consumer's wish."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

JITTER = 0.2
RETRY_AFTER_MAX = 3600.0


def wait(schedule: Sequence[float], attempts: int, draw: float, retry_after: float | None = None) -> float | None:
    """Says how long to wait before the next attempt.

    The schedule's wait is spread by ±20 %, so that the calls of an endpoint that was down do not come back in step. A
    consumer's Retry-After is never undercut: it is only spread upwards, and cut at one hour.

    Args:
        schedule: Waits in seconds, one after each failed attempt.
        attempts: Attempts made so far, at least 1.
        draw: A random number from 0 to 1.
        retry_after: Seconds that the consumer asked for; None when it did not.

    Returns:
        Seconds, or None when the schedule is used up and the event is a dead letter.
    """
    if attempts > len(schedule):
        return None
    planned = schedule[attempts - 1] * (1 + JITTER * (2 * draw - 1))
    if retry_after is None:
        return planned
    return max(planned, min(retry_after, RETRY_AFTER_MAX) * (1 + JITTER * draw))


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """Reads a Retry-After header (RFC 9110, section 10.2.3): a number of seconds or an HTTP date.

    Args:
        value: The header; None when there is none.
        now: Seconds since the epoch.

    Returns:
        Seconds from now, at least 0; None for no header or one that is neither form.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        # longer numbers only name waits that are cut anyway, and a float cannot hold every one of them
        return float(value[:18])
    try:
        date = parsedate_to_datetime(value)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
