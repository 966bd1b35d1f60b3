"""The command ``asr-gateway asr-server``: the embedded recogniser as a server of its own."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import structlog

from gateway.asr.embedded.faults import ListenFailed, StartError, TokenMissing
from gateway.asr.embedded.protocol import MODEL
from gateway.asr.embedded.server import Server

TOKEN_VARIABLE = "ASR_SERVER_TOKEN"  # noqa: S105 (the variable's name)
READY = "asr-server ready at "
"""The line on standard output that says that sessions are taken begins so; the URL follows."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT", default="127.0.0.1:8089", help="where to serve (default %(default)s)"
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"holds the token that clients must show; else it is taken from the environment, {TOKEN_VARIABLE}",
    )
    parser.add_argument(
        "--max-sessions",
        type=_positive,
        default=8,
        metavar="N",
        help="sessions at once (default %(default)s); a core carries 3 to 4 that all talk, with partial results",
    )
    parser.add_argument("--parent-fd", type=int, metavar="FD", help="end when this inherited pipe is closed")


def run(args: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT.

    Args:
        args: As parsed by a parser that ``add_arguments`` prepared.

    Returns:
        0, or the status of the ``StartError``.
    """
    if not structlog.is_configured():
        _log_to_stderr()
    try:
        host, port = _address(args.listen)
        server_token = _token(args.token_file)
        asyncio.run(_serve(Server(host, port, server_token, args.max_sessions), args.parent_fd))
    except StartError as error:
        print(f"asr-server: {error}", file=sys.stderr)
        return error.status
    return 0


async def _serve(server: Server, parent_fd: int | None) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if parent_fd is not None:
        # The parent never writes: the pipe becomes readable when its other end is closed.
        loop.add_reader(parent_fd, _parent_gone, loop, parent_fd, stop)
    starting = asyncio.create_task(server.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
    else:
        try:
            starting.result()
        except StartError:
            stopping.cancel()
            raise
        print(f"{READY}{server.url} ({MODEL})", flush=True)
        await stopping
    await server.stop()


def _parent_gone(loop: asyncio.AbstractEventLoop, parent_fd: int, stop: asyncio.Event) -> None:
    loop.remove_reader(parent_fd)
    stop.set()


def _address(listen: str) -> tuple[str, int]:
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[0-9.]+):(\d{1,5})", listen)
    if match is None or int(match[2]) > 65535:
        raise ListenFailed(listen, "it is not ADDRESS:PORT with a numeric address")
    return match[1].strip("[]"), int(match[2])


def _token(path: Path | None) -> str:
    # Taken out of the environment, so that the worker process does not inherit it.
    token = os.environ.pop(TOKEN_VARIABLE, "")
    if path is not None:
        try:
            token = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TokenMissing(f"{path} cannot be read: {error}") from error
    if not token.strip():
        raise TokenMissing
    return token.strip()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _log_to_stderr() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
            if sys.stderr.isatty()
            else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def main() -> int:
    """Runs the server alone: ``python -m gateway.asr.embedded``."""
    parser = argparse.ArgumentParser(prog="python -m gateway.asr.embedded", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args())
