"""The event model as JSON Schema and AsyncAPI, with an example of every event: made from ``events.py``, never by hand.

``make schema`` writes them to ``docs/``; a test holds that they are up to date.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from gateway import events

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_CALL = events.CallInfo(
    id="019caa11-8f00-7000-8000-0000000000c1",
    sip_call_ids=["4f2a-1@pbx.example"],
    from_number="+74950000001",
    to_number="100",
    headers={"x-queue": "sales"},
    labels={"customer": "4711"},
)
_SAID: dict[str, Any] = {
    "leg": "caller",
    "utterance": 1,
    "revision": 3,
    "text": "good morning",
    "start_ms": 480,
    "end_ms": 1340,
    "time": _BEGAN + timedelta(milliseconds=480),
}


def bodies() -> list[type[events._Model]]:
    """Returns the classes of what an event can carry, one for each type."""
    return list(get_args(get_args(events.Body)[0]))


def type_of(body: type[events._Model]) -> str:
    """Returns the event type of such a class."""
    return str(body.model_fields["type"].default)


def examples() -> list[events.Event]:
    """Returns an example of every event: a short call, with what can go wrong in it."""
    media = events.LegMedia(
        leg="caller",
        duration=40_000,
        received=39_680,
        concealed=320,
        paused=0,
        sent=40_000,
        withheld=0,
        unrecognised=0,
        recognised_seconds=5.0,
        packets=248,
        lost=2,
        late=0,
        duplicates=0,
        foreign=0,
    )
    said = events.Words(**_SAID)
    told: list[events.Body] = [
        events.CallStarted(leg="caller", codec="alaw"),
        events.CallUpdated(leg="caller", change="held"),
        events.TranscriptPartial(**(_SAID | {"revision": 1, "text": "good"})),
        events.AsrDegraded(
            leg="caller", engine="palatine", code="connection_lost", text="the connection was lost", retrying=True
        ),
        events.AsrRecovered(leg="caller", engine="palatine", lost_ms=0),
        events.TranscriptFinal(**(_SAID | {"revision": 2, "text": "good mourning"})),
        events.TranscriptRefined(**_SAID),
        events.LegDtmf(leg="caller", key="5", start_ms=2600, duration_ms=120),
        events.CallEnded(reason="bye", seconds=5.0),
        events.TranscriptCompleted(utterances=[said], legs=[media], complete=True),
    ]
    made, seq = [], 0
    for number, body in enumerate(told):
        seq += not isinstance(body, events.TranscriptPartial)
        time = _BEGAN + timedelta(milliseconds=500 * number)
        identity = f"019caa11-8f{number:02x}-7000-8000-0000000000e1"
        made.append(events.Event(id=identity, time=time, call=_CALL, seq=seq, data=body))
    return made


def json_schema() -> dict[str, Any]:
    """Returns the JSON Schema of an event as consumers receive it: one alternative for each type."""
    definitions: dict[str, Any] = {}
    alternatives = []
    envelope = events.Event.model_json_schema(mode="serialization", ref_template="#/$defs/{model}")
    shared = {name: field for name, field in envelope["properties"].items() if name != "data"}
    definitions |= {name: envelope["$defs"][name] for name in ("CallInfo", "SipDialog")}
    for body in bodies():
        schema = body.model_json_schema(mode="serialization", ref_template="#/$defs/{model}")
        definitions |= schema.pop("$defs", {})
        schema["properties"].pop("type")
        schema["required"] = [name for name in schema.get("required", []) if name != "type"]
        definitions[body.__name__] = schema
        alternatives.append(
            {
                "title": type_of(body),
                "description": (body.__doc__ or "").partition("\n\n")[0],
                "type": "object",
                "properties": {
                    "type": {"const": type_of(body)},
                    **shared,
                    "data": {"$ref": f"#/$defs/{body.__name__}"},
                },
                "required": ["type", "id", "version", "time", "call", "seq", "data"],
            }
        )
    return {
        "$schema": DRAFT,
        "title": "asr-gateway event",
        "description": "Consumers pass over fields and types that they do not know.",
        "oneOf": alternatives,
        "$defs": dict(sorted(definitions.items())),
        "examples": [json.loads(event.wire()) for event in examples()],
    }


def async_api() -> dict[str, Any]:
    """Returns the AsyncAPI document: one channel, a message for each type, with headers and an example."""
    schema = json_schema()
    shown = {event.type: json.loads(event.wire()) for event in examples()}
    messages = {}
    for alternative in schema["oneOf"]:
        name = alternative["title"]
        messages[name] = {
            "name": name,
            "title": name,
            "summary": " ".join(alternative["description"].split()),
            "contentType": "application/json",
            "headers": {"$ref": "#/components/schemas/Headers"},
            "payload": _moved(alternative),
            "examples": [{"name": name, "payload": shown[name]}],
        }
    signature = "Standard Webhooks signatures of `id.timestamp.body`, separated by spaces: v1 (HMAC) or v1a (ed25519)."
    headers = {
        "type": "object",
        "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
        "properties": {
            "webhook-id": {"type": "string", "description": "The event's id, the same for every attempt."},
            "webhook-timestamp": {"type": "string", "description": "Seconds since the epoch, of this attempt."},
            "webhook-signature": {"type": "string", "description": signature},
        },
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "asr-gateway events",
            "version": events.VERSION,
            "description": "The durable events of a call come in order, numbered by seq without a gap.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "events": {
                "address": "/",
                "description": "The URL of an endpoint; the gateway posts one event a request.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"http": {}},
            }
        },
        "operations": {"send": {"action": "send", "channel": {"$ref": "#/channels/events"}}},
        "components": {
            "messages": messages,
            "schemas": {"Headers": headers, **{name: _moved(body) for name, body in schema["$defs"].items()}},
        },
    }


def _moved(schema: Any) -> Any:
    """Returns a schema whose references point to where AsyncAPI keeps schemas."""
    if isinstance(schema, dict):
        return {
            name: value.replace("#/$defs/", "#/components/schemas/") if name == "$ref" else _moved(value)
            for name, value in schema.items()
        }
    return [_moved(item) for item in schema] if isinstance(schema, list) else schema


FILES = {"events.schema.json": json_schema, "asyncapi.json": async_api}


def text(name: str) -> str:
    """Returns the content of one of ``FILES``."""
    return json.dumps(FILES[name](), ensure_ascii=False, indent=2) + "\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``asr-gateway schema``."""
    parser.add_argument("folder", type=Path, help="where the files go")


def run(args: argparse.Namespace) -> int:
    """Writes the files.

    Args:
        args: What ``add_arguments`` describes.
    """
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (args.folder / name).write_text(text(name), encoding="utf-8")
    return 0
