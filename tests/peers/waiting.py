"""Waiting for what another task or process does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits for a condition.

    Raises:
        TimeoutError: It did not come true.
    """
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (conditions of many kinds, none of which tells of its change)
            await asyncio.sleep(0.005)
