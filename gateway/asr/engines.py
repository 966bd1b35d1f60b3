"""The engines in use: made of the settings, one for each way in which the routes want it, and chosen for each leg."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from gateway.asr import kinds
from gateway.asr.engine import Engine
from gateway.asr.gate import Gate
from gateway.asr.kinds import Context, Kind
from gateway.asr.options import Palatine
from gateway.asr.palatine import PalatineEngine
from gateway.asr.routes import Choice, Facts, choose
from gateway.asr.settings import Asr

# Where the kinds that come with the gateway are; imported only when used, since some need packages of their own.
BUILT_IN = {
    "yandex": ("gateway.asr.yandex", "YandexEngine"),
    "vosk": ("gateway.asr.vosk", "VoskEngine"),
    "deepgram": ("gateway.asr.deepgram", "DeepgramEngine"),
}
EMBEDDED = "embedded"


class EngineError(Exception):
    """An engine cannot be used; the text says which, why, and what to do."""


class Engines:
    """Makes engines, and says which of them a leg gets.

    Args:
        settings: The configuration.
        embedded: How the embedded recogniser is reached; None where no route wants it.
        heard: Told, with an engine's name, how many seconds lay between audio being written and worked through.

    Raises:
        EngineError: An engine that a route wants cannot be made.
    """

    def __init__(self, settings: Asr, embedded: Palatine | None, heard: Callable[[str, float], None]) -> None:
        self._settings = settings
        self._embedded = embedded
        self._heard = heard
        self._gates: dict[tuple[str, str], Gate] = {}
        self._made: dict[tuple[str, str, str, str], Engine] = {}
        for choice in choices(settings):
            self._engines(choice)

    def __iter__(self) -> Iterator[Engine]:
        return iter(self._made.values())

    def choose(self, facts: Facts) -> tuple[str, Sequence[Engine]]:
        """Returns the route of a leg, and its engines in order of preference."""
        choice = choose(self._settings.routes, self._settings.engine, facts)
        return choice.route, self._engines(choice)

    async def close(self) -> None:
        """Lets go of what the engines hold beyond their sessions."""
        closing = [engine.close() for engine in self._made.values() if hasattr(engine, "close")]
        await asyncio.gather(*closing, return_exceptions=True)

    # inside

    def _engines(self, choice: Choice) -> list[Engine]:
        return [self._engine(name, choice) for name in choice.engines]

    def _engine(self, name: str, choice: Choice) -> Engine:
        key = (name, choice.language, choice.model, choice.codec)
        if key not in self._made:
            try:
                self._made[key] = self._make(name, choice)
            except ValueError as error:
                raise EngineError(f"the engine {name!r}: {error}") from error
        return self._made[key]

    def _make(self, name: str, choice: Choice) -> Engine:
        kind = self._settings.kind_of(name)
        if name == EMBEDDED:
            if self._embedded is None:
                raise ValueError("it was not started")
            # it has one language and one model
            options: BaseModel = _changed(self._embedded, Choice(choice.route, choice.engines, codec=choice.codec))
        elif name in self._settings.engines:
            options = _changed(self._settings.engines[name].options, choice)
        else:
            options = _changed(getattr(self._settings, name), choice)
        where = str(getattr(options, "url", None) or getattr(options, "endpoint", None) or name)
        starts = getattr(options, "starts_per_second", None)
        gate = self._gates.setdefault((kind, where), Gate(starts_per_second=starts))
        seconds = self._settings.connect_seconds
        if isinstance(options, Palatine):
            return PalatineEngine(options, connect_seconds=seconds, name=name, gate=gate)
        context = Context(name, seconds, gate, lambda heard: self._heard(name, heard))
        return _kind(kind)(options, context)


def choices(settings: Asr) -> list[Choice]:
    """Returns every choice that a leg may meet."""
    routes = [
        Choice(route.name, route.engine or settings.engine, route.language, route.model, route.codec)
        for route in settings.routes
    ]
    return [*routes, choose([], settings.engine, Facts())]


def wants_embedded(settings: Asr) -> bool:
    """Whether any leg may get the embedded recogniser."""
    return any(EMBEDDED in choice.engines for choice in choices(settings))


def _kind(kind: str) -> Kind:
    if kind not in BUILT_IN:
        found = kinds.third_party(kind)
        if found is None:
            raise ValueError(f"there is no kind {kind!r}")
        return found
    module, name = BUILT_IN[kind]
    try:
        made: Kind = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is not installed: pip install 'asr-gateway[{kind}]'") from error
    return made


def _changed(options: BaseModel, choice: Choice) -> BaseModel:
    """Returns options with what a route puts in their place."""
    fields = type(options).model_fields
    update: dict[str, Any] = {
        name: value
        for name, value in (("language", choice.language), ("model", choice.model), ("codec", choice.codec))
        if value and name in fields
    }
    if choice.language and "languages" in fields:
        update["languages"] = (choice.language,)
    return options.model_copy(update=update) if update else options
