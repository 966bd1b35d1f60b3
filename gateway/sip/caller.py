"""The test caller: ``asr-gateway call TARGET --audio FILE…``, a SIP user agent of its own process.

Its RTP comes from pjsua2's own media stack, so that the gateway is never tried against itself. Nothing is sent before
the call is confirmed, nothing between two files and nothing after the last: the packets of the RTP statistics are
exactly the files' frames.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import random
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gateway.sip.audio import FRAME, RATE, AudioError, load, save
from gateway.sip.build import BuildError, installed

try:
    import pjsua2 as pj
except ImportError:  # run() says what to do
    pj = None

CODECS = {"alaw": "PCMA/8000", "mulaw": "PCMU/8000"}
ANSWER_SECONDS = 30.0
SETTLE_SECONDS = 0.1
"""Between the last packet and BYE, so that BYE cannot overtake it."""
_HEADER = re.compile(r"([!#-'*+\-.0-9A-Z^-z|~]+)\s*:\s*(.*)")


@dataclass(slots=True)
class Played:
    """One file.

    Attributes:
        path: As it was given.
        samples: Sent, at 8 kHz; a whole number of packets.
        began: Unix time at which the packet with the first 20 ms left.
        ended: Unix time at which the packet with the last 20 ms left; 0 when it was not played to its end.
    """

    path: str
    samples: int
    began: float = 0.0
    ended: float = 0.0


@dataclass(slots=True)
class Report:
    """What happened, as ``--json`` prints it.

    Attributes:
        result: ``played``, ``hung_up`` (as ``--hangup-after`` asked), ``refused``, ``ended_by_peer``, ``stalled`` (the
            media stack sent no more packets) or ``interrupted``.
        code: The last SIP status.
        reason: Its phrase.
        sip_call_id: Of the dialog.
        codec: ``alaw`` or ``mulaw``.
        answered: Unix time of the confirmation; 0 for never.
        seconds: From the confirmation to the end.
        packets: RTP packets sent.
        payload_bytes: G.711 bytes in them.
        files: Each file.
    """

    result: str = "refused"
    code: int = 0
    reason: str = ""
    sip_call_id: str = ""
    codec: str = "alaw"
    answered: float = 0.0
    seconds: float = 0.0
    packets: int = 0
    payload_bytes: int = 0
    files: list[Played] = field(default_factory=list)


class CallerError(Exception):
    """The call cannot be placed; the message says why."""


class _Call(pj.Call if pj else object):  # type: ignore[misc]
    """Notes the states of the call; the caller's loop acts on them."""

    def __init__(self, account: Any) -> None:
        super().__init__(account)
        self.state = -1
        self.code = 0
        self.reason = ""
        self.media_ready = False

    def onCallState(self, _prm: Any) -> None:  # noqa: N802 (pjsua2 names its callbacks)
        info = self.getInfo()
        self.state, self.code, self.reason = info.state, info.lastStatusCode, info.lastReason

    def onCallMediaState(self, _prm: Any) -> None:  # noqa: N802
        self.media_ready = True


class Caller:
    """One call from its INVITE to its end."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Reads the options of ``add_arguments``.

        Raises:
            CallerError: The target or a header is malformed, or the target cannot be reached.
        """
        self._options = options
        self._target = target_uri(options.target)
        self._headers = headers_of(options)
        self._local = local_address(self._target)
        if ":" in self._local and installed().name == "trial":
            raise CallerError("the trial build of pjsua2 was compiled without IPv6; build the one for work: make pjsip")
        self.report = Report(codec=options.codec)
        self._interrupted = False
        self._hang_up_at = float("inf")

    def interrupt(self, *_: object) -> None:
        """Has the call end; a signal handler."""
        self._interrupted = True

    def place(self, files: list[tuple[str, Path, int]]) -> None:
        """Calls, plays and hangs up.

        Args:
            files: Of each file the name to report, an 8 kHz WAV file, and its samples.

        Raises:
            CallerError: The stack does not start, or the target cannot be reached by name.
        """
        self._endpoint = pj.Endpoint()
        with _quiet():
            self._endpoint.libCreate()
        try:
            self._place(files)
        except pj.Error as error:
            raise CallerError(f"{error.title}: {error.reason}") from error
        finally:
            self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)

    def _place(self, files: list[tuple[str, Path, int]]) -> None:
        account = self._start()
        call = _Call(account)
        operation = pj.CallOpParam(True)
        operation.opt.videoCount = operation.opt.textCount = 0
        operation.txOption.headers = self._headers
        call.makeCall(self._target, operation)
        self.report.sip_call_id = call.getInfo().callIdString
        self._say(f"calling {self._target}")
        if self._await_answer(call):
            self._play_all(call, files)
            self._finish(call)
        self.report.code, self.report.reason = call.code, call.reason
        if self.report.result == "refused":
            self._say(f"refused: {call.code} {call.reason}")
        # pjsua2 frees these in C++ order only when Python lets go of them before libDestroy
        del call
        account.shutdown()

    def _start(self) -> Any:
        local = self._local
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = False
        config.uaConfig.userAgent = "asr-gateway call"
        config.medConfig.clockRate = config.medConfig.sndClockRate = RATE
        config.medConfig.audioFramePtime = config.medConfig.ptime = 20
        config.medConfig.noVad = True
        config.medConfig.ecTailLen = 0
        config.logConfig.level = config.logConfig.consoleLevel = self._options.stack_log
        self._endpoint.libInit(config)
        self._endpoint.audDevManager().setNullDev()
        for codec in self._endpoint.codecEnum2():
            wanted = codec.codecId.startswith(CODECS[self._options.codec])
            self._endpoint.codecSetPriority(codec.codecId, 255 if wanted else 0)
        kinds = {
            ("udp", False): pj.PJSIP_TRANSPORT_UDP,
            ("udp", True): pj.PJSIP_TRANSPORT_UDP6,
            ("tcp", False): pj.PJSIP_TRANSPORT_TCP,
            ("tcp", True): pj.PJSIP_TRANSPORT_TCP6,
        }
        transport = pj.TransportConfig()
        transport.boundAddress = local
        six = ":" in local
        self._endpoint.transportCreate(kinds["tcp" if "transport=tcp" in self._target else "udp", six], transport)
        self._endpoint.libStart()
        settings = pj.AccountConfig()
        settings.idUri = f"sip:{self._options.sender}@{f'[{local}]' if six else local}"
        settings.mediaConfig.transportConfig.boundAddress = local
        settings.mediaConfig.transportConfig.port = random.randrange(30000, 58000, 2)  # noqa: S311 (a port, no secret)
        settings.mediaConfig.transportConfig.portRange = 2000
        settings.mediaConfig.ipv6Use = pj.PJSUA_IPV6_ENABLED_USE_IPV6_ONLY if six else pj.PJSUA_IPV6_DISABLED
        account = pj.Account()
        account.create(settings)
        return account

    def _await_answer(self, call: _Call) -> bool:
        until = time.monotonic() + ANSWER_SECONDS
        rang = False
        while not (call.state == pj.PJSIP_INV_STATE_CONFIRMED and call.media_ready):
            self._endpoint.libHandleEvents(5)
            if call.state == pj.PJSIP_INV_STATE_DISCONNECTED:
                return False
            if call.state == pj.PJSIP_INV_STATE_EARLY and not rang:
                rang = True
                self._say(f"{call.code} {call.reason}")
            if self._interrupted or time.monotonic() > until:
                self._end(call)
                self.report.result = "interrupted" if self._interrupted else "refused"
                return False
        self.report.answered = time.time()
        self._say(f"answered: {call.code} {call.reason}")
        return True

    def _play_all(self, call: _Call, files: list[tuple[str, Path, int]]) -> None:
        audio = call.getAudioMedia(-1)
        self.report.result = "played"
        for name, path, samples in files:
            played = Played(name, samples)
            self.report.files.append(played)
            self._say(f"playing {name} ({samples / RATE:.1f} s)")
            player = pj.AudioMediaPlayer()
            player.createPlayer(str(path), pj.PJMEDIA_FILE_NO_LOOP)
            player.startTransmit(audio)
            stopped = self._play(call, played)
            if call.state != pj.PJSIP_INV_STATE_DISCONNECTED:
                player.stopTransmit(audio)
            if stopped:
                self.report.result = stopped
                return

    def _play(self, call: _Call, played: Played) -> str:
        """Waits until a file's packets are all sent; returns why it stopped before that, empty when it did not."""
        before, wanted = self.report.packets, played.samples // FRAME
        until = time.monotonic() + played.samples / RATE + 5.0
        while True:
            self._endpoint.libHandleEvents(1)
            if call.state == pj.PJSIP_INV_STATE_DISCONNECTED:
                return "ended_by_peer"
            self._count(call)
            sent = self.report.packets - before
            if sent and not played.began:
                # the packets after the first, where the loop was late, say how long ago that was
                played.began = time.time() - (sent - 1) * FRAME / RATE
                if self._hang_up_at == float("inf") and self._options.hangup_after:
                    self._hang_up_at = time.monotonic() + self._options.hangup_after
            if sent >= wanted:
                played.ended = time.time()
                return ""
            if self._interrupted:
                return "interrupted"
            if time.monotonic() >= self._hang_up_at:
                return "hung_up"
            if time.monotonic() > until:
                return "stalled"

    def _count(self, call: _Call) -> None:
        sent = call.getStreamStat(0).rtcp.txStat
        self.report.packets, self.report.payload_bytes = sent.pkt, sent.bytes

    def _finish(self, call: _Call) -> None:
        if call.state != pj.PJSIP_INV_STATE_DISCONNECTED:
            # without a clock no packet leaves any more, so that what is counted now is exact
            self._endpoint.audDevManager().setNoDev()
            self._count(call)
            until = time.monotonic() + SETTLE_SECONDS
            while time.monotonic() < until:
                self._endpoint.libHandleEvents(5)
        self._end(call)
        self.report.seconds = time.time() - self.report.answered
        self._say(
            f"{self.report.result.replace('_', ' ')}: {self.report.packets} packets, "
            f"{self.report.payload_bytes} bytes of {self.report.codec} in {self.report.seconds:.1f} s"
        )

    def _end(self, call: _Call) -> None:
        until = time.monotonic() + 4.0
        if call.state != pj.PJSIP_INV_STATE_DISCONNECTED:
            call.hangup(pj.CallOpParam())
        while call.state != pj.PJSIP_INV_STATE_DISCONNECTED and time.monotonic() < until:
            self._endpoint.libHandleEvents(5)

    def _say(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the stack's own words off standard output while it cannot yet be told to be quiet."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        # what C has buffered would come out at exit, behind the result that is promised to be the last line
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)


def target_uri(target: str) -> str:
    """Returns a SIP URI for what may be one, or ``user@host:port``, or ``host:port``.

    Raises:
        CallerError: It is none of these.
    """
    uri = target if target.startswith("sip:") else f"sip:{target}"
    if not re.fullmatch(r"sip:([^@\s]+@)?(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?(;[^\s]*)?", uri):
        raise CallerError(f"{target!r} is not sip:USER@HOST:PORT")
    return uri


def headers_of(options: argparse.Namespace) -> Any:
    """Returns the INVITE's further headers.

    Raises:
        CallerError: One is not ``Name: value``.
    """
    pairs = [("X-Call-Id", options.call_id), ("X-Call-Leg", options.leg)]
    for text in options.header:
        if (match := _HEADER.fullmatch(text)) is None:
            raise CallerError(f"{text!r} is not a header; write 'Name: value'")
        pairs.append((match[1], match[2]))
    headers = pj.SipHeaderVector()
    for name, value in pairs:
        if value:
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            headers.append(header)
    return headers


def local_address(uri: str) -> str:
    """Returns the local address from which packets go to a SIP URI.

    Raises:
        CallerError: Its host is unknown, or there is no route.
    """
    match = re.match(r"sip:(?:[^@]+@)?(?:\[([^]]+)\]|([\w.-]+))", uri)
    host = (match[1] or match[2]) if match else ""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, 5060, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise CallerError(f"{host}: {error.strerror}") from error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the caller's options to a parser."""
    parser.add_argument("target", metavar="TARGET", help="sip:USER@HOST:PORT, or USER@HOST:PORT")
    parser.add_argument(
        "--audio", metavar="FILE", nargs="+", required=True, type=Path, help="WAV files, played in order"
    )
    parser.add_argument("--codec", choices=sorted(CODECS), default="alaw", help="the only codec offered")
    parser.add_argument("--leg", choices=("caller", "agent"), default="", help="sent as X-Call-Leg")
    parser.add_argument("--call-id", metavar="ID", default="", help="sent as X-Call-Id: legs with one ID are one call")
    parser.add_argument("--header", metavar="'Name: value'", action="append", default=[], help="a further header")
    parser.add_argument("--from", metavar="NUMBER", dest="sender", default="test", help="the user part of From")
    parser.add_argument(
        "--hangup-after", metavar="SECONDS", type=float, default=0.0, help="hang up so long into the audio"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on the last line")
    parser.add_argument(
        "--stack-log", metavar="LEVEL", type=int, default=0, help="the SIP stack's log, 0 none to 5 all"
    )


def run(args: argparse.Namespace) -> int:
    """Places the call that the arguments describe.

    Returns:
        0 when it was answered and all was played, or all up to ``--hangup-after``; 1 otherwise.
    """
    if pj is None:
        print("pjsua2 is not installed: make pjsip, or pip install 'asr-gateway[trial]'", file=sys.stderr)
        return 1
    try:
        caller = Caller(args)
        with tempfile.TemporaryDirectory(prefix="asr-gateway-call-") as folder:
            files = []
            for index, path in enumerate(args.audio):
                samples = load(path)
                save(wav := Path(folder) / f"{index}.wav", samples)
                files.append((str(path), wav, len(samples)))
            signal.signal(signal.SIGINT, caller.interrupt)
            signal.signal(signal.SIGTERM, caller.interrupt)
            caller.place(files)
    except (AudioError, BuildError, CallerError) as error:
        print(f"asr-gateway call: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(asdict(caller.report)), flush=True)
    return 0 if caller.report.result in ("played", "hung_up") else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="asr-gateway call", description="Places a test call and plays files into it.")
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
