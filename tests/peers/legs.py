"""sipp as a PBX that sends each leg of a call on a dialog of its own, with words of the test recogniser."""

from __future__ import annotations

from pathlib import Path

from tests.peers import sipp
from tests.peers.gateway import free_port
from tests.peers.recogniser import spoken
from tests.peers.sipp_steps import get, sdp, send, write

REST_MS = 400
"""How long a leg stays after its last word."""
LINE = "m=audio [media_port] RTP/AVP 8\n"


async def legs(
    folder: Path, target: str, leg: str, values: list[int], *, key: str, calls: int = 1, rate: int = 4
) -> None:
    """Places calls of one leg each, which say words and hang up.

    Args:
        folder: For what sipp reads.
        target: ``host:port``.
        leg: X-Call-Leg.
        values: The words.
        key: X-Call-Id; ``[call_number]`` in it is 1 for the first.
        calls: How many.
        rate: New ones a second.
    """
    name = f"{leg}-{''.join(filter(str.isalnum, key))}"
    audio = spoken(values)
    (folder / f"{name}.raw").write_bytes(audio)
    joined = f"X-Call-Id: {key}\nX-Call-Leg: {leg}\n"
    steps = [
        send("INVITE", 1, sdp(1, LINE), first=True, headers=joined),
        get(200),
        send("ACK", 1),
        f'<nop><action><exec rtp_stream="{name}.raw,1,8"/></action></nop>\n<pause/>\n',
        send("BYE", 2),
        get(200, dialog=False),
    ]
    hold_ms = len(audio) // 8 + REST_MS
    run = await sipp.run(
        write(folder, name, steps),
        target,
        port=free_port(),
        calls=calls,
        rate=rate,
        at_once=calls,
        hold_ms=hold_ms,
        give_up=30 + hold_ms // 1000,
    )
    assert run.passed, run.errors + run.messages[-3000:]
