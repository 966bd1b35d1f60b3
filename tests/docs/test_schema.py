"""The published schemas are those of the code, and the events really sent fit them."""

import json
from pathlib import Path

import jsonschema
import pytest

from gateway import schema
from gateway.events import Event
from tests.peers.contract import VALIDATOR, faults

DOCS = Path(__file__).parents[2] / "docs"
ASYNCAPI = Path(__file__).parents[1] / "peers/js/node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"
EXAMPLES = schema.examples()


@pytest.mark.parametrize("name", schema.FILES)
def test_the_files_are_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == schema.text(name), "run `make schema`"


def test_the_schema_is_one() -> None:
    official = jsonschema.Draft202012Validator(jsonschema.Draft202012Validator.META_SCHEMA)
    errors = [error.message for error in official.iter_errors(schema.json_schema())]
    assert errors == []


def test_the_asyncapi_document_fits_asyncapis_own_schema() -> None:
    official = json.loads(ASYNCAPI.read_text(encoding="utf-8"))
    document = json.loads((DOCS / "asyncapi.json").read_text(encoding="utf-8"))
    errors = [error.message for error in jsonschema.Draft7Validator(official).iter_errors(document)]
    assert errors == []


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = schema.async_api()

    def follow(node: object) -> int:
        if isinstance(node, list):
            return sum(map(follow, node))
        if not isinstance(node, dict):
            return 0
        if isinstance(node.get("$ref"), str):
            place: object = document
            for part in node["$ref"].removeprefix("#/").split("/"):
                assert isinstance(place, dict)
                place = place[part]
            return 1
        return sum(follow(value) for value in node.values())

    assert follow(document) > 20


def test_there_is_an_example_of_every_type_and_all_fit() -> None:
    assert {event.type for event in EXAMPLES} == {schema.type_of(body) for body in schema.bodies()}
    for event in EXAMPLES:
        assert faults(event.wire()) == []
        assert Event.from_wire(event.wire()) == event


def test_the_examples_are_a_call_without_a_gap() -> None:
    assert [event.seq for event in EXAMPLES if event.durable] == list(range(1, len(EXAMPLES)))


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)
def test_a_missing_or_unknown_field_or_one_of_another_kind_does_not_fit(event: Event) -> None:
    for change in ({"seq": "1"}, {"call": {}}, {"type": "call.other"}, {"more": 1}):
        assert faults(json.dumps(json.loads(event.wire()) | change).encode())
    fields = json.loads(event.wire())
    for name in list(fields["data"]):
        data = {other: value for other, value in fields["data"].items() if other != name}
        required = VALIDATOR.schema["$defs"][type(event.data).__name__]["required"]
        assert bool(faults(json.dumps(fields | {"data": data}).encode())) == (name in required)
        assert faults(json.dumps(fields | {"data": fields["data"] | {name: [["?"]]}}).encode())


def test_a_consumer_reads_events_that_a_later_version_sends() -> None:
    fields = json.loads(EXAMPLES[0].wire())
    later = fields | {"more": 1, "data": fields["data"] | {"more": {"a": 1}}, "call": fields["call"] | {"more": []}}
    assert Event.from_wire(json.dumps(later).encode()) == EXAMPLES[0]
