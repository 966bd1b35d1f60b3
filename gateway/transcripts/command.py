"""The command ``asr-gateway export``: the transcript of a finished call, in one of several forms."""

from __future__ import annotations

import argparse
import sys

from gateway import config
from gateway.delivery.archive import ArchiveError
from gateway.delivery.command import database_arguments, open_archive
from gateway.transcripts.export import FORMS, UnfinishedError, export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``asr-gateway export``."""
    parser.add_argument("call", help="the call's id")
    parser.add_argument("--format", choices=sorted(FORMS), default="text", help="text when not given")
    database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the transcript to the standard output.

    Args:
        args: What ``add_arguments`` describes.

    Returns:
        0 when it was written, 1 when there is none (yet), 2 when the outbox cannot be read.
    """
    try:
        archive = open_archive(args)
        sys.stdout.write(export(archive.call(args.call), args.format))
        archive.close()
    except UnfinishedError as error:
        print(f"asr-gateway export: {args.call}: {error}", file=sys.stderr)
        return 1
    except (ArchiveError, config.ConfigError) as error:
        print(f"asr-gateway export: {error}", file=sys.stderr)
        return 2
    return 0
