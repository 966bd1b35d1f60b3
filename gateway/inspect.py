"""``asr-gateway inspect``: what the gateway would have made of the RTP in a capture file."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from gateway.media.capture import CaptureError, Found, streams
from gateway.media.chunks import Kind
from gateway.media.quality import quality
from gateway.media.timeline import milliseconds

SHOWN_GAPS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("file", type=Path, help="a capture, pcap or pcapng")
    parser.add_argument("--telephone-event", type=int, default=101, metavar="PT", help="payload type of keys (101)")
    parser.add_argument("--transcribe", action="store_true", help="send the streams through the configured engine")
    parser.add_argument("--config", type=Path, help="for --transcribe: the TOML file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    try:
        found = streams(args.file, telephone_event=args.telephone_event)
    except (CaptureError, OSError) as error:
        print(f"asr-gateway inspect: {error}", file=sys.stderr)
        return 1
    shown = [described(one) for one in found]
    if args.transcribe:
        from gateway.transcribe import TranscribeError, transcribe

        try:
            for one, text in zip(shown, asyncio.run(transcribe(found, args.config)), strict=True):
                one["text"] = text
        except TranscribeError as error:
            print(f"asr-gateway inspect: {error}", file=sys.stderr)
            return 1
    if args.json:
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        return 0
    if not shown:
        print("no RTP with G.711 in this capture")
    for one in shown:
        print("\n".join(_lines(one)))
    return 0


def described(found: Found) -> dict[str, Any]:
    """Returns what is known about a stream, times in milliseconds on its own clock."""
    stats = found.stats
    return {
        "source": _shown(found.source),
        "target": _shown(found.target),
        "ssrc": f"{stats.ssrc:08x}",
        "codecs": sorted({chunk.codec for chunk in found.chunks if chunk.payload}),
        "duration_ms": milliseconds(stats.samples),
        **{name: getattr(stats, name) for name in ("packets", "lost", "late", "duplicates", "reordered", "foreign")},
        "cut": found.cut,
        "received_samples": stats.received_samples,
        "concealed_samples": stats.concealed_samples,
        "paused_samples": stats.paused_samples,
        **quality(stats, concealed=True)._asdict(),
        "gaps": [
            {"kind": Kind(gap.kind).name.lower(), "start_ms": milliseconds(gap.first), "ms": milliseconds(gap.samples)}
            for gap in found.gaps
        ],
        "digits": [
            {"key": one.key, "start_ms": milliseconds(one.first), "ms": milliseconds(one.samples)}
            for one in found.digits
        ],
    }


def _shown(endpoint: tuple[str, int]) -> str:
    address, port = endpoint
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _lines(one: dict[str, Any]) -> list[str]:
    drift = "unknown" if one["drift_ppm"] is None else f"{one['drift_ppm']:+.1f} ppm"
    lines = [
        f"{one['source']} -> {one['target']}  SSRC {one['ssrc']}  {' and '.join(one['codecs'])}  "
        f"{one['duration_ms'] / 1000:.3f} s",
        f"  packets {one['packets']}, lost {one['lost']}, late {one['late']}, duplicates {one['duplicates']}, "
        f"reordered {one['reordered']}, foreign {one['foreign']}",
        f"  quality  MOS {one['mos']:.2f}, jitter {one['jitter_ms']:.2f} ms, clock drift {drift}",
    ]
    if one["cut"]:
        lines.append(f"  {one['cut']} packets are not whole in the capture: take it with a larger snapshot length")
    if one["digits"]:
        pressed = ", ".join(f"{digit['key']} at {digit['start_ms'] / 1000:.3f} s" for digit in one["digits"])
        lines.append(f"  keys  {pressed}")
    shown = one["gaps"][:SHOWN_GAPS]
    lines += [f"  {gap['kind']}  {gap['ms']} ms at {gap['start_ms'] / 1000:.3f} s" for gap in shown]
    if len(one["gaps"]) > SHOWN_GAPS:
        lines.append(f"  and {len(one['gaps']) - SHOWN_GAPS} more gaps")
    if "text" in one:
        lines.append(f"  text  {one['text']}")
    return lines
