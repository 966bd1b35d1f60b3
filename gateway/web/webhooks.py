"""The API of the webhooks: what was delivered to whom, dead letters among it, and sending it again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field

from gateway.delivery.archive import Archive, ArchiveError, Delivery, Selection
from gateway.web.access import User, needs
from gateway.web.parts import P, Parts, faults

T = TypeVar("T")
Id = Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$", description="An event's id")]
Name = Annotated[str, Field(max_length=80)]

webhooks = APIRouter(prefix="/webhooks", tags=["webhooks"])


class DeliveryView(BaseModel):
    """One event at one consumer; ``endpoint`` and ``state`` are none where the event was for nobody.

    Attributes:
        accepted: Microseconds since the epoch when the event was accepted; its place in the outbox.
        id: The event's id.
        call: Its call.
        seq: Its number in the call.
        type: Its type.
        endpoint: The consumer.
        state: ``pending``, ``delivered`` or ``dead``.
        attempts: Attempts so far.
        at: Seconds since the epoch: of the next attempt while pending, else of the last; 0 before the first.
    """

    accepted: int
    id: str
    call: str
    seq: int
    type: str
    endpoint: str | None
    state: str | None
    attempts: int
    at: float


class Choice(BaseModel):
    """Which deliveries are meant; what is left out chooses all, but not everything may be left out.

    Attributes:
        ids: Event ids.
        call: Of this call.
        endpoint: Of this consumer.
        state: In this state; ``dead`` for the dead letters.
        type: Of this type; ``*`` stands for anything.
        since: Accepted then or later.
        until: Accepted before then.
        to: Who gets them; each consumer that had them when left out.
    """

    ids: Annotated[list[Id], Field(max_length=1000)] = []
    call: Id | None = None
    endpoint: Name | None = None
    state: Literal["delivered", "dead"] | None = None
    type: Name | None = None
    since: datetime | None = None
    until: datetime | None = None
    to: Name | None = None


class Asked(BaseModel):
    """How many deliveries were asked for; the gateway sends them within seconds, behind what waits for their calls."""

    deliveries: int


@webhooks.get("", responses=faults(503), dependencies=[Depends(needs("operate"))])
async def deliveries(
    parts: P,
    call: Annotated[str | None, Query(max_length=80)] = None,
    endpoint: Annotated[str | None, Query(max_length=80)] = None,
    state: Literal["pending", "delivered", "dead"] | None = None,
    type: Annotated[str | None, Query(max_length=80)] = None,  # noqa: A002 (the parameter's name in the URL)
    since: datetime | None = None,
    until: datetime | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[DeliveryView]:
    """Lists deliveries, oldest first; ``state=dead`` lists the dead letters."""
    chosen = _selection((), call, endpoint, state, type, since, until)
    return await _read(parts, lambda archive: [_view(known) for known in archive.deliveries(chosen, limit)])


@webhooks.get("/{event}", responses=faults(404, 503), dependencies=[Depends(needs("operate"))])
async def show(parts: P, event: Id) -> dict[str, Any]:
    """Returns an event as consumers receive it, and what became of it at each."""

    def read(archive: Archive) -> dict[str, Any] | None:
        body = archive.body(event)
        if body is None:
            return None
        known = [_view(one).model_dump() for one in archive.deliveries(Selection((event,))) if one.endpoint]
        return {"event": json.loads(body), "deliveries": known}

    found = await _read(parts, read)
    if found is None:
        raise HTTPException(404, "no such event is stored")
    return found


@webhooks.post("/replay", responses=faults(409, 413, 503), status_code=202)
async def replay(parts: P, choice: Choice, _user: Annotated[User, Depends(needs("operate"))]) -> Asked:
    """Sends events again, each with its own id, so that consumers can ignore what they have."""
    chosen = _selection(
        tuple(choice.ids), choice.call, choice.endpoint, choice.state, choice.type, choice.since, choice.until
    )
    if chosen == Selection():
        raise HTTPException(409, "say what to send again: ids, call, endpoint, state, type, since or until")
    known = {endpoint.name for endpoint in parts.settings.delivery.endpoints}
    if choice.to is not None and choice.to not in known:
        raise HTTPException(409, f"no consumer has the name {choice.to!r}")
    return Asked(deliveries=await _read(parts, lambda archive: archive.replay(chosen, choice.to)))


def _selection(
    ids: tuple[str, ...],
    call: str | None,
    endpoint: str | None,
    state: str | None,
    kind: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Selection:
    times = [None if time is None else time.timestamp() for time in (since, until)]
    return Selection(ids, call, endpoint, state, kind, *times)


def _view(known: Delivery) -> DeliveryView:
    return DeliveryView(
        accepted=known.number,
        id=known.id,
        call=known.call,
        seq=known.seq,
        type=known.type,
        endpoint=known.endpoint,
        state=known.state,
        attempts=known.attempts,
        at=known.at,
    )


async def _read(parts: Parts, read: Callable[[Archive], T]) -> T:
    """Opens the outbox in a thread, for the file may be slow and the event loop must not wait."""

    def opened() -> T:
        archive = Archive(parts.settings.delivery.database)
        try:
            return read(archive)
        finally:
            archive.close()

    try:
        return await asyncio.to_thread(opened)
    except (ArchiveError, OSError, OverflowError, ValueError) as error:
        raise HTTPException(503, str(error)) from error
