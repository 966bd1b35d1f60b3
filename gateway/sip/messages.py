"""What the gateway and the signalling process say to each other: one JSON object a line, over a local socket.

Every message is a frozen dataclass; its class name travels as ``"type"``. Events (``events.py``) go up from the
signalling process, commands (``commands.py``) go down to it. A dialog is known by a number that the signalling process
gives and never uses again while it lives.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, TypeVar, dataclass_transform

M = TypeVar("M", bound="Message")


class MessageError(ValueError):
    """A line on the link is not a message; the text says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """The base of all messages."""

    known: ClassVar[dict[str, type[Message]]] = {}

    def line(self) -> bytes:
        """Returns the message as one line of JSON, its newline included."""
        return json.dumps({"type": type(self).__name__, **asdict(self)}, ensure_ascii=False).encode() + b"\n"


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def message(cls: type[M]) -> type[M]:
    """Makes a frozen dataclass of a message, known to ``parse`` by its name."""
    made = dataclass(frozen=True, slots=True)(cls)
    Message.known[cls.__name__] = made
    return made


def parse(line: bytes) -> Message:
    """Reads one line of the link.

    Args:
        line: One JSON object, with or without its newline.

    Returns:
        The message it holds.

    Raises:
        MessageError: The line is not JSON, names no known type, or its fields do not fit that type.
    """
    try:
        fields: dict[str, Any] = json.loads(line)
        name = fields.pop("type")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise MessageError(f"not a message: {line[:80]!r}") from error
    if (cls := Message.known.get(name)) is None:
        raise MessageError(f"no message has the type {name!r}")
    try:
        return cls(**fields)
    except TypeError as error:
        raise MessageError(f"{name}: {error}") from error
