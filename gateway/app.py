"""The composition root: makes the parts, connects them, starts them in order and stops them in the other."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Sequence
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from gateway.asr.embedded import faults
from gateway.asr.embedded.supervisor import EmbeddedServer, State
from gateway.asr.engines import EngineError, Engines, wants_embedded
from gateway.asr.options import Palatine
from gateway.asr.probe import Prober
from gateway.calls.registry import Registry
from gateway.calls.switchboard import TICK, Switchboard
from gateway.calls.tape import Tapes
from gateway.config import Settings
from gateway.delivery.lock import LockedError
from gateway.delivery.outbox import Outbox
from gateway.delivery.store import OutboxError
from gateway.delivery.webhooks import Deliverer
from gateway.events import Event
from gateway.media.receiver import Receiver
from gateway.media.recording import Recorder
from gateway.pages import HugePages
from gateway.sip import commands, events
from gateway.sip.link import LinkError, SignallingLink
from gateway.sip.messages import Message
from gateway.sip.secrets import without_numbers
from gateway.sip.setup import setup
from gateway.telemetry.deliveries import DeliveryMetrics
from gateway.telemetry.homer import HomerExport
from gateway.telemetry.latency import PACKET_TO_WRITE, PARTIAL_LAG
from gateway.telemetry.metrics import SHED, Metrics
from gateway.telemetry.pulse import Pulse
from gateway.telemetry.survey import Survey
from gateway.telemetry.systemd import Notifier
from gateway.telemetry.trace import signalled, told
from gateway.turns import MANY, Turns
from gateway.web.board import Board
from gateway.web.control import Control
from gateway.web.feed import Feed
from gateway.web.history import History
from gateway.web.parts import Parts
from gateway.web.server import WebServer

if TYPE_CHECKING:  # it needs the extra "otel"
    from gateway.telemetry.spans import CallSpans

log = structlog.get_logger()

LOOK = 5.0
"""How often is looked at what costs more than a tick may (seconds)."""
# At the end: for dialogs that are hung up, for the last events, and for what is closed then (seconds).
HANG_UP_SECONDS, FLUSH_SECONDS, SPARE_SECONDS = 5.0, 5.0, 15.0


class StartError(Exception):
    """The gateway does not start; the text says which part, and what to do."""


class Gateway:
    """One gateway process.

    Args:
        settings: The configuration.

    Attributes:
        ready: What the signalling process said when it began to listen.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pulse = Pulse()
        self._dialogs: dict[int, str] = {}  # Call-IDs, for the flight recorder
        self._metrics = Metrics()
        self._tapes = Tapes(settings)
        self._systemd = Notifier()
        self._pages = HugePages()
        self._homer: HomerExport | None = None
        self._spans: CallSpans | None = None
        self._undo = contextlib.AsyncExitStack()
        self._reloading = False
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self.ready: events.Ready | None = None

    async def start(self) -> None:
        """Starts everything; calls are taken when this returns.

        Raises:
            StartError: A part does not start; the text says which, and what to do.
        """
        try:
            await self._start()
        except StartError:
            await self._undo.aclose()
            raise
        except (OSError, LinkError, LockedError, ModuleNotFoundError, EngineError, faults.StartError) as error:
            await self._undo.aclose()
            raise StartError(str(error)) from error

    async def _start(self) -> None:
        settings, loop = self._settings, asyncio.get_running_loop()
        self._undo.callback(self._systemd.close)
        if settings.telemetry.metrics:
            try:
                self._undo.callback(self._metrics.serve(settings.telemetry.metrics))
            except OSError as error:
                raise StartError(f"telemetry.metrics: {settings.telemetry.metrics}: {error.strerror}") from error

        delivery, began = settings.delivery, time.time()
        outbox = Outbox(delivery.database, keep_days=delivery.keep_days, keep_bytes=delivery.keep_megabytes << 20)
        told = DeliveryMetrics(self._metrics, self._pulse)
        told.spans = self._trace()
        self._deliverer = Deliverer(outbox, delivery, told)
        await self._deliverer.start()
        self._undo.push_async_callback(self._deliverer.stop)
        concluding = loop.create_task(self._conclude(began))
        self._undo.callback(concluding.cancel)

        engines = Engines(settings.asr, await self._embedded(), self._metrics.audio_heard)
        self._undo.push_async_callback(engines.close)
        self._prober = Prober(engines, loop.time)
        self._undo.callback(self._prober.close)

        self._receiver = Receiver(
            tick_ms=settings.media.tick_ms,
            # what all messages are made of, so that each ends when its last packet is there
            chunk_ms=gcd(*(engine.limits.message_ms for engine in engines)),
            reorder_ms=settings.media.reorder_ms,
            conceal_ms=settings.media.conceal_ms,
            pause_fill_ms=settings.media.pause_fill_ms,
            learn_ms=int(settings.media.learn_seconds * 1000),
        )
        self._undo.callback(self._receiver.close)
        recorder = self._recorder()
        self._registry = Registry(
            self._publish, self._metrics, recorder=recorder, concealed=settings.media.conceal_ms > 0
        )
        self._switchboard = Switchboard(settings, engines, self._registry, self._receiver, self._metrics, self._tapes)
        self._undo.callback(self._switchboard.close)
        self._control = Control(settings, self._registry, self._switchboard, engines, self._pulse, self._stopping.set)
        self._control.tapes = self._tapes
        self._control.waiting = lambda: self._deliverer.waiting
        self._survey = Survey(
            self._metrics, self._pulse, self._registry, self._switchboard, self._deliverer, delivery.database
        )
        self._board = Board(Feed(), self._control)
        self._control.feed = self._board.feed
        self._metrics.on_measured, self._metrics.on_written = self._measured, self._written
        loop.add_reader(self._receiver.fileno(), self._switchboard.on_media)
        self._undo.callback(loop.remove_reader, self._receiver.fileno())
        self._undo.callback(
            Turns(self._receiver.fileno(), settings.media.tick_ms, lambda: self._switchboard.legs).close
        )
        ticker = loop.create_task(self._tick())
        self._undo.callback(ticker.cancel)
        looker = loop.create_task(self._look())
        self._undo.callback(looker.cancel)

        self._export()
        wire = self._homer is not None and "sip" in settings.telemetry.homer.export
        self._link = SignallingLink(
            setup(settings.sip, wire=wire), self._on_signalling, log, on_lost=self._on_signalling_lost
        )
        self.ready = await self._link.start()
        self._undo.push_async_callback(self._link.stop)
        self._switchboard.connect(self._link)
        self._control.capacity, self._control.listening = self.ready.capacity, self.ready.listening
        web = await self._serve()
        self._survey.watch(self._receiver)
        self._survey.running(self.ready)
        self._metrics.gauge("draining", "Whether no calls are taken any more", lambda: self._control.draining)
        self._metrics.gauge("viewers", "Open event streams", lambda: self._board.feed.viewers)
        # before anybody is told that it listens: who stops it from then on is to have it drained
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._signalled)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        log.info(
            "listening",
            sip=self.ready.listening,
            pjsip=f"{self.ready.version} ({self.ready.build} build)",
            calls=min(self.ready.capacity, settings.sip.max_calls),
            engines=sorted({engine.name for engine in engines}),
            metrics=settings.telemetry.metrics,
            web=web,
        )
        self._systemd.status(self._summary())
        self._systemd.ready()
        if self.ready.build != "work":
            log.warning(
                "no_gate",
                text="this pjsua2 answers OPTIONS to anybody, parses strangers' calls before it refuses them, and "
                "limits no rate: let only your PBX reach sip.listen, or build the one for work with `make pjsip`",
            )
        if self.ready.capacity < settings.sip.max_calls:
            log.warning(
                "few_calls",
                text=f"this pjsua2 holds {self.ready.capacity} calls, sip.max_calls asks for "
                f"{settings.sip.max_calls}: build the one for work with `make pjsip`",
            )

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then drains; a second signal cuts the draining short.

        SIGHUP reads the TLS certificate anew.
        """
        await self._stopping.wait()
        await self.stop()

    async def stop(self) -> None:
        """Drains and stops: no new calls, the ones that are up may end, their last words and events go out."""
        log.info("draining", calls=len(self._registry))
        longest = self._settings.calls.drain_seconds + HANG_UP_SECONDS + self._settings.asr.finish_seconds
        self._systemd.stopping(longest + FLUSH_SECONDS + SPARE_SECONDS)
        self._control.draining = True
        self._link.send(commands.Drain(self._settings.sip.retry_after))
        if not await self._idle(self._settings.calls.drain_seconds):
            self._switchboard.hang_up_all()
            await self._idle(HANG_UP_SECONDS)
        # the words after the last hang-up
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._registry.idle.wait(), self._settings.asr.finish_seconds + 1)
        await self._deliverer.flush(FLUSH_SECONDS)
        await self._undo.aclose()
        log.info("stopped")

    # inside

    def _recorder(self) -> Recorder | None:
        if not self._settings.media.recordings:
            return None
        try:
            recorder = Recorder(
                Path(self._settings.media.recordings), lambda text: log.error("recording_failed", text=text)
            )
        except OSError as error:
            raise StartError(f"media.recordings: {error}") from error
        self._undo.callback(recorder.close)
        self._metrics.gauge(
            "recording_dropped_blocks", "Seconds of recordings that were not written", lambda: recorder.dropped
        )
        return recorder

    def _export(self) -> None:
        """Exports to Homer where the configuration says so."""
        settings, media = self._settings.telemetry.homer, self._settings.media
        if settings.address:
            homer = HomerExport(settings, media.advertise or media.address, self._metrics.homer_packet)
            homer.start()
            self._undo.push_async_callback(homer.stop)
            self._homer, self._switchboard.reports.on_packet = homer, homer.rtcp

    def _trace(self) -> CallSpans | None:
        """Makes traces of the calls where the configuration says so; only then the extra is needed, and loaded."""
        settings = self._settings.telemetry.otel
        if not settings.endpoint:
            return None
        from gateway.telemetry.otel import Exporter
        from gateway.telemetry.spans import CallSpans

        self._spans = CallSpans(Exporter(settings, self._metrics.otel_spans), settings.sample_ratio)
        self._undo.push_async_callback(self._spans.stop)
        self._metrics.on_session, self._metrics.on_recognised = self._spans.session, self._spans.recognised
        return self._spans

    async def _serve(self) -> str:
        """Serves API and page where the configuration says so; returns where."""
        if not self._settings.web.listen:
            return ""
        history = History(self._settings.delivery.database)
        server = WebServer(Parts(self._settings, self._board, history, self._control))
        try:
            await server.start()
        except OSError as error:
            raise StartError(f"web.listen: {self._settings.web.listen}: {error.strerror or error}") from error
        self._undo.push_async_callback(server.stop)
        return server.url

    def _publish(self, event: Event) -> None:
        """Hands an event to who delivers it, then to who shows it."""
        self._deliverer.publish(event)
        self._tapes.event(event)
        self._board.publish(event)
        if self._homer is not None:
            self._homer.report(event)
        if self._spans is not None:
            self._spans.event(event)
        if event.durable:
            for dialog in event.call.sip_call_ids:
                self._pulse.recorder.join(dialog, event.call.id)
            self._pulse.recorder.note(event.call.id, "event", event.type, **told(event, self._settings.telemetry))

    def _measured(self, call: str, latency: str, seconds: float) -> None:
        self._board.measured(latency, [(call, seconds)])
        self._pulse.last_hour.add(latency, [seconds], time.monotonic())
        if latency != PARTIAL_LAG.short:  # many times a second: no step of a call by itself
            self._pulse.recorder.note(call, "latency", latency, seconds=round(seconds, 4))

    def _written(self, writes: Sequence[tuple[str, float]]) -> None:
        self._board.measured(PACKET_TO_WRITE.short, writes)
        self._pulse.last_hour.add(PACKET_TO_WRITE.short, [seconds for _, seconds in writes], time.monotonic())

    async def _embedded(self) -> Palatine | None:
        """Starts the embedded recogniser where a route wants it, and returns how it is reached."""
        asr = self._settings.asr
        if not wants_embedded(asr):
            return None
        server = EmbeddedServer(asr.embedded, self._on_recogniser)
        await server.start()
        self._undo.push_async_callback(server.stop)
        return server.reached(asr.palatine.codec)

    def _on_signalling(self, message: Message) -> None:
        match message:
            case events.StackLog(level, text):
                shown = text if self._settings.telemetry.log_numbers else without_numbers(text)
                (log.error, log.warning, log.info)[min(level, 3) - 1]("sip_stack", text=shown)
            case events.Registered(name, registrar, code, text, expires):
                note = log.info if code // 100 == 2 else log.warning
                note("registration", name=name, registrar=registrar, code=code, text=text, expires=expires)
            case events.Offence(peer, cause, count, agent):
                # fail2ban reads this line: see deploy/fail2ban
                log.warning("sip_offence", text=f"peer={peer} cause={cause} count={count} agent={agent or '-'}")
            case events.Kept(counts):
                self._metrics.sip_kept(counts)
                for cause in SHED & counts.keys():
                    log.warning("calls_shed", cause=cause, count=counts[cause])
            case events.Ready():
                log.info("signalling_up", listening=message.listening)
                self._control.listening = message.listening
                if self._homer is not None:
                    self._homer.listening = message.listening
                self._reloaded()  # a process that was lost meanwhile has read everything
            case events.Wire() if self._homer is not None:
                self._homer.sip(message)
            case events.Reloaded(fault):
                if fault:
                    log.error("certificate_not_reloaded", text=f"the old one stays: {fault}")
                else:
                    log.info("certificate_reloaded")
                self._reloaded()
            case _:
                self._record(message)
                self._switchboard.on_message(message)

    def _on_recogniser(self, state: State, text: str) -> None:
        (log.warning if state is State.LOST else log.info)("recogniser", state=str(state), text=text)

    def _record(self, message: Message) -> None:
        """Takes what the signalling process says of a dialog into the flight recorder."""
        if self._spans is not None:
            self._spans.signalled(message)
        dialog = getattr(message, "dialog", None)
        if isinstance(message, events.Incoming):
            self._dialogs[message.dialog] = message.sip_call_id
        if dialog in self._dialogs:
            facts = signalled(message, self._settings.telemetry)
            self._pulse.recorder.note(self._dialogs[dialog], "sip", type(message).__name__.lower(), **facts)
        if isinstance(message, events.Ended):
            self._dialogs.pop(message.dialog, None)

    def _on_signalling_lost(self) -> None:
        log.error("signalling_lost", text="the signalling process died; calls that are up keep their transcription")
        self._metrics.signalling_lost()
        self._control.listening = []
        self._dialogs.clear()
        if self._spans is not None:
            self._spans.signalling_lost()
        self._switchboard.on_signalling_lost()

    async def _conclude(self, began: float) -> None:
        """Ends the calls in whose midst an earlier run stopped, as soon as the outbox can be read."""
        while True:
            with contextlib.suppress(OutboxError):
                if calls := await self._deliverer.conclude_interrupted(began):
                    log.warning("calls_concluded", calls=calls, text="an earlier run stopped in their midst")
                return
            await asyncio.sleep(1)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK
            await asyncio.sleep(TICK)
            self._pulse.late(loop.time() - due)
            try:
                self._switchboard.tick()
                self._metrics.flush()
                self._board.tick()
            except Exception:
                # the next turn may do; where none does, systemd hears of no life any more
                log.exception("tick_failed")
            else:
                self._systemd.alive(time.monotonic_ns())

    async def _look(self) -> None:
        """Does now and then what need not be done at each tick."""
        while True:
            self._systemd.status(self._summary())
            self._prober.look()
            await self._survey.look()
            if self._switchboard.legs >= MANY:
                await asyncio.to_thread(self._pages.ask)
            await asyncio.sleep(LOOK)

    def _summary(self) -> str:
        state = ", ".join(self._control.ready().reasons) or "ready"
        if self.ready is None:
            state = "starting"
        return f"{state}: {len(self._registry)} calls, {self._switchboard.legs} legs"

    async def _idle(self, seconds: float) -> bool:
        """Waits until no leg is up; returns whether that came in time."""
        idle = asyncio.ensure_future(self._switchboard.idle.wait())
        hurry = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait({idle, hurry}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        hurry.cancel()
        return self._switchboard.idle.is_set()

    def _signalled(self) -> None:
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    def _reload(self) -> None:
        """Has the signalling process read its certificate anew."""
        self._reloading = True
        self._systemd.reloading(time.monotonic_ns())
        self._link.send(commands.Reload())

    def _reloaded(self) -> None:
        if self._reloading:
            self._reloading = False
            self._systemd.ready()
