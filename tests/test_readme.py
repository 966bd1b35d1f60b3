"""The README is a promise: its examples are events, and its table holds the settings of now."""

import json
import re
from typing import get_args

from gateway import events
from tests.config_table import README, inserted

TEXT = README.read_text(encoding="utf-8")
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]


def test_every_event_has_an_example_that_is_one() -> None:
    whole = EXAMPLES[0]
    for example in EXAMPLES:
        event = events.Event.from_wire(json.dumps({**whole, **example}).encode())
        assert json.loads(event.wire())["data"] == example["data"], "no field is missing in the example"
    bodies = get_args(get_args(events.Body)[0])
    assert {example["type"] for example in EXAMPLES} == {body.model_fields["type"].default for body in bodies}


def test_the_table_of_settings_is_the_one_of_now() -> None:
    assert inserted(TEXT) == TEXT, "run: python -m tests.config_table"
