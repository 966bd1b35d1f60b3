from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from gateway.sip import build
from gateway.sip.build import Build, BuildError, installed


def have(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    def version(name: str) -> str:
        try:
            return versions[name.replace("-", "_")]
        except KeyError:
            raise PackageNotFoundError(name) from None

    monkeypatch.setattr(build, "version", version)


def test_the_two_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, pjsua2_python="2.15.1.post1")
    assert installed() == Build("trial", 4)
    have(monkeypatch, pjsua2="2.17+gateway1.calls2048")
    assert installed() == Build("work", 2048)


@pytest.mark.parametrize(
    ("versions", "says"),
    [
        ({}, "make pjsip"),
        ({"pjsua2": "2.17"}, "number of calls is unknown"),
        ({"pjsua2": "2.17+gateway1.calls2048", "pjsua2_python": "2.15.1"}, "two builds"),
    ],
)
def test_what_is_not_usable_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], says: str
) -> None:
    have(monkeypatch, **versions)
    with pytest.raises(BuildError, match=says):
        installed()
