"""``asr-gateway trace``: the flight recorder's steps of one call; its tape, and whether it replays the same."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

import structlog

from gateway.console import client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    client.add_arguments(parser)
    parser.add_argument("call", metavar="CALL", nargs="?", help="the call's id; this needs the role operate")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--tape", type=Path, metavar="FILE", help="write what went into the call's legs, to be replayed; - for stdout"
    )
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="give a tape to the code of this version and compare its events"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    if args.replay is not None:
        return _replay(args.replay)
    if not args.call:
        print("asr-gateway trace: name a CALL, or a tape with --replay FILE", file=sys.stderr)
        return 2
    return client.guarded(lambda api: _save(api, args) if args.tape else _show(api, args), args)


def _show(api: client.Client, args: argparse.Namespace) -> int:
    for step in api.get(f"/calls/{args.call}/trace"):
        if args.json:
            print(json.dumps(step, ensure_ascii=False))
            continue
        facts = {name: value for name, value in step.items() if name not in ("ms", "part", "what")}
        lines = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in facts.items()]
        print(f"{step['ms']:>12.3f} ms  {step['part']:<9} {step['what']:<28} {' '.join(lines)}".rstrip())
    return 0


def _save(api: client.Client, args: argparse.Namespace) -> int:
    records = api.get(f"/calls/{args.call}/trace?form=tape")
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    if str(args.tape) == "-":
        print(lines, end="")
        return 0
    try:
        args.tape.write_text(lines, encoding="utf-8")
    except OSError as error:
        raise client.AskError(f"{args.tape}: {error.strerror}") from error
    print(f"{len(records)} records; replay them with: asr-gateway trace --replay {args.tape}")
    return 0


def _replay(path: Path) -> int:
    from gateway.calls.replay import TapeError, replay

    # what the calls log is on the tape already
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        outcome = replay(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError, TapeError) as error:
        print(f"asr-gateway trace: {path}: {error}", file=sys.stderr)
        return 2
    print("\n".join(outcome.difference()) or f"the same {len(outcome.recorded)} events", end="\n")
    if outcome.cut:
        print("the tape was full before the call was over; what came after is not compared")
    return 0 if outcome.same else 1
