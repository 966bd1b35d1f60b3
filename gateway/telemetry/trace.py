"""What the flight recorder takes of a message or an event.

Facts without secrets; words and numbers only where the log may hold them, too.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from gateway import events
from gateway.sip.events import Incoming, Media, Metadata, Pressed
from gateway.sip.messages import Message
from gateway.sip.secrets import without_secrets
from gateway.telemetry.settings import Telemetry

# Headers that say nothing about who calls whom, and hold no secret.
PLAIN_HEADERS = {
    "allow", "content-length", "content-type", "cseq", "date", "max-forwards", "min-se", "require", "server",
    "session-expires", "supported", "user-agent", "via",
}  # fmt: skip
SECRET_HEADERS = {"authorization", "proxy-authorization", "identity", "cookie"}


def told(event: events.Event, settings: Telemetry) -> dict[str, Any]:
    """Returns the facts of an event."""
    data = event.data
    facts: dict[str, Any] = {"seq": event.seq}
    if isinstance(data, events.Words):
        facts |= {name: getattr(data, name) for name in ("leg", "utterance", "revision", "start_ms", "end_ms")}
        if settings.log_transcripts:
            facts["text"] = data.text
    elif isinstance(data, events.TranscriptCompleted):
        facts |= {"complete": data.complete, "legs": [leg.model_dump(exclude={"seconds"}) for leg in data.legs]}
    elif isinstance(data, events.LegDtmf):
        facts |= {"leg": data.leg, "start_ms": data.start_ms}  # a key may be part of a card number
    else:
        facts |= data.model_dump(mode="json", exclude={"type", "speaker"}, exclude_none=True)
    return facts


def signalled(message: Message, settings: Telemetry) -> dict[str, Any]:
    """Returns the facts of what the signalling process says of a dialog."""
    facts = asdict(message)
    facts.pop("dialog", None)
    if isinstance(message, Incoming):
        shown = {
            name: values
            for name, values in message.headers.items()
            if name in PLAIN_HEADERS or (settings.log_numbers and name not in SECRET_HEADERS)
        }
        facts |= {"headers": shown, "headers_hidden": sorted(set(message.headers) - set(shown))}
        facts["offer"] = without_secrets(message.offer)
        if not settings.log_numbers:
            for name in ("request_uri", "from_uri", "to_uri", "from_tag", "metadata"):
                facts.pop(name)
            # the user name of the session's owner
            facts["offer"] = re.sub(r"(?m)^o=\S+", "o=-", facts["offer"])
    elif isinstance(message, Media):
        for stream in facts["streams"]:
            stream["srtp"] = stream["srtp"].get("suite", "")
    elif isinstance(message, Pressed):
        facts.pop("key")  # it may be part of a card number
    elif isinstance(message, Metadata) and not settings.log_numbers:
        facts.pop("text")
    return facts
