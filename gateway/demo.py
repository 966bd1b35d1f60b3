"""``asr-gateway demo``: one call with two legs, from the INVITE to the signed webhook, with nothing but this machine.

Every part is the real one: the gateway runs as ``asr-gateway run`` in a process of its own with the embedded
recogniser, the two callers are processes with pjsua2's media stack, and the transcript that is shown is what the
webhook consumer received and verified.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import importlib.resources
import json
import os
import secrets
import signal
import socket
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from gateway import events
from gateway.delivery.consumer import Consumer
from gateway.demo_view import View

CALL_ID = "demo-call"
# Charles Dickens, A Tale of Two Cities (1859), the first sentence; in the public domain.
REFERENCE = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it "
    "was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of "
    "Darkness, it was the spring of hope, it was the winter of despair, we had everything before us, we had nothing "
    "before us, we were all going direct to Heaven, we were all going direct the other way, in short, the period was "
    "so far like the present period, that some of its noisiest authorities insisted on its being received, for good "
    "or for evil, in the superlative degree of comparison only."
)
WORST_ERROR_RATE = 0.15
START_SECONDS = 90.0
CALL_SECONDS = 120.0


class DemoError(Exception):
    """The demonstration cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """One leg of the demonstration.

    Attributes:
        leg: The leg's name.
        codec: What it sends.
        audio: The recording, in the recogniser's package.
        reference: What is said in it, where that is known.
    """

    leg: str
    codec: str
    audio: str
    reference: str = ""


SPEAKERS = (
    Speaker("caller", "alaw", "two_cities.wav", REFERENCE),
    Speaker("agent", "mulaw", "beckett.wav"),
)


@dataclass(slots=True)
class Result:
    """The summary.

    Attributes:
        words: Words of each leg.
        word_error_rate: Of the leg whose text is known, against that text.
        latency_p50: Seconds from the end of speech to the arrival of the utterance's webhook, median.
        latency_p95: Likewise, 95th percentile.
        received: Webhooks that arrived.
        verified: Of these, those with a good signature.
        in_order: Whether the numbers of the durable events had no gap and no repeat.
        samples_sent: By leg, the audio that the caller sent.
        samples_received: By leg, the audio that the gateway took off the wire.
        complete: Whether the gateway says that the recogniser accounts for all audio.
        faults: What did not hold; empty when all did.
    """

    words: dict[str, int] = field(default_factory=dict)
    word_error_rate: float | None = None
    latency_p50: float | None = None
    latency_p95: float | None = None
    received: int = 0
    verified: int = 0
    in_order: bool = False
    samples_sent: dict[str, int] = field(default_factory=dict)
    samples_received: dict[str, int] = field(default_factory=dict)
    complete: bool = False
    faults: list[str] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the demonstration's options to a parser."""
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object on the last line")
    parser.add_argument("--keep-running", action="store_true", help="leave it up for a softphone, until Ctrl-C")
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT", default="", help="where SIP is served; a free loopback port by default"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the demonstration.

    Returns:
        0 when all that the summary claims held, 1 otherwise.
    """
    console = Console(stderr=args.json, highlight=False)
    try:
        result = asyncio.run(_demonstrate(args, console))
    except DemoError as error:
        console.print(f"[bold red]The demo stopped:[/] {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    if args.json:
        print(json.dumps(asdict(result)))
    return 1 if result.faults else 0


async def _demonstrate(args: argparse.Namespace, console: Console) -> Result:
    recordings = _recordings()
    with tempfile.TemporaryDirectory(prefix="asr-gateway-demo-") as name:
        folder = Path(name)
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        view = View(console)
        received: list[tuple[events.Event, float]] = []
        over = asyncio.Event()

        def take(event: events.Event, arrived: float) -> None:
            received.append((event, arrived))
            view.show(event)
            if isinstance(event.data, events.TranscriptCompleted):
                over.set()

        consumer = Consumer(secret, take)
        url = await consumer.start()
        sip = args.listen or f"127.0.0.1:{_free_port(socket.SOCK_DGRAM)}"
        config = _config(folder, url, secret, sip)
        console.print("Starting the recogniser and the gateway …")
        try:
            async with _gateway(config, folder / "gateway.log"):
                console.print(f"Listening for calls at [bold]sip:demo@{sip}[/]; two legs call now.\n")
                with view:
                    reports = await asyncio.gather(*(_call(one, recordings[one.leg], sip) for one in SPEAKERS))
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(over.wait(), 30)
                result = _judge(received, reports, consumer)
                _print(console, result)
                if args.keep_running:
                    await _stay(console, sip, view)
        finally:
            await consumer.stop()
    return result


def _recordings() -> dict[str, Path]:
    try:
        folder = Path(str(importlib.resources.files("moonshine_voice"))) / "assets"
    except ModuleNotFoundError as error:
        raise DemoError(
            "the embedded recogniser is not installed: pip install 'asr-gateway[embedded,trial]'"
        ) from error
    return {one.leg: folder / one.audio for one in SPEAKERS}


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _config(folder: Path, url: str, secret: str, sip: str) -> Path:
    (folder / "secret").write_text(secret, encoding="utf-8")
    address = sip.rpartition(":")[0]
    networks = '["127.0.0.0/8"]' if address.startswith("127.") else '["0.0.0.0/0"]'
    path = folder / "gateway.toml"
    path.write_text(
        f"""
[sip]
listen = ["udp:{sip}"]
max_calls = 4
[[sip.peers]]
name = "demo"
networks = {networks}
[media]
address = "{address}"
[asr]
engine = "embedded"
[asr.embedded]
listen = "127.0.0.1:{_free_port(socket.SOCK_STREAM)}"
[delivery]
database = "{folder}/outbox.db"
[[delivery.endpoints]]
name = "demo"
url = "{url}"
secret_file = "{folder}/secret"
[telemetry]
metrics = "127.0.0.1:{_free_port(socket.SOCK_STREAM)}"
log_format = "json"
[web]
listen = "127.0.0.1:{_free_port(socket.SOCK_STREAM)}"
anonymous = "operate"
""",
        encoding="utf-8",
    )
    return path


@contextlib.asynccontextmanager
async def _gateway(config: Path, log: Path) -> AsyncIterator[None]:
    """Runs the gateway in a process of its own, and stops it at the end.

    Raises:
        DemoError: It does not start; the text has what it said.
    """
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", "run", "--config", str(config), stderr=errors, env=_environment()
        )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not any('"listening"' in line for line in _lines(log)):
                if process.returncode is not None:
                    raise DemoError("\n".join(_lines(log)[-5:]) or f"the gateway ended with {process.returncode}")
                await asyncio.sleep(0.1)
        yield
    except TimeoutError as error:
        raise DemoError(f"the gateway did not start within {START_SECONDS:g} s: {_lines(log)[-5:]}") from error
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()


def _environment() -> dict[str, str]:
    """What this process has, less the settings of another gateway."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ASR_GATEWAY__")}


def _lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()


async def _call(speaker: Speaker, audio: Path, sip: str) -> dict[str, Any]:
    """Places one leg's call; returns the caller's report."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "call", f"sip:demo@{sip}", "--audio", str(audio)),
        *("--codec", speaker.codec, "--leg", speaker.leg, "--call-id", CALL_ID, "--from", speaker.leg, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), CALL_SECONDS)
    except TimeoutError as error:
        process.kill()
        raise DemoError(f"the call of the {speaker.leg} took more than {CALL_SECONDS:g} s") from error
    if process.returncode:
        said = (output + errors).decode(errors="replace").strip()
        raise DemoError(f"the call of the {speaker.leg} failed: {said}")
    report: dict[str, Any] = json.loads(output.decode().splitlines()[-1])
    return report


def _judge(received: list[tuple[events.Event, float]], reports: list[dict[str, Any]], consumer: Consumer) -> Result:
    """Holds what came against what should have come."""
    import jiwer

    result = Result(
        received=consumer.summary.received,
        verified=consumer.summary.verified,
        in_order=not consumer.summary.out_of_order and not consumer.summary.duplicates,
    )
    completed = [event.data for event, _ in received if isinstance(event.data, events.TranscriptCompleted)]
    if len(completed) != 1:
        result.faults.append(f"{len(completed)} completed transcripts instead of one")
        return result
    (transcript,) = completed
    result.complete = transcript.complete
    media = {leg.leg: leg for leg in transcript.legs}
    for speaker, report in zip(SPEAKERS, reports, strict=True):
        said = " ".join(words.text for words in transcript.utterances if words.leg == speaker.leg)
        result.words[speaker.leg] = len(said.split())
        result.samples_sent[speaker.leg] = report["payload_bytes"]
        result.samples_received[speaker.leg] = media[speaker.leg].received if speaker.leg in media else 0
        if not said:
            result.faults.append(f"no words of the {speaker.leg}")
        if speaker.reference:
            result.word_error_rate = round(jiwer.wer(_plain(speaker.reference), _plain(said) or "-"), 4)
    delays = sorted(
        arrived - (event.data.time + timedelta(milliseconds=event.data.end_ms - event.data.start_ms)).timestamp()
        for event, arrived in received
        if isinstance(event.data, events.TranscriptFinal)
    )
    if len(delays) > 1:
        result.latency_p50 = round(statistics.median(delays), 3)
        result.latency_p95 = round(statistics.quantiles(delays, n=20, method="inclusive")[-1], 3)
    if result.word_error_rate is None or result.word_error_rate >= WORST_ERROR_RATE:
        result.faults.append(f"the word error rate is {result.word_error_rate}, not below {WORST_ERROR_RATE}")
    if result.samples_sent != result.samples_received:
        result.faults.append("audio received is not the audio sent")
    if any(leg.sent + leg.withheld != leg.duration for leg in transcript.legs) or not result.complete:
        result.faults.append("the recogniser does not account for all audio")
    if result.verified != result.received or not result.in_order:
        result.faults.append("webhooks were not all verified and in order")
    return result


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() or c in " '" else " " for c in text.lower()).split())


def _print(console: Console, result: Result) -> None:
    rate = "-" if result.word_error_rate is None else f"{result.word_error_rate:.1%}"
    console.print()
    console.print(f"words                        {', '.join(f'{leg} {count}' for leg, count in result.words.items())}")
    console.print(f"word error rate (caller)     {rate}")
    console.print(f"end of speech to webhook     p50 {result.latency_p50} s, p95 {result.latency_p95} s")
    order = "in order" if result.in_order else "NOT in order"
    console.print(f"webhooks                     {result.received} received, {result.verified} verified, {order}")
    for leg, sent in result.samples_sent.items():
        same = "=" if result.samples_received[leg] == sent else "≠"
        console.print(f"audio of the {leg:15} {sent} samples sent {same} {result.samples_received[leg]} received")
    for fault in result.faults:
        console.print(f"[bold red]✗[/] {fault}")
    if not result.faults:
        console.print("[bold green]✓[/] all of it held")


async def _stay(console: Console, sip: str, view: View) -> None:
    console.print(f"\nCall [bold]sip:demo@{sip}[/] with a softphone (G.711). Ctrl-C ends it.")
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    with view:
        await stop.wait()
