"""``asr-gateway calls``: the calls that are up, or a search among those that are over; one line each."""

from __future__ import annotations

import argparse
import json
from urllib.parse import urlencode

from gateway.console import client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    client.add_arguments(parser)
    parser.add_argument("--past", action="store_true", help="those that are over, newest first")
    for name, text in (("number", "part of a number"), ("text", "part of what was said"), ("label", "part of a label")):
        parser.add_argument(f"--{name}", default="", help=f"past calls with this {text}")
    parser.add_argument("--limit", type=int, default=50, help="how many past calls at most (50)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    return client.guarded(lambda api: _list(api, args), args)


def _list(api: client.Client, args: argparse.Namespace) -> int:
    wanted = {name: getattr(args, name) for name in ("number", "text", "label") if getattr(args, name)}
    past = args.past or bool(wanted)
    query = urlencode({"state": "past" if past else "live", "limit": args.limit, **wanted})
    for call in api.get(f"/calls?{query}")["calls"]:
        if args.json:
            print(json.dumps(call, ensure_ascii=False))
            continue
        state = f"{call['seconds'] or 0:.0f} s, {call['reason']}" if call["state"] == "ended" else "live"
        print(f"{call['id']}  {call['started']}  {call['from_number']} > {call['to_number']}  {state}")
    return 0
