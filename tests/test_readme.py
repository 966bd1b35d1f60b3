"""The README is a promise: its events, settings, configurations and commands are those of now."""

import importlib
import json
import re
import shlex
import textwrap
from pathlib import Path
from typing import get_args

import pytest

from gateway import cli, config, events
from tests.config_table import README, inserted

TEXT = README.read_text(encoding="utf-8")
INDENTED = [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n)+", TEXT, re.MULTILINE)]
CONFIGURATIONS = [
    block for block in INDENTED if re.match(rf"\[+({'|'.join(config.Settings.model_fields)})\b[^-]", block)
]
COMMANDS = [line.strip() for line in re.findall(r"^(?:    )?asr-gateway ([^#\n]*)", TEXT, re.MULTILINE)]
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


@pytest.mark.parametrize("text", CONFIGURATIONS, ids=lambda text: text.partition("\n")[0])
def test_the_configurations_are_taken(text: str, tmp_path: Path) -> None:
    for name in re.findall(r'"/etc/asr-gateway/([^"]+)"', text):
        (tmp_path / name).write_text("of-this-test")
    path = tmp_path / "gateway.toml"
    path.write_text(text.replace("/etc/asr-gateway", str(tmp_path)))
    assert config.load(path) != config.Settings()


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_take_what_is_shown(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, *arguments = shlex.split(line)
    monkeypatch.setattr(config, "load", lambda _: config.Settings())
    if name in cli.MODULES:
        monkeypatch.setattr(importlib.import_module(cli.MODULES[name][0]), "run", lambda _: 0)
    else:
        monkeypatch.setattr(cli, "_run", lambda _: 0)
    assert cli.main([name, *arguments]) == 0


def test_the_commands_are_all_there() -> None:
    named = set(re.findall(r"asr-gateway ([a-z-]+(?:\\\|[a-z-]+)*)", TEXT))
    assert {one for names in named for one in names.split("\\|")} >= {"run", "check-config", *cli.MODULES}
    assert len(CONFIGURATIONS) >= 3
    assert len(COMMANDS) >= 15
