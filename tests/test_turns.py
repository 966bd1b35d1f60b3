"""The event loop turns with the receiver's tick while many legs are up, and by itself otherwise."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from gateway.turns import LOOK, MANY, Turns

TRIPS = 40


@pytest.mark.parametrize(("legs", "tick", "paced"), [(MANY, 5, True), (MANY - 1, 5, False), (MANY, 0, False)])
async def test_all_goes_on_at_one_look_a_turn(legs: int, tick: int, paced: bool) -> None:
    ready, tell = os.pipe()
    here, there = socket.socketpair()
    here.setblocking(False)
    there.setblocking(False)
    loop, looks, drained = asyncio.get_running_loop(), 0, 0

    def look() -> int:
        nonlocal looks
        looks += 1
        return legs

    def drain() -> None:
        nonlocal drained
        drained += len(os.read(ready, 100))

    begun = loop.time()
    loop.add_reader(ready, drain)
    turns = Turns(ready, tick, look)
    try:
        for number in range(TRIPS):
            os.write(tell, b"x")
            await loop.sock_sendall(here, bytes([number]))
            assert await loop.sock_recv(there, 1) == bytes([number])
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            while drained < TRIPS:  # noqa: ASYNC110 (a reader counts)
                await asyncio.sleep(0.001)
        if paced:
            assert looks >= TRIPS
        else:
            assert looks <= (tick > 0) * (2 + (loop.time() - begun) / LOOK)
        turns.close()
        before = looks
        await asyncio.sleep(0.02)
        assert looks == before
    finally:
        loop.remove_reader(ready)
        here.close()
        there.close()
        os.close(ready)
        os.close(tell)
