"""Claims: what a test shows, its figure and its verdict, printed as one table after the run.

A pytest plugin; ``make prove-…`` runs the tests of a part and ends with this table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

Claim = Callable[[str, object, bool], None]
_table = pytest.StashKey[list[tuple[str, str, bool]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_table] = []


def add(config: pytest.Config, text: str, figure: str, holds: bool) -> None:
    """Adds a row that no single test states; whoever adds one that does not hold fails the run."""
    config.stash[_table].append((text, figure, holds))


@pytest.fixture
def claim(request: pytest.FixtureRequest) -> Iterator[Claim]:
    """Gives what states a claim: ``claim(text, figure, holds)``; one that does not hold fails the test at its end."""
    failed: list[str] = []

    def state(text: str, figure: object, holds: bool) -> None:
        request.config.stash[_table].append((text, str(figure), holds))
        if not holds:
            failed.append(f"{text}: {figure}")

    yield state
    assert not failed, "; ".join(failed)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash[_table]
    if not rows:
        return
    wide = max(len(text) for text, _, _ in rows)
    figures = max(len(figure) for _, figure, _ in rows)
    terminalreporter.section("claims")
    for text, figure, holds in rows:
        terminalreporter.write_line(f"{text:{wide}}  {figure:>{figures}}  {'holds' if holds else 'FALLS SHORT'}")
