"""A web side of its own: the real server, board, feed and store file, over an operator that notes what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from uuid_utils.compat import uuid7

from gateway import events
from gateway.config import Settings
from gateway.delivery.outbox import Outbox
from gateway.delivery.settings import Delivery
from gateway.web.board import Board
from gateway.web.feed import Feed
from gateway.web.history import History
from gateway.web.parts import Outcome, Parts, Ready, Status
from gateway.web.server import WebServer
from gateway.web.settings import Web
from gateway.web.view import LegQuality

TOKENS = {role: f"the-{role}-token-of-the-tests" for role in ("view", "operate", "admin")}
BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Desk:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.reasons: list[str] = []
        self.level = "info"

    def quality(self, call: str) -> list[LegQuality]:  # noqa: ARG002
        return []

    def levels(self) -> dict[str, list[tuple[str, int]]]:
        return {}

    def status(self) -> Status:
        return Status(
            version="1",
            seconds=1,
            draining=False,
            calls=0,
            legs=0,
            capacity=1,
            sip=[],
            store="ok",
            engines=[],
            endpoints=[],
            loop_lag_ms=0,
            viewers=0,
        )

    def ready(self) -> Ready:
        return Ready(ready=not self.reasons, reasons=self.reasons)

    def hang_up(self, call: str) -> Outcome:
        self.told.append(("hang_up", call))
        return "done"

    def pause(self, call: str, leg: str, *, paused: bool) -> Outcome:
        self.told.append(("pause", call, leg, paused))
        return "done"

    def label(self, call: str, labels: dict[str, str]) -> Outcome:
        self.told.append(("label", call, labels))
        return "done"

    def drain(self) -> None:
        self.told.append(("drain",))

    def log_level(self, level: str | None = None) -> str:
        self.level = level or self.level
        return self.level

    def latency(self) -> list[dict[str, Any]]:
        return []

    def trace(self, call: str) -> list[dict[str, Any]] | None:  # noqa: ARG002
        return [{"ms": 0.0, "part": "sip", "what": "invite"}]

    def tape(self, call: str) -> list[dict[str, Any]] | None:  # noqa: ARG002
        return [{"tape": 1}]


@dataclass
class Site:
    """A running web side."""

    url: str
    board: Board
    desk: Desk
    outbox: Outbox
    calls: dict[str, int] = field(default_factory=dict)

    def tell(
        self,
        call: str,
        data: events.Body,
        *,
        at: float = 0.0,
        number: str = "100",
        headers: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
    ) -> events.Event:
        """Publishes an event as a call does: numbered, to the store and to the board."""
        if not isinstance(data, events.TranscriptPartial):
            self.calls[call] = self.calls.get(call, 0) + 1
        info = events.CallInfo(
            id=call,
            sip_call_ids=["a@b"],
            from_number=number,
            to_number="200",
            headers=headers or {},
            labels=labels or {},
        )
        event = events.Event(
            id=str(uuid7()),
            time=BEGUN + timedelta(seconds=at),
            call=info,
            seq=self.calls.get(call, 0),
            data=data,
        )
        if event.durable:
            self.outbox.append(event, [])
        self.board.publish(event)
        return event


def words(kind: type, text: str, *, leg: str = "caller", utterance: int = 1, revision: int = 1, at: float = 1.0) -> Any:
    start = round(at * 1000)
    return kind(
        leg=leg,
        utterance=utterance,
        revision=revision,
        text=text,
        start_ms=start,
        end_ms=start + 800,
        time=BEGUN + timedelta(seconds=at),
    )


def completed(*said: Any) -> events.TranscriptCompleted:
    utterances = [events.Words.model_validate(item.model_dump(exclude={"type"})) for item in said]
    return events.TranscriptCompleted(utterances=utterances, legs=[], complete=True)


@asynccontextmanager
async def site(folder: Path, *, tokens: bool = True, desk: Desk | None = None, **web: Any) -> AsyncIterator[Site]:
    """Runs a web side on a free port."""
    known = [{"name": f"{role}er", "role": role, "token": token} for role, token in TOKENS.items()] if tokens else []
    settings = Settings(
        web=Web.model_validate({"listen": "127.0.0.1:0", "tokens": known, **web}),
        delivery=Delivery(database=folder / "outbox.db"),
    )
    outbox = Outbox(folder / "outbox.db")
    await outbox.start([])
    desk = desk or Desk()
    board = Board(Feed(), desk)
    server = WebServer(Parts(settings, board, History(folder / "outbox.db"), desk))
    await server.start()
    try:
        yield Site(server.url, board, desk, outbox)
    finally:
        await server.stop()
        await outbox.stop()
