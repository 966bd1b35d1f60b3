"""``asr-gateway tail``: the words of a call, or of all calls, as they become final."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from gateway.console import client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    client.add_arguments(parser)
    parser.add_argument("call", nargs="?", default="", metavar="CALL", help="the call's id; all calls without it")
    parser.add_argument("--json", action="store_true", help="every event as one JSON object a line, partials too")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    return client.guarded(lambda api: _follow(api, args), args)


def _follow(api: client.Client, args: argparse.Namespace) -> int:
    path = f"/calls/{args.call}/stream" if args.call else "/stream"
    for kind, data in api.stream(path):
        if args.json and kind != "levels":
            print(json.dumps(data, ensure_ascii=False), flush=True)
        elif kind == "snapshot" and args.call:
            for said in data["transcript"]:
                if said["state"] != "partial":
                    _say("", said)
        elif kind == "call":
            _tell(data, single=bool(args.call))
    return 0


def _tell(event: dict[str, Any], *, single: bool) -> None:
    call = "" if single else f"{event['call']['id']} "
    if event["type"] in ("transcript.final", "transcript.refined"):
        _say(call, event["data"])
    elif event["type"] in ("call.started", "call.ended", "asr.degraded", "asr.recovered"):
        detail = event["data"].get("reason") or event["data"].get("text") or event["data"].get("leg") or ""
        print(f"{call}-- {event['type']} {detail}".rstrip(), flush=True)


def _say(call: str, said: dict[str, Any]) -> None:
    print(f"{call}{said['time'][11:19]} {said['leg']}: {said['text']}", flush=True)
    sys.stdout.flush()
