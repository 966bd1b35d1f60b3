"""``asr-gateway status``: the gateway at a glance, once or again and again."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from gateway.console import client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    client.add_arguments(parser)
    parser.add_argument("--watch", action="store_true", help="go on showing it, every two seconds, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print what the API says")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    return client.guarded(lambda api: _show(api, args), args)


def _show(api: client.Client, args: argparse.Namespace) -> int:
    console = Console(highlight=False)
    if args.json:
        print(json.dumps(api.get("/status")))
        return 0
    if not args.watch:
        console.print(_drawn(api))
        return 0
    with Live(_drawn(api), console=console, auto_refresh=False, screen=True) as live:
        while True:
            time.sleep(2)
            live.update(_drawn(api), refresh=True)


def _drawn(api: client.Client) -> RenderableType:
    status, minutes, calls = api.get("/status"), api.get("/latency"), api.get("/calls")["calls"]
    state = "draining" if status["draining"] else "up"
    head = (
        f"{state} for {status['seconds']:.0f} s · {status['calls']} calls, {status['legs']} of {status['capacity']}"
        f" legs · {', '.join(status['sip']) or 'no signalling'} · store {status['store']} · loop lag"
        f" {status['loop_lag_ms']} ms"
    )
    parts: list[RenderableType] = [head]
    parts.append(
        _table(
            ("engine", "state", "sessions", "outages"),
            [(item["name"], item["state"], _counts(item["sessions"]), item["outages"]) for item in status["engines"]],
        )
    )
    if status["endpoints"]:
        names = ("waiting", "delivered", "dead", "last_result")
        rows = [(item["name"], *(item[name] for name in names)) for item in status["endpoints"]]
        parts.append(_table(("consumer", *names), rows))
    if minutes:
        newest = minutes[-1]["latency"]
        rows = [(name, value["count"], f"{value['p50']:.3f}", f"{value['p95']:.3f}") for name, value in newest.items()]
        parts.append(_table(("latency of this minute", "count", "p50, s", "p95, s"), rows))
    if calls:
        parts.append(_table(("call", "from", "to", "legs", "last words"), [_row(call) for call in calls[:20]]))
    return Group(*parts)


def _row(call: dict[str, Any]) -> tuple[str, ...]:
    legs = ", ".join(f"{leg['name']} {leg['state']}" for leg in call["legs"])
    return call["id"], call["from_number"], call["to_number"], legs, call["last_words"][-60:]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{state} {count}" for state, count in counts.items())


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Table:
    made = Table(*head, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return made
