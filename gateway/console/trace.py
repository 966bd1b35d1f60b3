"""``asr-gateway trace``: the flight recorder's steps of one call."""

from __future__ import annotations

import argparse
import json

from gateway.console import client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    client.add_arguments(parser)
    parser.add_argument("call", metavar="CALL", help="the call's id; this needs the role operate")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    return client.guarded(lambda api: _show(api, args), args)


def _show(api: client.Client, args: argparse.Namespace) -> int:
    for step in api.get(f"/calls/{args.call}/trace"):
        if args.json:
            print(json.dumps(step, ensure_ascii=False))
            continue
        facts = {name: value for name, value in step.items() if name not in ("ms", "part", "what")}
        lines = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in facts.items()]
        print(f"{step['ms']:>12.3f} ms  {step['part']:<9} {step['what']:<28} {' '.join(lines)}".rstrip())
    return 0
