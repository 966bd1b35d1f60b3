"""``asr-gateway fake-asr``: runs the test server, or writes a sound file with its words."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import wave
from pathlib import Path

from gateway.asr.fake.core import Core, FakeSession, Latency, Options
from gateway.asr.fake.faults import FaultError, FaultPlan, parse
from gateway.asr.fake.pcm import SAMPLE_RATE
from gateway.asr.fake.server import GRPC, WEBSOCKETS, FakeServer, Tls
from gateway.asr.fake.words import code_of, say

PROTOCOLS = (*WEBSOCKETS, *GRPC)

EPILOG = """\
The words that it understands are pairs of tones: `asr-gateway fake-asr --write words.wav w1 w2 - w3` says them in a
sound file ("-" is a pause of 1.2 s), which any telephone can play; `asr-gateway call` can, too. What arrives whole is
in the transcript, whatever is lost or doubled on the way shows there.

Faults are KIND[=VALUE]@WHEN[*TIMES]:
  kinds   refuse=STATUS, tls, wrong-config, error=CODE, close=CODE, drop, stall, slow=BYTES_A_SECOND, half-open,
          early-end
  when    start, 2.5s or 9000b (audio received), 7w (in the seventh word), end, p0.01 (probability)
  times   how many sessions it meets: 1 unless given, 0 for all

One JSON line a session goes to standard output when it ends.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    for name in PROTOCOLS:
        parser.add_argument(f"--{name}", metavar="PORT", type=int, help=f"serve {name}'s protocol; 0 for any port")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"), type=Path, help="PEM files: serve with TLS")
    parser.add_argument("--token", default="", help="what clients must show; anything goes without it")
    parser.add_argument("--fault", action="append", default=[], metavar="FAULT", help="see below; may be repeated")
    parser.add_argument("--block-ms", type=int, default=300, help="audio worked through at a time (default: 300)")
    parser.add_argument("--pause-ms", type=int, default=700, help="silence that ends an utterance (default: 700)")
    parser.add_argument("--latency-ms", default="0", metavar="MEDIAN[/P99]", help="of results (default: 0)")
    parser.add_argument("--max-seconds", type=float, help="audio in a session")
    parser.add_argument("--max-bytes", type=int, help="bytes in a session")
    parser.add_argument("--idle-seconds", type=float, help="a session that gets nothing for so long is ended")
    parser.add_argument("--starts-per-second", type=float, help="more are refused")
    parser.add_argument("--retry-after", type=int, metavar="SECONDS", help="what refusals with 429 and 503 ask for")
    parser.add_argument("--seed", type=int, help="for the same dice each time")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write words to a sound file, and end")
    parser.add_argument("words", nargs="*", help="for --write: w0 to w1080, or - for a pause")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns the exit status."""
    import uvloop

    try:
        if args.write:
            return _write(args.write, args.words)
        plan = FaultPlan([parse(spec) for spec in args.fault], args.seed)
        latency = Latency.parse(args.latency_ms)
    except (FaultError, ValueError) as error:
        print(f"asr-gateway fake-asr: {error}", file=sys.stderr)
        return 2
    options = Options(
        block_ms=args.block_ms,
        pause_ms=args.pause_ms,
        latency=latency,
        plan=plan,
        token=args.token,
        max_seconds=args.max_seconds,
        max_bytes=args.max_bytes,
        idle_seconds=args.idle_seconds,
        starts_per_second=args.starts_per_second,
        retry_after=args.retry_after,
    )
    chosen = {name: getattr(args, name.replace("-", "_")) for name in PROTOCOLS}
    ports = {name: port for name, port in chosen.items() if port is not None}
    if not ports:
        print(f"asr-gateway fake-asr: name a protocol: --{' PORT, --'.join(PROTOCOLS)} PORT", file=sys.stderr)
        return 2
    try:
        uvloop.run(_serve(Core(options, args.seed), ports, args.host, Tls(*args.tls) if args.tls else None))
    except OSError as error:
        print(f"asr-gateway fake-asr: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(
            f"asr-gateway fake-asr: {error.name} is not installed: pip install 'asr-gateway[yandex]'", file=sys.stderr
        )
        return 1
    return 0


def report(session: FakeSession) -> dict[str, object]:
    """Returns what is told of a session that ended."""
    return {
        "protocol": session.protocol,
        "codec": session.codec,
        "details": {name: value for name, value in session.details.items() if name != "token"},
        "outcome": session.outcome,
        "seconds": round(session.samples / SAMPLE_RATE, 3),
        "bytes": session.bytes,
        "messages": len(session.sizes),
        "text": session.text,
    }


async def _serve(core: Core, ports: dict[str, int], host: str, tls: Tls | None) -> None:
    server = FakeServer(core, host, tls)
    core.on_end = lambda session: print(json.dumps(report(session)), flush=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    for name, port in ports.items():
        print(f"fake-asr ready at {await server.serve(name, port)}", flush=True)
    with contextlib.suppress(asyncio.CancelledError):
        await stop.wait()
    await server.stop()


def _write(path: Path, words: list[str]) -> int:
    codes = [None if word == "-" else code_of(word) for word in words]
    audio = say([None, *codes, None], "linear16")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(audio)
    print(f"{path}: {len(audio) / 2 / SAMPLE_RATE:.1f} s")
    return 0
