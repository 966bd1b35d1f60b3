"""The command ``asr-gateway``."""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import sys
from pathlib import Path

import uvloop

from gateway import config
from gateway.asr import routes

# Subcommands with a module of their own, imported only when asked for: each needs packages that others do without.
MODULES = {
    "call": ("gateway.sip.caller", "place a test call that plays sound files"),
    "asr-server": ("gateway.asr.embedded.__main__", "serve the embedded recogniser with Palatine's protocol"),
    "fake-asr": ("gateway.asr.fake.command", "serve a test recogniser that makes every fault when told to"),
    "consume": ("gateway.delivery.consumer", "receive webhooks, verify and print them"),
    "webhooks": ("gateway.delivery.command", "list, show, replay and verify what was delivered"),
    "export": ("gateway.transcripts.command", "write the transcript of a finished call"),
    "schema": ("gateway.schema", "write the JSON Schema and the AsyncAPI document of the events"),
    "status": ("gateway.console.status", "show a running gateway: calls, engines, consumers, latencies"),
    "calls": ("gateway.console.calls", "list calls that are up, or search those that are over"),
    "tail": ("gateway.console.tail", "follow the words of one call, or of all"),
    "trace": ("gateway.console.trace", "show every recorded step of one call with its time"),
    "doctor": ("gateway.console.doctor", "check what a gateway needs, each finding with its remedy"),
    "inspect": ("gateway.inspect", "run a capture file through the media code and print what is in it"),
    "demo": ("gateway.demo", "show the whole way of a call on this machine, from the INVITE to the webhook"),
}


def main(argv: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Its arguments; those of the process when None.

    Returns:
        The exit status.
    """
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="asr-gateway", description="Live transcripts of the calls on a SIP trunk.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _config_argument(commands.add_parser("run", help="take calls until SIGTERM"))
    check = commands.add_parser("check-config", help="print every fault of the configuration, or what is in effect")
    _config_argument(check)
    check.add_argument(
        "--route",
        metavar="FACTS",
        help="explain which engine a leg gets, as in to=74951234567,from=900,leg=agent,peer=pbx,X-Queue=sales",
    )
    for name, (module, text) in MODULES.items():
        command = commands.add_parser(name, help=text)
        if arguments and arguments[0] == name:
            try:
                importlib.import_module(module).add_arguments(command)
            except ModuleNotFoundError as error:
                print(f"asr-gateway {name}: {error.name} is not installed; see the README", file=sys.stderr)
                return 1
    args = parser.parse_args(arguments)
    if args.command in MODULES:
        try:
            status = int(importlib.import_module(MODULES[args.command][0]).run(args))
            sys.stdout.flush()
        except BrokenPipeError:
            # whoever reads what we print has seen enough, as `head` has; what is still buffered goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return status
    try:
        settings = config.load(args.config)
    except config.ConfigError as error:
        count = len(error.faults)
        print(f"{count} fault{'s' if count > 1 else ''} in the configuration:", file=sys.stderr)
        for fault in error.faults:
            print(f"  {fault}", file=sys.stderr)
        return 2
    if args.command == "check-config" and args.route is not None:
        return _explain(settings, args.route)
    if args.command == "check-config":
        print(json.dumps(settings.shown(), indent=2, ensure_ascii=False))
        return 0
    return _run(settings)


def _config_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="the TOML file; without it, defaults and the environment")


def _explain(settings: config.Settings, text: str) -> int:
    try:
        facts = routes.facts_of(text)
    except ValueError as error:
        print(f"--route: {error}", file=sys.stderr)
        return 2
    print("\n".join(routes.explain(settings.asr.routes, settings.asr.engine, facts)))
    return 0


def _run(settings: config.Settings) -> int:
    from gateway.app import Gateway, StartError
    from gateway.telemetry import logs

    logs.configure(settings.telemetry)

    async def serve() -> None:
        gateway = Gateway(settings)
        await gateway.start()
        collect_seldom()
        await gateway.run()

    try:
        uvloop.run(serve())
    except StartError as error:
        print(f"asr-gateway: {error}", file=sys.stderr)
        return 1
    return 0


def collect_seldom() -> None:
    """Has Python look for reference cycles less often than it would.

    With a thousand legs a full collection stops everything for 200 ms, and at Python's own thresholds several come a
    minute. What was made at start is never looked at again. What legs leave behind in cycles is still found: all that
    grew in some minutes, once it is a quarter of what is alive.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 5)


if __name__ == "__main__":
    sys.exit(main())
