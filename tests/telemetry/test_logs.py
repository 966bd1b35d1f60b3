"""What goes into a line: words and numbers by the operator's choice, secrets never, not even in tracebacks."""

from __future__ import annotations

import json
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from gateway.telemetry import logs
from gateway.telemetry.settings import Telemetry
from tests.peers.hygiene import LOOKED_FOR, LookedFor


def lines(settings: Telemetry, *, console: bool = False) -> tuple[Any, list[str]]:
    made: list[str] = []

    class Kept(structlog.PrintLogger):
        def msg(self, message: str) -> None:
            made.append(message)

        info = error = msg

    return structlog.wrap_logger(Kept(), logs.processors(settings, console=console)), made


@pytest.mark.parametrize("shown", [True, False])
def test_words_and_numbers_are_logged_where_they_may_be(shown: bool) -> None:
    log, made = lines(Telemetry(log_transcripts=shown, log_numbers=shown))
    log.info("said", words="hello there", number="74951234567", leg="caller")
    line = json.loads(made[0])
    assert line["leg"] == "caller"
    assert ("words" in line, "number" in line) == (shown, shown)


@pytest.mark.parametrize("console", [True, False])
def test_a_traceback_shows_no_variables(console: bool) -> None:
    log, made = lines(Telemetry(), console=console)
    hidden = "-".join(["a", "secret", "in", "a", "variable"])
    try:
        raise RuntimeError(len(hidden))
    except RuntimeError:
        log.error("failed", exc_info=True)
    assert "test_a_traceback_shows_no_variables" in made[0]
    assert hidden not in made[0]


def test_the_level_can_be_raised_while_it_runs() -> None:
    log, made = lines(Telemetry())
    try:
        logs.set_level("error")
        log.info("not this")
        log.error("this")
    finally:
        logs.set_level("debug")
    assert [json.loads(line)["event"] for line in made] == ["this"]


def test_the_run_would_notice_a_secret_a_number_and_words() -> None:
    made = LookedFor()
    made.secret("a-token-of-this-test")
    made.collecting = False
    made.number("100", "74951234567")
    made.words("it was the best of times")
    assert made.found("a line\n{'x': 'a-token-of-this-test'}\n100") == [
        "'a-token-of-this-test' in: {'x': 'a-token-of-this-test'}"
    ]
    assert len(made.found("+74951234567\nit was the best of times, it was")) == 2
    made.forget()
    assert made.found("74951234567") == []
    assert len(made.found("a-token-of-this-test")) == 1


def test_secrets_of_settings_are_noticed_as_they_are_read() -> None:
    Telemetry.model_validate({"homer": {"password": "a-password-that-is-noticed"}})
    assert LOOKED_FOR.found("a-password-that-is-noticed")
    SecretStr("another-that-is-noticed")
    assert LOOKED_FOR.found("another-that-is-noticed")
