"""No secret, and no transcript or number above the configured level, in any line that a test run logs.

A pytest plugin over the whole run. It learns every secret that a configuration holds (in this process, and in the
files of the gateways that tests start), and every number and word of the calls that went through those gateways. It
looks for them in all that is logged: by this process, in the gateway's own way, and by the processes that tests start,
whose logs lie in the tests' folders as ``log`` or ``….log``. One finding fails the run, which says where it was.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from gateway.telemetry import logs
from gateway.telemetry.settings import Telemetry
from tests.peers import claims

LEAST = 8
"""Secrets and numbers that are shorter stand in lines by chance."""
_IN_FILES = re.compile(
    r"""^\s*(?:token|(?:other_)?secret|password|api_key|iam_token|service_account_key)\s*=\s*["']([^"'\n]+)""", re.M
)


class LookedFor:
    """What must not be in any line."""

    def __init__(self) -> None:
        self._always: set[str] = set()
        self._secrets: set[str] = set()
        self._said: set[str] = set()
        self.count = 0
        self.collecting = True  # what is made while tests are collected may be used by any of them

    def secret(self, value: str) -> None:
        """Takes a secret."""
        for line in value.split("\n"):
            if len(line) >= LEAST:
                (self._always if self.collecting else self._secrets).add(line)

    def number(self, *numbers: str) -> None:
        """Takes telephone numbers."""
        self._said |= {number for number in numbers if len(number) >= LEAST}

    def words(self, text: str) -> None:
        """Takes words that were said."""
        if len(text) >= LEAST:
            self._said.add(text)

    def found(self, text: str) -> list[str]:
        """Returns the lines with anything of it, and what it is."""
        known = self._always | self._secrets | self._said
        self.count = max(self.count, len(known))
        if not known:
            return []
        pattern = re.compile("|".join(map(re.escape, sorted(known, key=len, reverse=True))))
        return [
            f"{match[0]!r} in: {line[:300]}"
            for line in text.splitlines()
            if (match := pattern.search(line)) is not None
        ]

    def forget(self) -> None:
        """A test is over."""
        self._secrets.clear()
        self._said.clear()


LOOKED_FOR = LookedFor()


class _Logger(structlog.PrintLogger):
    """Keeps each line, and prints it as structlog does by itself."""

    lines: list[str] = []  # noqa: RUF012 (one for the run)

    def msg(self, message: str) -> None:
        self.lines.append(message)
        print(message, file=sys.stdout)

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg


class _Handler(logging.Handler):
    """Keeps what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        _Logger.lines.append(
            f"{record.getMessage()} {logging.Formatter().formatException(record.exc_info) if record.exc_info else ''}"
        )


class Hygiene:
    """The plugin's memory.

    Attributes:
        findings: What was found, and in which test.
        lines: Lines looked at.
        logs: Files looked at.
    """

    def __init__(self) -> None:
        self.findings: list[str] = []
        self.lines = self.logs = 0

    def look(self, test: str, text: str) -> None:
        """Looks at a part of a log."""
        self.lines += text.count("\n") + 1
        self.findings += [f"{test}: {finding}" for finding in LOOKED_FOR.found(text)]

    def over(self, test: str, folder: Path | None) -> None:
        """Looks at all that a test logged."""
        files = [] if folder is None else [path for path in folder.rglob("*") if path.is_file()]
        for path in files:
            if path.suffix == ".toml":
                for secret in _IN_FILES.findall(path.read_text(encoding="utf-8", errors="replace")):
                    LOOKED_FOR.secret(secret)
            elif path.name in ("secret", "token", "password") or path.suffix in (".secret", ".token", ".password"):
                LOOKED_FOR.secret(path.read_text(encoding="utf-8", errors="replace").strip())
        for path in files:
            if path.name.split(".")[0] == "log" or path.suffix == ".log":
                self.logs += 1
                self.look(f"{test} ({path.name})", path.read_text(encoding="utf-8", errors="replace"))
        if _Logger.lines:
            self.look(test, "\n".join(_Logger.lines))
            _Logger.lines.clear()
        LOOKED_FOR.forget()


_hygiene = pytest.StashKey[Hygiene]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_hygiene] = Hygiene()
    made = SecretStr.__init__

    def noticed(self: SecretStr, secret_value: str, *rest: Any) -> None:
        LOOKED_FOR.secret(secret_value)
        made(self, secret_value, *rest)

    SecretStr.__init__ = noticed  # type: ignore[method-assign]
    logs.set_level("debug")
    structlog.configure(
        processors=logs.processors(Telemetry(), console=False),
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=lambda *_: _Logger(),
        cache_logger_on_first_use=False,
    )
    logging.getLogger().addHandler(_Handler(logging.WARNING))


def pytest_collection_finish() -> None:
    LOOKED_FOR.collecting = False


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    result = yield
    item.config.stash[_hygiene].over(item.nodeid, folder)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    hygiene = session.config.stash[_hygiene]
    if hygiene.findings and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    claims.add(
        session.config,
        f"log: lines of this run, in {hygiene.logs} logs and of its own, with a secret, a number or words",
        f"{len(hygiene.findings)} of {hygiene.lines}",
        not hygiene.findings,
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if findings := config.stash[_hygiene].findings:
        terminalreporter.section("what must not be in a log")
        for finding in findings[:50]:
            terminalreporter.write_line(finding)
