from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from gateway.sip.commands import Hangup
from gateway.sip.events import Established, Incoming, Ready
from tests.peers.sip_peer import sdp
from tests.sip.conftest import Start


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def descriptors(pid: int) -> dict[int, str]:
    return {int(entry.name): str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}


async def test_a_dead_process_is_started_again_and_numbers_its_dialogs_on(start: Start) -> None:
    gateway = await start(listen=["udp:127.0.0.1:0"])
    await gateway.peer().invite(sdp())
    first = await gateway.wait_for(Established)
    assert gateway.link.pid
    os.kill(gateway.link.pid, signal.SIGKILL)
    gateway.ready = await gateway.wait_for(Ready, 2)
    assert (gateway.lost, gateway.link.restarts) == (1, 1)
    assert (await gateway.peer().invite(sdp())).code == 200
    second = await gateway.wait_for(Incoming, 2)
    assert second.dialog > first.dialog
    gateway.link.send(Hangup(first.dialog))
    await gateway.wait_for(Established, 2)


async def test_a_process_that_hangs_is_killed_and_started_again(start: Start) -> None:
    gateway = await start(listen=["udp:127.0.0.1:0"])
    first = gateway.link.pid
    assert first
    os.kill(first, signal.SIGSTOP)
    gateway.ready = await gateway.wait_for(Ready, 2)
    assert (gateway.link.hangs, gateway.link.restarts, gateway.lost) == (1, 1, 1)
    assert not running(first)
    assert (await gateway.peer().invite(sdp())).code == 200


async def test_a_closed_link_ends_the_process_with_its_calls(start: Start) -> None:
    gateway = await start()
    peer = gateway.peer()
    await peer.invite(sdp())
    await gateway.wait_for(Established)
    pid, writer = gateway.link.pid, gateway.link._writer
    assert pid
    assert writer
    os.kill(pid, signal.SIGTERM)  # for the gateway to act on, not for this process
    writer.close()
    await peer.request("BYE")
    for _ in range(250):
        if not running(pid):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the process outlives its gateway")


async def test_a_command_without_a_process_is_counted(start: Start) -> None:
    gateway = await start()
    await gateway.link.stop()
    gateway.link.send(Hangup(1))
    assert gateway.link.unsent == 1


async def test_the_process_inherits_no_other_descriptor(start: Start) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        gateway = await start()
        assert gateway.link.pid
        assert descriptors(os.getpid())[write] not in descriptors(gateway.link.pid).values()
    finally:
        os.close(read)
        os.close(write)
