"""The engines in use: one for each way a route wants it, and what they share."""

from __future__ import annotations

import pytest

from gateway.asr.engines import EngineError, Engines, wants_embedded
from gateway.asr.options import Palatine
from gateway.asr.palatine import PalatineEngine, address_of
from gateway.asr.routes import Facts
from gateway.asr.settings import Asr

SETTINGS = Asr.model_validate(
    {
        "engine": ["palatine", "embedded"],
        "engines": {"backup": {"kind": "palatine", "url": "ws://127.0.0.1:9/asr", "token": "s3cret"}},
        "routes": [
            {"name": "kk", "to_number": "77*", "engine": "palatine", "language": "kk", "codec": "linear16"},
            {"name": "both", "leg": "agent", "engine": ["backup", "palatine"]},
        ],
    }
)
EMBEDDED = Palatine(url="ws://127.0.0.1:8", language="en")


def engines(settings: Asr = SETTINGS, embedded: Palatine | None = EMBEDDED) -> Engines:
    return Engines(settings, embedded, lambda _name, _seconds: None)


def test_a_leg_gets_the_engines_of_its_route_in_their_order() -> None:
    made = engines()
    route, default = made.choose(Facts())
    assert (route, [engine.name for engine in default]) == ("default", ["palatine", "embedded"])
    route, both = made.choose(Facts(leg="agent"))
    assert (route, [engine.name for engine in both]) == ("both", ["backup", "palatine"])
    assert both[1] is default[0], "the same wishes are served by the same engine"


def test_a_route_puts_language_and_codec_in_place_of_the_engines_own() -> None:
    made = engines()
    (special,), (plain, _) = made.choose(Facts(to_number="7701"))[1], made.choose(Facts())[1]
    assert isinstance(special, PalatineEngine)
    url, _ = address_of(special._settings, "linear16")
    assert "language=kk&" in url
    assert (special.limits.bytes_per_sample, plain.limits.bytes_per_sample) == (2, 1)
    assert special.gate is plain.gate, "one endpoint, one circuit"


def test_another_server_has_a_circuit_of_its_own_and_its_secret_is_masked() -> None:
    backup, palatine = engines().choose(Facts(leg="agent"))[1]
    assert backup.gate is not palatine.gate
    assert "s3cret" not in str(SETTINGS.model_dump(mode="json"))
    assert SETTINGS.model_dump(mode="json")["engines"]["backup"]["options"]["url"] == "ws://127.0.0.1:9/asr"


def test_the_embedded_recogniser_keeps_its_language() -> None:
    settings = Asr.model_validate({"routes": [{"name": "all", "language": "ru", "codec": "linear16"}]})
    (engine,) = engines(settings).choose(Facts())[1]
    assert isinstance(engine, PalatineEngine)
    assert (engine._settings.language, engine._settings.codec) == ("en", "linear16")
    assert engine.name == "embedded"


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, True),
        ({"engine": "palatine"}, False),
        ({"engine": "palatine", "routes": [{"name": "x", "engine": "palatine"}, {"name": "y"}]}, False),
        ({"engine": "palatine", "routes": [{"name": "x", "engine": ["palatine", "embedded"]}]}, True),
    ],
)
def test_the_embedded_recogniser_is_wanted_where_a_route_names_it(settings: dict[str, object], wanted: bool) -> None:
    assert wants_embedded(Asr.model_validate(settings)) is wanted


def test_an_engine_that_is_not_there_says_so() -> None:
    with pytest.raises(EngineError, match="'embedded': it was not started"):
        engines(embedded=None)
