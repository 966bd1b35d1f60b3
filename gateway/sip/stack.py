"""What all parts of the signalling process need of pjsua2: its import, guarded callbacks, its log and its settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from gateway.sip import wire
from gateway.sip.commands import Setup
from gateway.sip.events import Wire
from gateway.sip.messages import Message
from gateway.sip.pipe import PipeClosedError

try:
    import pjsua2
except ImportError:  # told to the gateway by gateway.sip.build.installed
    pjsua2 = None
pj: Any = pjsua2

MOST_STREAMS = 8
"""Audio streams that we offer the stack to take, and ``m=`` lines of an offer; together no more than its 16.

A re-INVITE without an offer has the stack add up its lines and ours; beyond PJSUA_MAX_CALL_MEDIA that ends the process.
"""
LINES = 50
"""Lines of the stack's log that are passed on in a second; from level 5 on, all."""
F = TypeVar("F", bound=Callable[..., None])


class StartError(Exception):
    """The stack does not start; the message says what to do."""


class Owner(Protocol):
    """The agent, as the stack's objects see it.

    Attributes:
        closed: The gateway is gone.
    """

    closed: bool

    def send(self, message: Message) -> None:
        """Sends an event up."""

    def log(self, level: int, text: str) -> None:
        """Sends a log line up."""

    def wired(self, message: Wire) -> None:
        """Sends a copy of a SIP message up."""


def guarded(callback: F) -> F:
    """Keeps a callback's exception from passing through C++, where it would end the process."""

    def call(self: Any, *arguments: Any) -> None:
        try:
            callback(self, *arguments)
        except PipeClosedError:
            self.agent.closed = True
        except Exception as error:
            self.agent.log(1, f"{type(self).__name__}.{callback.__name__}: {type(error).__name__}: {error}")

    return call  # type: ignore[return-value]


class StackWriter(pj.LogWriter if pj else object):  # type: ignore[misc]
    """Takes the stack's log, which holds all SIP messages where they are wanted.

    A flood of packets that the stack complains about must not become a flood of lines: of each second so many are
    passed on, and how many more there were.
    """

    def __init__(self, agent: Owner, setup: Setup) -> None:
        super().__init__()
        self.agent = agent
        self._level, self._wire = setup.log_level, setup.wire
        self._second = self._lines = 0

    def write(self, entry: Any) -> None:
        """Called by pjlib with one line."""
        if entry.level <= self._level:
            self._log(entry.level, entry.msg, int(time.monotonic()))
        if self._wire and entry.level == wire.LEVEL and (told := wire.logged(entry.msg, time.time())):
            self.agent.wired(told)

    def _log(self, level: int, text: str, second: int) -> None:
        if second != self._second:
            more, self._lines, self._second = self._lines - LINES, 0, second
            if more > 0:
                self.agent.log(2, f"the stack had {more} more lines in a second, which are not logged")
        self._lines += 1
        if self._lines <= LINES or level > 4:
            self.agent.log(level, text)


def endpoint_config(setup: Setup, capacity: int, writer: StackWriter) -> Any:
    """Returns the stack's settings: no threads of its own, no resampling, its log to ``writer``."""
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = False
    config.uaConfig.userAgent = setup.user_agent
    for address in setup.nameservers:
        config.uaConfig.nameserver.append(address)
    # room beyond our own bound, so that it is we who refuse, with Retry-After
    config.uaConfig.maxCalls = min(capacity, setup.max_calls + 64)
    # pjsip is built without resampling: any other rate makes every call 488
    config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
    # the writer gets what the console would
    level = max(setup.log_level, wire.LEVEL) if setup.wire else setup.log_level
    config.logConfig.level = config.logConfig.consoleLevel = level
    config.logConfig.msgLogging = setup.wire or setup.log_level >= 5
    config.logConfig.decor = 0
    config.logConfig.writer = writer
    return config


def operation(code: int) -> Any:
    """Returns the parameters of an answer with a status."""
    parameters = pj.CallOpParam(True)
    parameters.statusCode = code
    parameters.opt.audioCount, parameters.opt.videoCount, parameters.opt.textCount = MOST_STREAMS, 0, 0
    return parameters


def headers(values: list[tuple[str, str]]) -> Any:
    """Returns header fields as pjsua2 takes them."""
    vector = pj.SipHeaderVector()
    for name, value in values:
        header = pj.SipHeader()
        header.hName, header.hValue = name, value
        vector.append(header)
    return vector


def reason(error: Exception) -> str:
    """Returns what an error of pjsua2, or any other, says."""
    return str(getattr(error, "reason", error))
