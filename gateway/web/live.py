"""The stream of server-sent events that one viewer follows (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from gateway.web.board import Board
from gateway.web.feed import frame

# A line that says nothing, so that proxies and the page know that the stream is alive (seconds).
KEEP_ALIVE = 15.0


async def follow(board: Board, call: str | None, last: str | None) -> AsyncIterator[bytes]:
    """Yields one viewer's stream.

    Args:
        board: The calls.
        call: The one call to follow; None for all.
        last: The place after which to go on, as the viewer names it; None for a new viewer.

    Yields:
        Whole server-sent events: first a snapshot, unless the stream can go on from ``last``.
    """
    feed = board.feed
    feed.viewers += 1
    try:
        number, beat = feed.number(last) if last else None, 0
        while not feed.closed:
            known = None if number is None else feed.since(number, call)
            if number is None or known is None:
                feed.restarts += last is not None
                number = feed.end
                yield snapshot(board, call)
            else:
                number = feed.end
                if known:
                    yield known
            if call is not None and _over(board, call):
                return
            try:
                beat, levels = await asyncio.wait_for(feed.wait(number, beat), KEEP_ALIVE)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if levels and call is None:
                yield levels
    finally:
        feed.viewers -= 1


def snapshot(board: Board, call: str | None) -> bytes:
    """Returns where things stand, as a server-sent event that stands for all events before it."""
    place = board.feed.place()
    if call is None:
        calls = [summary.model_dump(mode="json") for summary in board.live()]
        body = json.dumps({"at": place, "calls": calls}, ensure_ascii=False)
    else:
        detail = board.detail(call)
        body = "null" if detail is None else detail.model_dump_json()
    return frame("snapshot", body.encode(), place)


def _over(board: Board, call: str) -> bool:
    detail = board.detail(call)
    return detail is None or detail.state == "ended"
