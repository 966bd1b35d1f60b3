"""Third parties' engines: the example that is documented, installed as its users would, and what goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from gateway import config
from gateway.asr import kinds
from gateway.asr.engine import End, Failure, Final, Partial, Ready
from gateway.asr.engines import EngineError, Engines
from gateway.asr.routes import Facts
from tests.asr.drive import Driven

EXAMPLE = Path(__file__).parents[2] / "examples" / "asr_engine"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    pip = (sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check")
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    copy = tmp_path_factory.mktemp("source")
    for file in EXAMPLE.iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    subprocess.run([*pip, *offline, "--target", str(target), str(copy)], check=True)
    return target


@pytest.fixture
def acme(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(installed))
    yield
    sys.modules.pop("acme_asr", None)


def settings(tmp_path: Path, text: str) -> config.Settings:
    (tmp_path / "gateway.toml").write_text(text, encoding="utf-8")
    return config.load(tmp_path / "gateway.toml")


TOML = '[asr]\nengine = "far"\n[asr.engines.far]\nkind = "acme"\nurl = "{url}"\ntoken = "s3cret"\n'


@pytest.mark.usefixtures("acme")
async def test_the_example_is_an_engine_like_any_other(tmp_path: Path) -> None:
    asked: list[object] = []

    async def server(socket: ServerConnection) -> None:
        assert socket.request is not None
        asked.append((socket.request.path, socket.request.headers["Authorization"]))
        heard = 0
        async for message in socket:
            if isinstance(message, bytes):
                heard += len(message)
                await socket.send(json.dumps({"text": "good", "final": False}))
            elif "end" in json.loads(message):
                await socket.send(json.dumps({"text": "good bye", "final": True, "from": 0.1, "to": 0.4}))
                await socket.send(json.dumps({"heard": heard / 8000}))
            else:
                asked.append(json.loads(message))

    async with serve(server, "127.0.0.1", 0) as serving:
        url = f"ws://127.0.0.1:{serving.sockets[0].getsockname()[1]}/asr"
        loaded = settings(tmp_path, TOML.format(url=url) + '[[asr.routes]]\nname = "kk"\nleg = "kk"\nlanguage = "kk"\n')
        engines = Engines(loaded.asr, None, lambda _name, _seconds: None)
        _, (engine,) = engines.choose(Facts(leg="kk"))
        assert (engine.name, engine.limits.seconds) == ("far", 600)
        driven = Driven(engine)
        await driven.ready()
        driven.session.send(bytes(800))
        await driven.until(lambda: bool(driven.partials))
        driven.session.finish()
        await driven.end()
    assert driven.events == [
        Ready(), Partial("good", accumulates=False), Final("good bye", 800, 3200, 0), End(0.1)
    ]  # fmt: skip
    assert asked == [("/asr?language=kk", "Bearer s3cret"), {"rate": 8000, "codec": "alaw"}]
    assert "s3cret" not in str(loaded.shown())


@pytest.mark.usefixtures("acme")
async def test_what_the_example_does_not_do_itself_is_done_for_it(tmp_path: Path) -> None:
    loaded = settings(tmp_path, TOML.format(url="ws://127.0.0.1:9/asr"))
    _, (engine,) = Engines(loaded.asr, None, lambda _name, _seconds: None).choose(Facts())
    failure = await Driven(engine).end()
    assert isinstance(failure, Failure)
    assert (failure.code, failure.retryable) == ("CONNECTION_LOST", True)


@pytest.mark.usefixtures("acme")
def test_its_settings_are_checked_with_all_others(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError) as error:
        settings(tmp_path, '[asr.engines.far]\nkind = "acme"\nlanguag = "x"\n[media]\ntick_ms = 99\n')
    (far,) = [fault for fault in error.value.faults if fault.startswith("asr.engines.far")]
    assert "url: Field required" in far
    assert "languag: Extra inputs" in far
    assert len(error.value.faults) == 2


def test_a_kind_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match=r"kind is 'acme'; there are palatine, yandex, vosk, deepgram"):
        settings(tmp_path, TOML.format(url="ws://x"))


@pytest.mark.parametrize(
    ("value", "text"),
    [("nowhere:Engine", "cannot be loaded: No module named 'nowhere'"), ("json:dumps", "no callable with a pydantic")],
)
def test_a_package_that_does_not_work_is_a_fault_not_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, text: str
) -> None:
    entry = EntryPoint("acme", value, kinds.GROUP)
    monkeypatch.setattr(kinds, "entry_points", lambda **_: [entry])
    with pytest.raises(config.ConfigError, match=text):
        settings(tmp_path, TOML.format(url="ws://x"))


def test_an_engine_that_cannot_work_says_why_at_the_start(tmp_path: Path) -> None:
    loaded = settings(tmp_path, '[asr]\nengine = "yandex"\n')
    with pytest.raises(EngineError, match="'yandex': it needs credentials: api_key, iam_token or service_account_key"):
        Engines(loaded.asr, None, lambda _name, _seconds: None)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("gateway.asr.yandex")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "yandex.cloud.iam.v1.iam_token_service_pb2", None)
    loaded = settings(tmp_path, '[asr]\nengine = "yandex"\n[asr.yandex]\napi_key = "x"\n')
    with pytest.raises(EngineError, match=r"pip install 'asr-gateway\[yandex\]'"):
        Engines(loaded.asr, None, lambda _name, _seconds: None)


def test_the_example_has_at_most_50_lines_of_code() -> None:
    lines = (EXAMPLE / "acme_asr.py").read_text(encoding="utf-8").partition('"""\n\nfrom')[2].splitlines()
    assert len([line for line in lines if line.strip()]) <= 50
