"""The worker process as the server sees it: segments go in by priority, texts come out; a dead worker is replaced.

One segment is with the worker at a time, so that what is most urgent is chosen when the worker is free and not before.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gateway.asr.embedded.backoff import Backoff
from gateway.asr.embedded.faults import ExtraMissing, ModelFailed
from gateway.asr.embedded.jobs import Job, JobQueue, Kind, QueueFull
from gateway.asr.embedded.worker import request

LOAD_SECONDS = 60.0
DECODE_SECONDS = 30.0
STOP_SECONDS = 3.0

log = structlog.get_logger(__name__)


class WorkerLost(Exception):  # noqa: N818
    """The worker process is gone, or cannot take the segment; a new session may go well in a moment."""


class DecodeFailed(Exception):  # noqa: N818
    """The recogniser could not decode this segment."""


@dataclass(slots=True)
class _Decoding:
    audio: bytes
    rate: int
    text: asyncio.Future[str | None]


class Dispatcher:
    """Owns the worker process.

    Args:
        capacity: Segments that may wait; see ``JobQueue``.
        on_lost: Called each time the worker died, after the waiting segments failed.
        decode_seconds: A worker that takes longer over one segment hangs, and is killed.

    Attributes:
        restarts: Times that the worker was started again.
    """

    def __init__(self, capacity: int, on_lost: Callable[[], None], *, decode_seconds: float = DECODE_SECONDS) -> None:
        self.restarts = 0
        self._on_lost = on_lost
        self._decode_seconds = decode_seconds
        self._queue: JobQueue[_Decoding] = JobQueue(capacity)
        self._process: asyncio.subprocess.Process | None = None
        self._current: Job[_Decoding] | None = None
        self._timeout: asyncio.TimerHandle | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._ready_at = 0.0

    @property
    def ready(self) -> bool:
        """Whether a worker is up with its model loaded."""
        return self._process is not None

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker; None while there is none."""
        return self._process.pid if self._process else None

    @property
    def dropped_partials(self) -> int:
        """Partials that were not decoded because a newer one or the final took their place."""
        return self._queue.dropped_partials

    async def start(self) -> None:
        """Starts the worker and waits until its model is loaded.

        Raises:
            ExtraMissing: A package of the ``embedded`` extra is not installed.
            ModelFailed: The model does not load.
        """
        process = await self._launch()
        self._keeper = asyncio.create_task(self._keep(process), name="asr-worker-keeper")

    async def stop(self) -> None:
        """Ends the worker. Segments that still wait fail."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper

    async def decode(self, session: int, kind: Kind, audio: bytes, rate: int) -> str | None:
        """Decodes a segment when its turn comes.

        Args:
            session: Whose it is.
            kind: How urgent it is.
            audio: linear16, little-endian, mono.
            rate: Samples a second.

        Returns:
            Its text; None for a partial that was dropped.

        Raises:
            WorkerLost: The worker is gone, or too many segments wait.
            DecodeFailed: The recogniser could not decode it.
        """
        if self._process is None:
            raise WorkerLost("the recogniser is being started again")
        text: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        try:
            replaced = self._queue.put(Job(session, kind, _Decoding(audio, rate, text)))
        except QueueFull:
            raise WorkerLost("too many segments wait for the recogniser") from None
        _settle(replaced)
        self._pump()
        return await text

    def drop_partial(self, session: int) -> None:
        """Drops the partial of a session that still waits for its turn."""
        _settle(self._queue.drop_partial(session))

    def _pump(self) -> None:
        if self._current is not None or self._process is None:
            return
        job = self._queue.take()
        while job is not None and job.item.text.done():  # nobody waits for it any more: its session is gone
            job = self._queue.take()
        if job is None:
            return
        assert self._process.stdin is not None  # noqa: S101 (it was started with a pipe)
        self._current = job
        self._process.stdin.write(request(job.item.audio, job.item.rate))
        self._timeout = asyncio.get_running_loop().call_later(self._decode_seconds, _kill, self._process)

    async def _launch(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.asr.embedded.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C at the terminal is for the server, which then ends the worker
        )
        assert process.stdout is not None  # noqa: S101
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                line = await process.stdout.readline()
        except TimeoutError:
            await _end(process)
            raise ModelFailed(f"not loaded after {LOAD_SECONDS:.0f} s") from None
        except asyncio.CancelledError:
            await _end(process)
            raise
        fields = json.loads(line or b"{}")
        if fields.get("ready"):
            self._process = process
            self._ready_at = asyncio.get_running_loop().time()
            log.info("recogniser_ready", pid=process.pid)
            return process
        await _end(process)
        if fields.get("fault") == ExtraMissing.__name__:
            raise ExtraMissing(str(fields["reason"]))
        raise ModelFailed(str(fields.get("reason", f"its process ended with status {process.returncode}")))

    async def _keep(self, process: asyncio.subprocess.Process) -> None:
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._read_answers(process)
            finally:
                self._lose()
                await _end(process)
            wait = backoff.after(loop.time() - self._ready_at)
            log.error("recogniser_lost", status=process.returncode, restart_in=wait)
            self._on_lost()
            process = await self._relaunch(backoff, wait)

    async def _relaunch(self, backoff: Backoff, wait: float) -> asyncio.subprocess.Process:
        while True:
            await asyncio.sleep(wait)
            self.restarts += 1
            try:
                return await self._launch()
            except (ExtraMissing, ModelFailed, OSError) as error:
                wait = backoff.after(0)
                log.error("recogniser_not_restarted", reason=str(error), restart_in=wait)

    async def _read_answers(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101
        while line := await process.stdout.readline():
            fields = json.loads(line)
            job, self._current = self._current, None
            if self._timeout is not None:
                self._timeout.cancel()
            if job is not None and not job.item.text.done():
                if "text" in fields:
                    job.item.text.set_result(fields["text"])
                else:
                    job.item.text.set_exception(DecodeFailed(fields["error"]))
            self._pump()

    def _lose(self) -> None:
        self._process = None
        if self._timeout is not None:
            self._timeout.cancel()
        waiting = self._queue.clear()
        if self._current is not None:
            waiting.append(self._current)
            self._current = None
        for job in waiting:
            if not job.item.text.done():
                job.item.text.set_exception(WorkerLost("the recogniser died"))


def _settle(job: Job[_Decoding] | None) -> None:
    if job is not None and not job.item.text.done():
        job.item.text.set_result(None)


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Closes the worker's input, which ends it, and kills it where that takes too long."""
    assert process.stdin is not None  # noqa: S101
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        _kill(process)
        await process.wait()
