"""The gateway's side of the link: starts the signalling process, talks to it, starts it again should it die."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from typing import Any

from gateway.sip.commands import Ping, Setup, Stop
from gateway.sip.events import Fault, Incoming, Pong, Ready
from gateway.sip.messages import Message, MessageError, parse

LONGEST_LINE = 1 << 20
BOUND = 1 << 22
"""Bytes that the process has not taken beyond which it counts as stuck, and is killed."""
START_SECONDS = 15.0
STOP_SECONDS = 3.0
FIRST_WAIT = 0.1
LONGEST_WAIT = 5.0
SOUND_SECONDS = 10.0
"""A process that lived longer is sound: its end begins a new row of waits."""
PING_SECONDS = 0.5
MOST_UNANSWERED = 12
"""Pings without an answer after which the process counts as hanging, and is killed. Pings are counted, not seconds, so
that a gateway which was itself held up kills nobody; they outlast a DNS query that times out after 5 s."""


class LinkError(Exception):
    """The signalling process does not start; the message says what to do."""


def _nothing() -> None:
    pass


class SignallingLink:
    """A supervised signalling process.

    A process that dies, or that answers no ping for 6 s, is started again after 0.1 s, then 0.2 s and so on up to 5 s;
    its dialogs are lost, which ``on_lost`` tells. Numbers of dialogs go on counting over restarts, so that a late
    command meets no new dialog.

    Attributes:
        restarts: How often the process was started again.
        unsent: Commands dropped because no process was there to take them.
        hangs: How often it was killed because it hung.
    """

    def __init__(
        self,
        setup: Setup,
        on_event: Callable[[Message], None],
        log: Any,
        *,
        on_lost: Callable[[], None] = _nothing,
    ) -> None:
        """Prepares; nothing is started.

        Args:
            setup: What each process is told first.
            on_event: Takes every event, on the event loop's thread; ``Ready`` again after a restart.
            log: A structlog logger.
            on_lost: Called when a process died unasked, before it is started again: its dialogs are gone.
        """
        self.restarts = 0
        self.unsent = 0
        self.hangs = 0
        self._pings = 0
        self._answered = 0
        self._setup = setup
        self._on_event = on_event
        self._on_lost = on_lost
        self._log = log
        self._next_dialog = 1
        self._process: Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The running process's id, None between two of them."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> Ready:
        """Starts the process and waits until it listens.

        Raises:
            LinkError: It does not.
        """
        started: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self._supervisor = asyncio.create_task(self._supervise(started))
        try:
            return await started
        except LinkError:
            await self._supervisor
            raise

    def send(self, message: Message) -> None:
        """Sends a command, without waiting. Without a process it is dropped and counted: its dialog is lost."""
        if self._writer is None or self._writer.is_closing():
            self.unsent += 1
            return
        self._writer.write(message.line())
        if self._writer.transport.get_write_buffer_size() > BOUND:
            self._log.error("signalling_stuck", unread_bytes=self._writer.transport.get_write_buffer_size())
            self._kill()

    async def stop(self) -> None:
        """Has all dialogs ended and the process exit; kills it after 3 s."""
        self._stopping.set()
        self.send(Stop())
        if self._supervisor is None:
            return
        done, _ = await asyncio.wait([self._supervisor], timeout=STOP_SECONDS)
        if not done:
            self._kill()
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _supervise(self, started: asyncio.Future[Ready]) -> None:
        loop = asyncio.get_running_loop()
        wait = FIRST_WAIT
        while True:
            began = loop.time()
            try:
                await self._serve(started)
            except LinkError as error:
                if not started.done():
                    started.set_exception(error)
                    return
                self._log.error("signalling_does_not_start", reason=str(error))
            if loop.time() - began > SOUND_SECONDS:
                wait = FIRST_WAIT
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()
            if self._stopping.is_set():
                return
            wait = min(wait * 2, LONGEST_WAIT)
            self.restarts += 1

    async def _serve(self, started: asyncio.Future[Ready]) -> None:
        """Runs one process to its end.

        Raises:
            LinkError: It never listened.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            descriptor = theirs.fileno()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway.sip.process",
                str(descriptor),
                str(self._next_dialog),
                pass_fds=[descriptor],
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
                start_new_session=True,
                limit=LONGEST_LINE,
            )
        words = asyncio.create_task(self._errors(self._process))
        reader, writer = await asyncio.open_connection(sock=ours, limit=LONGEST_LINE)
        ready = False
        try:
            writer.write(self._setup.line())
            async with asyncio.timeout(START_SECONDS):
                first = await self._first(reader)
            ready = True
            self._writer = writer
            if not started.done():
                started.set_result(first)
            else:
                self._log.warning("signalling_restarted", restarts=self.restarts, listening=first.listening)
            self._deliver(first)
            self._answered = self._pings
            heart = asyncio.create_task(self._beat())
            try:
                async for line in reader:
                    event = parse(line)
                    if isinstance(event, Pong):
                        self._answered = event.number
                    else:
                        self._deliver(event)
            finally:
                heart.cancel()
        except TimeoutError:
            raise LinkError(f"the signalling process said nothing for {START_SECONDS:.0f} s") from None
        except (ConnectionError, MessageError, ValueError) as error:
            self._log.error("signalling_link_broken", reason=str(error))
        finally:
            self._writer = None
            writer.close()
            await self._reap(ready)
            await words

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            if self._pings - self._answered >= MOST_UNANSWERED:
                self.hangs += 1
                self._log.error("signalling_hangs", unanswered_pings=self._pings - self._answered)
                self._kill()
                return
            self._pings += 1
            self.send(Ping(self._pings))

    async def _first(self, reader: asyncio.StreamReader) -> Ready:
        async for line in reader:
            match parse(line):
                case Ready() as ready:
                    return ready
                case Fault(text=text):
                    raise LinkError(text)
                case other:
                    self._deliver(other)
        raise LinkError("the signalling process died at its start; its last words are in the log")

    async def _reap(self, ready: bool) -> None:
        assert self._process is not None  # noqa: S101 (for the type checker; _serve made it)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                code = await self._process.wait()
        except TimeoutError:
            self._kill()
            code = await self._process.wait()
        if not self._stopping.is_set():
            self._log.error("signalling_exited", exit_code=code)
            if ready:
                self._on_lost()

    async def _errors(self, process: Process) -> None:
        assert process.stderr is not None  # noqa: S101 (for the type checker; it is a pipe)
        with contextlib.suppress(ValueError):
            async for line in process.stderr:
                self._log.error("signalling_stderr", text=line.decode("utf-8", "replace").rstrip()[:500])

    def _deliver(self, event: Message) -> None:
        if isinstance(event, Incoming):
            self._next_dialog = max(self._next_dialog, event.dialog + 1)
        try:
            self._on_event(event)
        except Exception:
            self._log.exception("signalling_event_failed", event_type=type(event).__name__)
