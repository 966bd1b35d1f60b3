"""What all tests share: they run on uvloop, as the gateway does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import uvloop

pytest_plugins = ["tests.peers.claims"]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}
