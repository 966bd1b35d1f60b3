"""Which engines recognise a leg: the first route whose conditions all hold. Pure.

A condition is a list of shell patterns (``*``, ``?``, ``[…]``), one of which must match the whole value; a condition
that is not given holds for everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from gateway.section import Section


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _named(value: Any) -> Any:
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_named)]
Patterns = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_listed)]
DEFAULT = "default"


class Route(Section):
    """A rule: which legs, and who recognises them. Each pattern may be one text or a list of them.

    Attributes:
        name: For logs and ``check-config --route``.
        peer: Patterns on the name of the peer that calls (``sip.peers``).
        to_number: Patterns on the dialled number, the user part of To.
        from_number: Patterns on the caller's number, by P-Asserted-Identity before From.
        leg: Patterns on the leg's name, such as ``agent``.
        header: Patterns on headers of the INVITE, by name.
        engine: Engines in order of preference; none for those of ``asr.engine``.
        language: In place of the engines' own.
        model: In place of the engines' own; one kind of engine only, since no two share their models.
        codec: ``native`` or ``linear16``, in place of the engines' own, where an engine has the choice.
    """

    name: str
    peer: Patterns = ()
    to_number: Patterns = ()
    from_number: Patterns = ()
    leg: Patterns = ()
    header: dict[str, Patterns] = {}  # noqa: RUF012 (pydantic copies it)
    engine: Names = ()
    language: str = ""
    model: str = ""
    codec: Literal["", "native", "linear16"] = ""

    def conditions(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Yields what must match: the name of a fact, and its patterns."""
        for name in ("peer", "to_number", "from_number", "leg"):
            if patterns := getattr(self, name):
                yield name, patterns
        for header, patterns in self.header.items():
            yield f"header.{header.lower()}", patterns


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a leg when it begins.

    Attributes:
        peer: Name of the peer that calls; empty where it is unknown.
        to_number: The dialled number.
        from_number: The caller's.
        leg: The leg's name.
        headers: All headers of the INVITE by lower-case name.
    """

    peer: str = ""
    to_number: str = ""
    from_number: str = ""
    leg: str = ""
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def values(self, name: str) -> Sequence[str]:
        """Returns the values of a fact, as ``Route.conditions`` names them; none where a header is absent."""
        kind, _, header = name.partition(".")
        if kind == "header":
            return [value.strip() for value in self.headers.get(header, ())]
        return [str(getattr(self, kind))]


@dataclass(frozen=True, slots=True)
class Choice:
    """Who recognises a leg.

    Attributes:
        route: The route's name; ``default`` where none matched.
        engines: In order of preference.
        language: In place of the engines' own; empty for those. So are ``model`` and ``codec``.
        model: See ``language``.
        codec: See ``language``.
    """

    route: str
    engines: tuple[str, ...]
    language: str = ""
    model: str = ""
    codec: str = ""


def choose(routes: Sequence[Route], default: Sequence[str], facts: Facts) -> Choice:
    """Returns the choice of the first route that matches.

    Args:
        routes: In the order of the configuration.
        default: The engines where no route matches, or the one that does names none.
        facts: What is known of the leg.
    """
    for route in routes:
        if first_miss(route, facts) is None:
            engines = tuple(route.engine) or tuple(default)
            return Choice(route.name, engines, route.language, route.model, route.codec)
    return Choice(DEFAULT, tuple(default))


def first_miss(route: Route, facts: Facts) -> str | None:
    """Returns, in words, the first condition that does not hold; None where the route matches."""
    for name, patterns in route.conditions():
        values = facts.values(name)
        if not any(fnmatchcase(value, pattern) for value in values for pattern in patterns):
            found = " and ".join(repr(value) for value in values) or "absent"
            return f"{name} is {found}, wanted {' or '.join(repr(pattern) for pattern in patterns)}"
    return None


def explain(routes: Sequence[Route], default: Sequence[str], facts: Facts) -> list[str]:
    """Returns lines that say how the choice comes about: each route that was passed over and why, then the choice."""
    lines = []
    choice = choose(routes, default, facts)
    for route in routes:
        miss = first_miss(route, facts)
        lines.append(f"route {route.name!r}: {'matches' if miss is None else f'no: {miss}'}")
        if miss is None:
            break
    else:
        lines.append("no route matches: the engines of asr.engine")
    lines.append(f"engine: {', then '.join(choice.engines)}")
    lines += [
        f"{what}: {value}"
        for what, value in (("language", choice.language), ("model", choice.model), ("codec", choice.codec))
        if value
    ]
    return lines


def facts_of(text: str) -> Facts:
    """Reads the facts of ``check-config --route``: ``to=74951234567,leg=agent,X-Queue=sales``.

    Args:
        text: ``NAME=VALUE`` pairs; ``to``, ``from``, ``leg`` and ``peer``, and everything else is a header.

    Raises:
        ValueError: A part has no ``=``.
    """
    known = {"to": "to_number", "from": "from_number", "leg": "leg", "peer": "peer"}
    fields: dict[str, str] = {}
    headers: dict[str, list[str]] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ValueError(f"{part!r} is not NAME=VALUE, as in to=74951234567,leg=agent,X-Queue=sales")
        key = name.lower()
        if key in known or key in known.values():
            fields[known.get(key, key)] = value.strip()
        else:
            headers.setdefault(key, []).append(value.strip())
    return Facts(headers=headers, **fields)
