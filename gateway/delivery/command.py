"""The command ``asr-gateway webhooks``: it works while the gateway runs, and without it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from gateway import config
from gateway.delivery import signing
from gateway.delivery.archive import STATES, Archive, ArchiveError, Selection
from gateway.delivery.verification import Verification

LIST_LIMIT = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``asr-gateway webhooks``."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="list|show|replay|verify")
    listing = commands.add_parser("list", help="what was sent to whom, and what waits")
    _selection(listing)
    listing.add_argument("--limit", type=int, default=LIST_LIMIT, help=f"how many at most ({LIST_LIMIT})")
    listing.add_argument("--json", action="store_true", help="a line of JSON each")
    show = commands.add_parser("show", help="one event, as consumers receive it")
    show.add_argument("id", help="the event's id")
    replay = commands.add_parser("replay", help="send events again, under the same id")
    replay.add_argument("ids", nargs="*", metavar="ID", help="event ids")
    _selection(replay)
    replay.add_argument("--dead", action="store_true", help="the dead letters: the same as --state dead")
    replay.add_argument("--to", metavar="ENDPOINT", help="to this endpoint, also one that never had them")
    verify = commands.add_parser(
        "verify", help="a consumer's check: is a received stream complete, in order, authentic?"
    )
    verify.add_argument("file", help="lines of JSON; - for the standard input")
    verify.add_argument(
        "--secret-file", type=Path, action="append", default=[], help="whsec_… or whpk_…; may be repeated"
    )
    for command in (listing, show, replay):
        database_arguments(command)


def database_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what says where the outbox is."""
    parser.add_argument("--config", type=Path, help="the gateway's TOML file")
    parser.add_argument("--database", type=Path, metavar="FILE", help="the outbox, instead of the configuration's")


def open_archive(args: argparse.Namespace) -> Archive:
    """Opens the outbox that the arguments name.

    Raises:
        ArchiveError: It cannot be opened.
        gateway.config.ConfigError: The configuration cannot be used.
    """
    return Archive(args.database or config.load(args.config).delivery.database)


def run(args: argparse.Namespace) -> int:
    """Runs one of the commands.

    Args:
        args: What ``add_arguments`` describes.

    Returns:
        0 when all is well, 1 when ``verify`` found faults or ``show`` nothing, 2 when it cannot be done.
    """
    try:
        match args.what:
            case "list":
                return _list(args)
            case "show":
                return _show(args)
            case "replay":
                return _replay(args)
            case _:
                return _verify(args)
    except BrokenPipeError:
        raise  # no fault: nobody reads on
    except (ArchiveError, config.ConfigError, OSError, ValueError) as error:
        print(f"asr-gateway webhooks {args.what}: {error}", file=sys.stderr)
        return 2


def _selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--call", help="of this call")
    parser.add_argument("--endpoint", help="of this endpoint")
    parser.add_argument("--state", choices=sorted(STATES), help="in this state")
    parser.add_argument("--type", help="of this type; * stands for anything")
    parser.add_argument("--since", type=_time, metavar="TIME", help="accepted then or later, as 2026-03-01T12:00")
    parser.add_argument("--until", type=_time, metavar="TIME", help="accepted before then")


def _selected(args: argparse.Namespace, ids: tuple[str, ...] = ()) -> Selection:
    return Selection(ids, args.call, args.endpoint, args.state, args.type, args.since, args.until)


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _list(args: argparse.Namespace) -> int:
    archive = open_archive(args)
    for delivery in archive.deliveries(_selected(args), args.limit):
        if args.json:
            print(json.dumps(asdict(delivery)))
            continue
        accepted = datetime.fromtimestamp(delivery.number / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        told = f"{delivery.state} after {delivery.attempts}" if delivery.state else "for nobody"
        print(accepted, delivery.id, delivery.call, delivery.seq, delivery.type, delivery.endpoint or "-", told)
    archive.close()
    return 0


def _show(args: argparse.Namespace) -> int:
    archive = open_archive(args)
    body = archive.body(args.id)
    if body is None:
        print(f"asr-gateway webhooks show: no event {args.id} is stored", file=sys.stderr)
        return 1
    places = [asdict(delivery) for delivery in archive.deliveries(Selection((args.id,))) if delivery.endpoint]
    print(json.dumps({"event": json.loads(body), "deliveries": places}, ensure_ascii=False, indent=2))
    archive.close()
    return 0


def _replay(args: argparse.Namespace) -> int:
    if args.dead:
        args.state = "dead"
    selection = _selected(args, tuple(args.ids))
    if selection == Selection():
        raise ValueError("say what to send again: ids, --call, --endpoint, --dead, --since …")
    archive = open_archive(args)
    print(f"{archive.replay(selection, args.to)} deliveries asked for; the gateway sends them when it runs")
    archive.close()
    return 0


def _verify(args: argparse.Namespace) -> int:
    secrets = [path.read_text(encoding="utf-8").strip() for path in args.secret_file]
    check = Verification([signing.verifier(secret) for secret in secrets])
    if args.file == "-":
        for line in sys.stdin:
            check.line(line)
    else:
        with Path(args.file).open(encoding="utf-8") as file:
            for line in file:
                check.line(line)
    faults = check.finish()
    for fault in faults:
        print(fault)
    print(
        f"{check.events} events, {check.partials} partials, {check.repeats} repeats, "
        f"{check.verified} of {check.lines} signatures verified, {len(faults)} faults"
    )
    for call in check.unsettled:
        print(f"call {call} says of itself that words may be missing")
    return 1 if faults else 0
