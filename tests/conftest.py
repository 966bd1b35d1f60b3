"""What all tests share: they run on uvloop, as the gateway does, and draw the same examples each time.

A suite that draws new examples with each run tells a newcomer nothing about their change; `make prove-media` explores.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

import uvloop
from hypothesis import settings

pytest_plugins = ["tests.peers.claims", "tests.peers.hygiene"]

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}
