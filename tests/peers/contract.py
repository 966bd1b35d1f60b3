"""The contract with consumers: says what is wrong with an event as it was sent, by the published schema.

Consumers pass over fields that they do not know, and so does the schema. A sender must not make any up: here they are
faults.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA = Path(__file__).parents[2] / "docs" / "events.schema.json"


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {name: _strict(value) for name, value in node.items()}
    if "properties" in made and isinstance(made["properties"], dict) and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


_document = json.loads(SCHEMA.read_text(encoding="utf-8"))
_document.pop("examples")
VALIDATOR = jsonschema.Draft202012Validator(
    _strict(_document), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


def faults(body: bytes) -> list[str]:
    """Returns what is wrong with an event, as the bytes that were sent; nothing when it fits."""
    event = json.loads(body)
    of_type = [each for each in VALIDATOR.schema["oneOf"] if each["properties"]["type"]["const"] == event.get("type")]
    if not of_type:
        return [f"no such type: {event.get('type')}"]
    return [
        f"{error.json_path}: {error.message}"
        for error in VALIDATOR.evolve(schema=_alone(of_type[0])).iter_errors(event)
    ]


def _alone(alternative: dict[str, Any]) -> dict[str, Any]:
    return alternative | {"$defs": VALIDATOR.schema["$defs"]}
