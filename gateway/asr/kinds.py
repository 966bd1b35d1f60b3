"""The kinds of engines: those that come with the gateway, and third parties' by entry point.

An entry point of the group ``asr_gateway.engines`` names a ``Kind``: a callable, as a rule the engine's class, with a
pydantic model ``Settings``. ``[asr.engines.NAME] kind = "…"`` uses it under a name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

from pydantic import BaseModel, ConfigDict, SerializeAsAny, ValidationError

from gateway.asr.engine import Engine
from gateway.asr.gate import Gate

GROUP = "asr_gateway.engines"


@dataclass(frozen=True, slots=True)
class Context:
    """What an engine is given besides its settings.

    Attributes:
        name: Its name in logs, metrics and events.
        connect_seconds: How long opening a session may take.
        gate: Where it asks no questions, but which it must show as ``gate``: shared by engines of the same name.
        heard: To be called with the seconds between audio being written and the engine having worked through it.
    """

    name: str
    connect_seconds: float
    gate: Gate
    heard: Callable[[float], None] = lambda _seconds: None


class Kind(Protocol):
    """Makes engines of one kind.

    Attributes:
        Settings: What may stand in ``[asr.engines.NAME]`` besides ``kind``; secrets are ``SecretStr``. Routes replace
            the fields ``language``, ``model`` and ``codec`` where it has them.
    """

    Settings: type[BaseModel]

    def __call__(self, settings: Any, context: Context, /) -> Engine:
        """Makes an engine.

        Args:
            settings: A ``Settings``.
            context: See there.

        Raises:
            ValueError: The settings cannot work; the text says why, and what to do.
        """


def third_party(kind: str) -> Kind | None:
    """Returns a kind that an installed package offers; None when there is none of that name.

    Raises:
        ValueError: The package cannot be loaded, or what it names is no ``Kind``.
    """
    for entry in entry_points(group=GROUP, name=kind):
        try:
            found = entry.load()
        except Exception as error:
            raise ValueError(f"the engine {kind!r} ({entry.value}) cannot be loaded: {error}") from error
        settings = getattr(found, "Settings", None)
        if not (callable(found) and isinstance(settings, type) and issubclass(settings, BaseModel)):
            raise ValueError(f"the engine {kind!r}: {entry.value} is no callable with a pydantic model Settings")
        return cast(Kind, found)
    return None


def third_parties() -> list[str]:
    """Returns the names of the kinds that installed packages offer."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


class Named(BaseModel):
    """An engine under a name of the user's.

    Attributes:
        kind: Which kind.
        options: Its settings, of the kind's own model.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    kind: str
    options: SerializeAsAny[BaseModel]


def named(values: Any, built_in: Mapping[str, type[BaseModel]]) -> Any:
    """Reads a table ``[asr.engines.NAME]``; for pydantic, ahead of ``Named``.

    Args:
        values: The table.
        built_in: The settings of the kinds that come with the gateway.

    Raises:
        ValueError: There is no such kind, or its settings have faults: all of them, each with its path.
    """
    if not isinstance(values, dict):
        return values
    kind = values.get("kind")
    model = built_in.get(str(kind))
    if model is None:
        found = third_party(kind) if isinstance(kind, str) else None
        if found is None:
            raise ValueError(f"kind is {kind!r}; there are {', '.join([*built_in, *third_parties()])}")
        model = found.Settings
    try:
        options = model.model_validate({name: value for name, value in values.items() if name != "kind"})
    except ValidationError as error:
        # pydantic would report the faults of the inner model without their own paths
        texts = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}".lstrip(": ") for item in error.errors()]
        raise ValueError("; ".join(texts)) from None
    return Named(kind=str(kind), options=options)
