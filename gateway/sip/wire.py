"""Reads SIP messages out of the stack's log, the only place where it shows all of them, retransmissions too."""

from __future__ import annotations

import re

from gateway.sip.events import Wire
from gateway.sip.request import clean
from gateway.sip.secrets import without_secrets

LEVEL = 4
"""pjlib's level of these lines."""
_HEAD = re.compile(r"(RX|TX) \d+ bytes .* (?:from|to) (UDP|TCP|TLS)6? (\S+):\d+:")
_TAIL = "\n--end msg--"


def logged(text: str, now: float) -> Wire | None:
    """Reads a line of the stack's log.

    Args:
        text: The line, which has the message in it (pjsua's logging module).
        now: Seconds since 1970.

    Returns:
        The message, without secrets; cut short where the stack's log did. None where the line is of something else.
    """
    head, newline, message = text.partition("\n")
    match = _HEAD.fullmatch(head)
    if match is None or not newline:
        return None
    remote = head[:-1].rpartition(" ")[2]
    body = without_secrets(clean(message.removesuffix(_TAIL)))
    return Wire(now, match[1] == "RX", match[2].lower(), remote, body)
