"""Routes: the first that matches wins, and the explanation says what the choice says."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import cli, config
from gateway.asr.routes import Choice, Facts, Route, choose, explain, facts_of, first_miss

ROUTES = [
    Route(name="agents", leg="agent", to_number=["7495*", "7499*"], engine=["yandex", "palatine"], language="ru"),
    Route(name="sales", header={"X-Queue": "sales-?"}, engine="palatine", model="palatine_stream", codec="linear16"),
    Route(name="trunk", peer="sbc-*", language="en"),
]


@pytest.mark.parametrize(
    ("facts", "choice"),
    [
        (Facts(leg="agent", to_number="74951234567"), Choice("agents", ("yandex", "palatine"), "ru")),
        (Facts(leg="agent", to_number="74991"), Choice("agents", ("yandex", "palatine"), "ru")),
        (
            Facts(leg="agent", to_number="7812", headers={"x-queue": ["sales-1"]}),
            Choice("sales", ("palatine",), "", "palatine_stream", "linear16"),
        ),
        (
            Facts(headers={"x-queue": ["other", " sales-2 "]}),
            Choice("sales", ("palatine",), "", "palatine_stream", "linear16"),
        ),
        (Facts(peer="sbc-1", headers={"x-queue": ["sales-10"]}), Choice("trunk", ("embedded",), "en")),
        (Facts(peer="SBC-1"), Choice("default", ("embedded",))),
        (Facts(leg="agents", to_number="7495"), Choice("default", ("embedded",))),
    ],
)
def test_the_first_route_that_matches_wins(facts: Facts, choice: Choice) -> None:
    assert choose(ROUTES, ["embedded"], facts) == choice


def test_a_route_without_conditions_takes_every_leg() -> None:
    assert choose([Route(name="all", engine="palatine"), *ROUTES], ["embedded"], Facts()).route == "all"


def test_the_explanation_names_what_did_not_match_and_ends_with_the_choice() -> None:
    facts = facts_of("to=7812,leg=agent,X-Queue=sales-1")
    assert explain(ROUTES, ["embedded"], facts) == [
        "route 'agents': no: to_number is '7812', wanted '7495*' or '7499*'",
        "route 'sales': matches",
        "engine: palatine",
        "model: palatine_stream",
        "codec: linear16",
    ]
    assert explain(ROUTES[1:2], ["embedded", "palatine"], Facts()) == [
        "route 'sales': no: header.x-queue is absent, wanted 'sales-?'",
        "no route matches: the engines of asr.engine",
        "engine: embedded, then palatine",
    ]


@given(
    st.lists(st.sampled_from(ROUTES), max_size=4),
    st.builds(
        Facts,
        peer=st.sampled_from(["", "sbc-1", "pbx"]),
        to_number=st.sampled_from(["74951", "7812", ""]),
        leg=st.sampled_from(["agent", "caller"]),
        headers=st.dictionaries(st.sampled_from(["x-queue", "x-other"]), st.lists(st.sampled_from(["sales-1", "x"]))),
    ),
)
def test_the_choice_is_of_the_first_route_all_of_whose_conditions_hold(routes: list[Route], facts: Facts) -> None:
    def holds(route: Route) -> bool:
        return all(
            any(fnmatchcase(value, pattern) for value in facts.values(name) for pattern in patterns)
            for name, patterns in route.conditions()
        )

    matching = [route.name for route in routes if holds(route)]
    assert choose(routes, ["e"], facts).route == (matching[0] if matching else "default")
    assert all((first_miss(route, facts) is None) == holds(route) for route in routes)


@pytest.mark.parametrize("text", ["agent", "=x", "to=1,leg"])
def test_facts_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NAME=VALUE"):
        facts_of(text)


def configured(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    return path


TOML = """
[asr]
engine = ["palatine", "embedded"]
[[asr.routes]]
name = "agents"
leg = ["agent", "supervisor"]
engine = "embedded"
[[asr.routes]]
name = "hotline"
to_number = "8800*"
header = { X-Queue = "vip*" }
language = "kk"
"""


def test_check_config_explains_a_choice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = configured(tmp_path, TOML)
    assert cli.main(["check-config", "--config", str(path), "--route", "to=88001,x-queue=vip-2"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "route 'agents': no: leg is '', wanted 'agent' or 'supervisor'",
        "route 'hotline': matches",
        "engine: palatine, then embedded",
        "language: kk",
    ]
    assert cli.main(["check-config", "--config", str(path), "--route", "nonsense"]) == 2
    assert "NAME=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[asr]\nengine = "palantir"\n', "asr: engine: there is no engine 'palantir'; "),
        (
            '[asr]\n[[asr.routes]]\nname = "x"\nengine = ["embedded", "nobody"]\n',
            "asr: routes[0].engine: there is no engine 'nobody'; ",
        ),
        ("[asr]\nengine = []\n", "asr.engine: "),
        ('[asr]\n[[asr.routes]]\nname = "x"\nleg = ""\n', "asr.routes[0].leg[0]: "),
        (
            '[asr]\n[[asr.routes]]\nname = "x"\nmodel = "m"\nengine = ["embedded", "palatine"]\n',
            "asr: routes[0].model: ",
        ),
        ('[asr]\n[[asr.routes]]\nname = "x"\n[[asr.routes]]\nname = "x"\n', "asr: routes share a name: x"),
    ],
)
def test_routes_that_cannot_work_are_faults(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(config.ConfigError) as error:
        config.load(configured(tmp_path, text))
    assert [found[: len(fault)] for found in error.value.faults] == [fault]


def test_one_engine_comes_from_the_environment_without_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASR_GATEWAY__ASR__ENGINE", "palatine")
    assert config.load(None).asr.engine == ("palatine",)
    monkeypatch.setenv("ASR_GATEWAY__ASR__ENGINE", "palatine, embedded")
    assert config.load(None).asr.engine == ("palatine", "embedded")
