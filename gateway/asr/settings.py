"""The settings of recognition, whatever the engine."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from gateway.asr.kinds import Named, named
from gateway.asr.options import Deepgram, Embedded, Palatine, Vosk, Yandex
from gateway.asr.routes import Names, Route
from gateway.section import Section

# What [asr.engines.NAME] may be of, besides the kinds of third parties.
ENGINE_KINDS: dict[str, type[Section]] = {"palatine": Palatine, "yandex": Yandex, "vosk": Vosk, "deepgram": Deepgram}


def _named(values: Any) -> Any:
    return named(values, ENGINE_KINDS)


class Asr(Section):
    """Recognition.

    Attributes:
        engine: Which engine recognises: ``embedded``, ``palatine``, ``yandex``, ``vosk``, ``deepgram``, or the name of
            one of ``asr.engines``; or a list of them in order of preference.
        connect_seconds: How long opening a session may take.
        finish_seconds: How long after the hang-up the engine's last words are waited for.
        replay_seconds: Audio kept for a new session should the engine be lost; older audio is given up and reported.
        retry_first_seconds: Wait before the first new attempt; it doubles, with jitter, up to ``retry_max_seconds``.
        retry_max_seconds: The longest wait between attempts.
        failover_seconds: An engine that has not come back after so long is replaced by the next in the list; one that
            refuses for good at once. New calls begin with the first engine that is not known to fail.
        stall_seconds: A session that takes no audio, or says nothing of so much speech, is lost.
        catch_up_seconds: A backlog that has not drained after so long is given up but for its last 2 s, and reported.
        rollover_window_seconds: So long before an engine's limit the next pause of speech moves to a new session.
        rollover_margin_seconds: So long before the limit the move waits for no pause.
        rollover_overlap_seconds: Audio that both sessions hear then, so that every word is whole in one of them.
        idle_close_seconds: Without speech for so long, sessions of engines whose rule is to close are closed.
        preroll_ms: Audio from before the first speech that such a session gets when it is opened again.
        routes: Who recognises which legs; the first that matches wins.
        engines: More engines, by name: ``kind`` and the settings of that kind.
    """

    engine: Annotated[Names, NoDecode, Field(min_length=1)] = ("embedded",)
    connect_seconds: Annotated[float, Field(gt=0)] = 5.0
    finish_seconds: Annotated[float, Field(gt=0)] = 15.0
    replay_seconds: Annotated[float, Field(ge=1, le=300)] = 45.0
    retry_first_seconds: Annotated[float, Field(gt=0)] = 0.25
    retry_max_seconds: Annotated[float, Field(gt=0)] = 5.0
    failover_seconds: Annotated[float, Field(ge=0)] = 10.0
    stall_seconds: Annotated[float, Field(ge=1)] = 15.0
    catch_up_seconds: Annotated[float, Field(ge=1)] = 30.0
    rollover_window_seconds: Annotated[float, Field(ge=0)] = 30.0
    rollover_margin_seconds: Annotated[float, Field(ge=1)] = 5.0
    rollover_overlap_seconds: Annotated[float, Field(ge=0, le=5)] = 2.0
    idle_close_seconds: Annotated[float, Field(ge=1)] = 20.0
    preroll_ms: Annotated[int, Field(ge=0, le=5000)] = 600
    palatine: Palatine = Palatine()
    embedded: Embedded = Embedded()
    yandex: Yandex = Yandex()
    vosk: Vosk = Vosk()
    deepgram: Deepgram = Deepgram()
    routes: list[Route] = []
    engines: dict[
        Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")], Annotated[Named, BeforeValidator(_named)]
    ] = {}

    def kind_of(self, engine: str) -> str:
        """Returns the kind of an engine."""
        return self.engines[engine].kind if engine in self.engines else engine

    @model_validator(mode="after")
    def _engines_exist(self) -> Asr:
        built_in = ["embedded", *ENGINE_KINDS]
        if twice := [name for name in self.engines if name in built_in]:
            raise ValueError(f"engines.{twice[0]}: that name is taken by the engine that comes with the gateway")
        names = [route.name for route in self.routes]
        if same := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"routes share a name: {', '.join(same)}")
        known = [*built_in, *self.engines]
        lists = [("engine", self.engine)]
        lists += [(f"routes[{number}].engine", route.engine) for number, route in enumerate(self.routes)]
        for path, wanted in lists:
            if unknown := [name for name in wanted if name not in known]:
                raise ValueError(f"{path}: there is no engine {unknown[0]!r}; there are {', '.join(known)}")
        for number, route in enumerate(self.routes):
            kinds = {self.kind_of(name) for name in route.engine or self.engine}
            if route.model and len(kinds) > 1:
                raise ValueError(
                    f"routes[{number}].model: {', '.join(sorted(kinds))} share no models; "
                    "give the engines models of their own in [asr.engines.NAME]"
                )
        return self
