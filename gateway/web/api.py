"""The API: calls, transcripts, operation. Its OpenAPI document is at ``/api/v1/openapi.json``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel, Field

from gateway import events
from gateway.transcripts.export import UnfinishedError, export
from gateway.web import history as stored
from gateway.web.access import Access, Guard, User, masked, needs
from gateway.web.live import follow
from gateway.web.page import page
from gateway.web.parts import Outcome, P, Parts, Ready, Status, faults
from gateway.web.view import CallDetail, CallSummary, CallView
from gateway.web.webhooks import webhooks

VERSION = "1"
PREFIX = f"/api/v{VERSION}"
LARGEST = 2**62
MEDIA_TYPES = {"json": "application/json", "text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}
ENDINGS = {"json": "json", "text": "txt", "srt": "srt", "vtt": "vtt"}

view, operate, admin = (needs(role) for role in ("view", "operate", "admin"))
CallId = Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$", description="The gateway's own id of the call")]
LegName = Annotated[str, Field(min_length=1, max_length=80)]
Text = Annotated[str, Query(max_length=200)]


class CallList(BaseModel):
    """Some calls.

    Attributes:
        at: Place in the stream that the calls that are up belong to.
        calls: Live ones oldest first, past ones newest first.
        next: To be given as ``before`` for more; None at the end.
    """

    at: str
    calls: list[CallSummary]
    next: int | None = None


class Transcript(BaseModel):
    """What was said."""

    call: str
    complete: bool | None
    utterances: list[Any]


class Identity(BaseModel):
    """Who you are here."""

    name: str
    role: str


class LogLevel(BaseModel):
    """The lowest level that is logged."""

    level: Literal["debug", "info", "warning", "error"]


api = APIRouter(prefix=PREFIX)


@api.get("/whoami", responses=faults(), tags=["access"])
async def whoami(user: Annotated[User, Depends(view)]) -> Identity:
    """Says whose token was shown and what it may do."""
    return Identity(name=user.name, role=user.role)


@api.get("/calls", responses=faults(503), dependencies=[Depends(view)], tags=["calls"])
async def calls(
    parts: P,
    state: Literal["live", "past"] = "live",
    number: Text = "",
    text: Text = "",
    label: Text = "",
    since: datetime | None = None,
    until: datetime | None = None,
    before: Annotated[int | None, Query(ge=0, le=LARGEST)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> CallList:
    """Lists the calls that are up (all of them), or searches those that are over."""
    at = parts.board.feed.place()
    if state == "live":
        return CallList.model_construct(at=at, calls=parts.board.live(), next=None)
    query = stored.Query(number, text, label, since, until, before, limit)
    try:
        found, place = await parts.history.calls(query)
    except (stored.HistoryError, OverflowError, ValueError) as error:
        raise HTTPException(503, str(error)) from error
    return CallList.model_construct(at=at, calls=found, next=place)


@api.get("/calls/{call}", responses=faults(404, 503), dependencies=[Depends(view)], tags=["calls"])
async def call_detail(parts: P, call: CallId) -> CallDetail:
    """Returns all about a call."""
    return await _detail(parts, call)


@api.get("/calls/{call}/transcript", responses=faults(404, 503), dependencies=[Depends(view)], tags=["calls"])
async def transcript(parts: P, call: CallId) -> Transcript:
    """Returns what was said, each utterance in its latest text."""
    detail = await _detail(parts, call)
    return Transcript(call=call, complete=detail.complete, utterances=detail.transcript)


@api.get("/calls/{call}/events", responses=faults(404, 503), dependencies=[Depends(view)], tags=["calls"])
async def call_events(
    parts: P, call: CallId, since: Annotated[int, Query(ge=0, le=LARGEST)] = 0
) -> list[dict[str, Any]]:
    """Returns the durable events of a call after a ``seq``, exactly as webhooks carry them."""
    return [json.loads(event.wire()) for event in await _events(parts, call, since)]


@api.get(
    "/calls/{call}/export",
    responses={**faults(404, 409, 503), 200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}}},
    response_class=Response,
    dependencies=[Depends(view)],
    tags=["calls"],
)
async def export_call(parts: P, call: CallId, form: Literal["json", "text", "srt", "vtt"] = "text") -> Response:
    """Returns the transcript of a call that is over as a file: JSON, text, SubRip or WebVTT."""
    known = await _events(parts, call, 0)
    try:
        text = export(known, form)
    except UnfinishedError as error:
        raise HTTPException(409, str(error)) from error
    headers = {"Content-Disposition": f'attachment; filename="{call}.{ENDINGS[form]}"'}
    return Response(text, media_type=MEDIA_TYPES[form], headers=headers)


@api.get("/calls/{call}/trace", responses=faults(404), dependencies=[Depends(operate)], tags=["calls"])
async def trace(parts: P, call: CallId, form: Literal["steps", "tape"] = "steps") -> list[dict[str, Any]]:
    """Returns every recorded step of a call with its time: signalling, media, recogniser, deliveries.

    As ``tape``, what went into the call's legs and the events that came out, for ``asr-gateway trace --replay``.
    """
    steps = parts.operator.trace(call) if form == "steps" else parts.operator.tape(call)
    if steps is None:
        raise HTTPException(404, "nothing is recorded of this call")
    return steps


@api.post("/calls/{call}/hangup", responses=faults(404, 409), status_code=202, tags=["operation"])
async def hang_up(parts: P, call: CallId, _user: Annotated[User, Depends(operate)]) -> dict[str, str]:
    """Ends a call: BYE to each of its dialogs."""
    return _told(parts.operator.hang_up(call))


@api.post("/calls/{call}/legs/{leg}/pause", responses=faults(404, 409), status_code=202, tags=["operation"])
async def pause(parts: P, call: CallId, leg: LegName, _user: Annotated[User, Depends(operate)]) -> dict[str, str]:
    """Withholds a leg's audio from its recogniser from now on."""
    return _told(parts.operator.pause(call, leg, paused=True))


@api.post("/calls/{call}/legs/{leg}/resume", responses=faults(404, 409), status_code=202, tags=["operation"])
async def resume(parts: P, call: CallId, leg: LegName, _user: Annotated[User, Depends(operate)]) -> dict[str, str]:
    """Goes on with the transcription of a leg."""
    return _told(parts.operator.pause(call, leg, paused=False))


@api.get("/status", responses=faults(), dependencies=[Depends(view)], tags=["operation"])
async def status(parts: P) -> Status:
    """Returns the gateway at a glance: calls, engines, consumers, store."""
    return parts.operator.status()


@api.get("/latency", responses=faults(), dependencies=[Depends(view)], tags=["operation"])
async def latency(parts: P) -> list[dict[str, Any]]:
    """Returns the latencies of the last hour, minute by minute: count, median and 95th percentile in seconds."""
    return parts.operator.latency()


@api.get("/config", responses=faults(), dependencies=[Depends(admin)], tags=["operation"])
async def config(parts: P) -> dict[str, Any]:
    """Returns the configuration in effect, secrets masked."""
    shown: dict[str, Any] = masked(parts.settings.shown())
    return shown


@api.post("/drain", responses=faults(), status_code=202, tags=["operation"])
async def drain(parts: P, _user: Annotated[User, Depends(admin)]) -> dict[str, str]:
    """Takes no more calls and stops once the last one is over, as on SIGTERM."""
    parts.operator.drain()
    return {"outcome": "done"}


@api.get("/log-level", responses=faults(), dependencies=[Depends(admin)], tags=["operation"])
async def log_level(parts: P) -> LogLevel:
    """Returns the lowest level that is logged."""
    return LogLevel.model_validate({"level": parts.operator.log_level()})


@api.put("/log-level", responses=faults(413), tags=["operation"])
async def set_log_level(parts: P, wanted: LogLevel, _user: Annotated[User, Depends(admin)]) -> LogLevel:
    """Sets the lowest level that is logged, until the next start."""
    return LogLevel.model_validate({"level": parts.operator.log_level(wanted.level)})


class Labels(BaseModel):
    """What the operator's system attaches to a call; an empty text takes a label away."""

    labels: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=256)]],
        Field(min_length=1, max_length=32),
    ]


@api.put("/calls/{call}/labels", responses=faults(404, 413), status_code=202, tags=["operation"])
async def label(parts: P, call: CallId, wanted: Labels, _user: Annotated[User, Depends(operate)]) -> dict[str, str]:
    """Attaches labels to a call that is up; its events carry them from now on."""
    return _told(parts.operator.label(call, wanted.labels))


api.include_router(webhooks)

_STREAM = {
    **faults(503),
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "Server-sent events: `snapshot` (the calls that are up, and the place it belongs to), `call` "
        "(an event as webhooks carry it, with its place as id), `levels` (how loud the legs are)",
    },
}


@api.get("/stream", responses=_STREAM, response_class=Response, dependencies=[Depends(view)], tags=["live"])
async def stream(request: Request, parts: P) -> Response:
    """Follows all calls; goes on from ``Last-Event-ID`` without a gap or a repeat."""
    return _streamed(request, parts, None)


@api.get(
    "/calls/{call}/stream",
    responses={**_STREAM, **faults(404, 503)},
    response_class=Response,
    dependencies=[Depends(view)],
    tags=["live"],
)
async def call_stream(request: Request, parts: P, call: CallId) -> Response:
    """Follows one call; ends after its last event."""
    if parts.board.detail(call) is None:
        raise HTTPException(404, "this call is not up; its events are at /calls/{call}/events")
    return _streamed(request, parts, call)


health = APIRouter(prefix="/health", tags=["health"])


@health.get("/live")
async def health_live() -> dict[str, str]:
    """Says that the process runs and its event loop turns."""
    return {"status": "ok"}


@health.get("/ready", responses={503: {"model": Ready}})
async def health_ready(parts: P, response: Response) -> Ready:
    """Says whether calls can be taken; 503 while draining, full, or without a usable engine."""
    ready = parts.operator.ready()
    response.status_code = 200 if ready.ready else 503
    return ready


def build(parts: Parts) -> FastAPI:
    """Makes the application."""
    app = FastAPI(
        title="asr-gateway",
        version=VERSION,
        description="Live transcripts of the calls on a SIP trunk.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # they come with scripts of third parties
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.parts = parts
    app.state.access = Access(parts.settings.web)
    app.include_router(api)
    app.include_router(health)
    app.include_router(page)
    app.add_middleware(Guard, hosts=parts.settings.web.hosts)

    @app.exception_handler(stored.HistoryError)
    async def unreadable(_request: Request, error: stored.HistoryError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503)

    return app


def _told(outcome: Outcome) -> dict[str, str]:
    if outcome == "unknown":
        raise HTTPException(404, "there is no such call or leg now")
    if outcome == "unable":
        raise HTTPException(409, "its dialog is lost, or it is over already")
    return {"outcome": outcome}


async def _events(parts: Parts, call: str, since: int) -> list[events.Event]:
    found = await parts.history.events(call, since)
    if not found and parts.board.detail(call) is None and not await parts.history.events(call):
        raise HTTPException(404, "there is no such call")
    return found


async def _detail(parts: Parts, call: str) -> CallDetail:
    known = parts.board.detail(call)
    if known is None:
        folded = CallView.of(await parts.history.events(call))
        if folded is None:
            raise HTTPException(404, "there is no such call")
        known = folded.detail()
    return known


def _streamed(request: Request, parts: Parts, call: str | None) -> Response:
    feed, settings = parts.board.feed, parts.settings.web
    if feed.viewers >= settings.max_viewers or feed.closed:
        return PlainTextResponse(
            json.dumps({"detail": "too many viewers"}), 503, {"Retry-After": "5"}, "application/json"
        )
    body: AsyncIterator[bytes] = follow(parts.board, call, request.headers.get("last-event-id"))
    return StreamingResponse(
        body, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
