"""What the web side needs of the rest of the gateway: protocols that the composition root fills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from fastapi import Depends, Request
from pydantic import BaseModel

from gateway.config import Settings
from gateway.web.board import Board
from gateway.web.history import History

Outcome = Literal["done", "unknown", "unable"]


class EngineView(BaseModel):
    """A recogniser.

    Attributes:
        name: Its name.
        state: ``closed`` (works), ``open`` (fails, is left alone) or ``trying``: of its circuit breaker.
        sessions: Open now, by state.
        starts: Sessions started so far.
        outages: How often the breaker opened.
    """

    name: str
    state: str
    sessions: dict[str, int]
    starts: int
    outages: int


class EndpointView(BaseModel):
    """A consumer of webhooks.

    Attributes:
        name: Its name.
        url: Where events go, without what may be secret.
        waiting: Durable events that wait.
        oldest_seconds: Age of the oldest of them; None where that is not known, or none waits.
        last_result: Of the last request.
        dead: Dead letters since the start.
        delivered: Events acknowledged since the start.
    """

    name: str
    url: str
    waiting: int
    oldest_seconds: float | None = None
    last_result: str = ""
    dead: int = 0
    delivered: int = 0


class Status(BaseModel):
    """The gateway at a glance.

    Attributes:
        version: Of the gateway.
        seconds: Since its start.
        draining: Whether it takes no calls any more.
        calls: That are not over.
        legs: That are connected.
        capacity: Dialogs that it holds.
        sip: Addresses that it listens at.
        store: ``ok``, or why events cannot be written.
        engines: The recognisers.
        endpoints: The consumers.
        loop_lag_ms: How late the event loop is, worst of the last second.
        viewers: Open streams.
    """

    version: str
    seconds: float
    draining: bool
    calls: int
    legs: int
    capacity: int
    sip: list[str]
    store: str
    engines: list[EngineView]
    endpoints: list[EndpointView]
    loop_lag_ms: float
    viewers: int


class Ready(BaseModel):
    """Whether calls can be taken.

    Attributes:
        ready: Whether.
        reasons: Why not: ``draining``, ``full``, ``no_engine``, ``signalling``.
    """

    ready: bool
    reasons: list[str]


class Operator(Protocol):
    """Acts on the gateway; all methods return at once."""

    def status(self) -> Status:
        """Returns the gateway at a glance."""

    def ready(self) -> Ready:
        """Returns whether calls can be taken."""

    def hang_up(self, call: str) -> Outcome:
        """Ends all dialogs of a call."""

    def pause(self, call: str, leg: str, *, paused: bool) -> Outcome:
        """Withholds a leg's audio from its recogniser, or goes on with it."""

    def label(self, call: str, labels: dict[str, str]) -> Outcome:
        """Attaches labels to a call; an empty text takes one away."""

    def drain(self) -> None:
        """Takes no more calls and stops once the last one is over, as on SIGTERM."""

    def log_level(self, level: str | None = None) -> str:
        """Returns the lowest level that is logged, after setting it where one is given."""

    def latency(self) -> list[dict[str, Any]]:
        """Returns the latencies of the last hour, minute by minute."""

    def trace(self, call: str) -> list[dict[str, Any]] | None:
        """Returns the steps of a call; None where nothing is recorded of it."""

    def tape(self, call: str) -> list[dict[str, Any]] | None:
        """Returns the inputs and events of a call, to be replayed; None where there is no tape of it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """All of it.

    Attributes:
        settings: The configuration.
        board: Calls that are up or ended lately.
        history: Calls that are over.
        operator: Acts on the gateway.
    """

    settings: Settings
    board: Board
    history: History
    operator: Operator


class Problem(BaseModel):
    """Why not."""

    detail: str


def faults(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Returns what the OpenAPI document says of failures: those of every operation, and the ones given."""
    texts = {
        400: "The request is not HTTP",
        401: "No token, or one that nobody has",
        403: "The role is too low",
        404: "There is no such call",
        409: "It cannot be done now",
        413: "The body is too long",
        503: "Not now",
    }
    return {code: {"model": Problem, "description": texts[code]} for code in (400, 401, 403, *codes)}


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


P = Annotated[Parts, Depends(_parts)]
