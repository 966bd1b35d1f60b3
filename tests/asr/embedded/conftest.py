from __future__ import annotations

import pytest

from tests.peers import asr_server


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A running server that tests share; a test that kills something starts its own."""
    with asr_server.start(log=tmp_path_factory.mktemp("asr") / "server.log") as running:
        yield running


@pytest.fixture
def own_server(tmp_path):
    """A running server for one test, with two sessions at most."""
    with asr_server.start("--max-sessions=2", log=tmp_path / "server.log") as running:
        yield running
