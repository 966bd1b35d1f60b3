"""Asks a running gateway's API."""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

DEFAULT = "http://127.0.0.1:8080"
SILENT_SECONDS = 40.0  # a stream says something at least every 15 s


class AskError(Exception):
    """The gateway did not answer as wanted; the text says what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds where the gateway is and who asks."""
    parser.add_argument("--url", default=os.environ.get("ASR_GATEWAY_URL", DEFAULT), help="of the gateway's web side")
    parser.add_argument(
        "--token-file", help="file with a token of web.tokens; without it the environment's ASR_GATEWAY_TOKEN"
    )


class Client:
    """Asks the API.

    Args:
        args: As ``add_arguments`` made them.

    Raises:
        AskError: The token's file cannot be read, or the URL is none.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        if not args.url.startswith(("http://", "https://")):
            raise AskError(f"{args.url!r} is not an http:// or https:// URL")
        self._base = args.url.rstrip("/") + "/api/v1"
        self._headers = {}
        token = os.environ.get("ASR_GATEWAY_TOKEN", "")
        if args.token_file:
            try:
                with open(args.token_file, encoding="utf-8") as file:  # noqa: PTH123 (also /dev/stdin)
                    token = file.read().strip()
            except OSError as error:
                raise AskError(f"{args.token_file}: {error.strerror}") from error
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> Any:
        """Returns what the API answers.

        Raises:
            AskError: It answers with a fault, or not at all.
        """
        with self._open(path, {}, 10.0) as answer:
            return json.load(answer)

    def stream(self, path: str) -> Iterator[tuple[str, Any]]:
        """Yields kind and data of each server-sent event, going on where it was when the connection is cut.

        Raises:
            AskError: The gateway cannot be reached any more.
        """
        last = ""
        while True:
            kind = data = ""
            with self._open(path, {"Last-Event-ID": last} if last else {}, SILENT_SECONDS) as answer:
                try:
                    for line in answer:
                        name, _, value = line.decode().rstrip("\n").partition(": ")
                        if name == "event":
                            kind = value
                        elif name == "data":
                            data = value
                        elif name == "id":
                            place = value
                        elif not name and kind:
                            yield kind, json.loads(data)
                            last = place if kind != "levels" else last
                            kind = data = ""
                    return  # the stream ended by itself: the call is over, or the gateway stops
                except (OSError, TimeoutError):
                    continue

    def _open(self, path: str, headers: dict[str, str], timeout: float) -> Any:
        request = urllib.request.Request(self._base + path, headers={**self._headers, **headers})  # noqa: S310
        try:
            return urllib.request.urlopen(request, timeout=timeout)  # noqa: S310 (checked above)
        except urllib.error.HTTPError as error:
            try:
                text = json.load(error)["detail"]
            except (ValueError, KeyError, TypeError):
                text = error.reason
            hint = "; give --token-file or ASR_GATEWAY_TOKEN" if error.code == 401 else ""
            raise AskError(f"{error.code}: {text}{hint}") from error
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise AskError(
                f"{self._base}: {reason}; does the gateway run, and is web.listen what --url says?"
            ) from error


def guarded(act: Callable[[Client], int], args: argparse.Namespace) -> int:
    """Runs a command; returns 1 and says why where the gateway does not answer as wanted."""
    try:
        return act(Client(args))
    except AskError as error:
        print(f"asr-gateway: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
