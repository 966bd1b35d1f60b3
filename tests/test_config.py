"""The configuration: all faults at once, each with its path; secrets from files and never shown."""

from pathlib import Path

import pytest

from gateway import config

ENDPOINT = '[[delivery.endpoints]]\nname = "crm"\nurl = "https://crm.example/hook"\n'
SECRET = "whsec_" + "QUJD" * 8


def load(tmp_path: Path, text: str) -> config.Settings:
    (tmp_path / "gateway.toml").write_text(text, encoding="utf-8")
    return config.load(tmp_path / "gateway.toml")


def faults(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(config.ConfigError) as error:
        load(tmp_path, text)
    return error.value.faults


def test_the_shipped_file_holds_the_defaults() -> None:
    shipped = config.load(Path(__file__).parents[1] / "config" / "gateway.toml")
    assert shipped == config.Settings(), "a default that is documented wrongly misleads every administrator"


def test_the_shipped_file_names_every_setting() -> None:
    import tomllib

    text = (Path(__file__).parents[1] / "config" / "gateway.toml").read_text(encoding="utf-8")
    shipped = tomllib.loads(text)
    missing = [
        f"{section}.{name}"
        for section, field in config.Settings.model_fields.items()
        for name in field.annotation.model_fields
        if name not in shipped[section] and name not in text
    ]
    assert missing == []


def test_every_fault_is_named_with_its_path(tmp_path: Path) -> None:
    text = (
        '[sip]\nlisten = ["127.0.0.1:5060"]\nmax_calls = 0\n[[sip.peers]]\nname = "a"\nnetworks = ["10.0.0.1/8"]\n'
        '[media]\nport_min = 70000\n[asr]\nengin = "x"\n[calls]\nuri_pattern = "("\n[typo]\nx = 1\n'
    )
    found = faults(tmp_path, text)
    paths = [fault.partition(":")[0] for fault in found]
    assert sorted(set(paths)) == [
        "asr.engin",
        "calls.uri_pattern",
        "media.port_min",
        "sip.listen[0]",
        "sip.max_calls",
        "sip.peers[0].networks[0]",
        "typo",
    ]
    assert len(paths) == len(set(paths)), "each fault once"
    assert "asr.engin: no such setting" in found
    assert any("udp:ADDRESS:PORT" in fault for fault in found), "the text says what to write"


def test_a_secret_comes_from_a_file_and_is_masked(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n", encoding="utf-8")
    settings = load(tmp_path, f'{ENDPOINT}secret_file = "{tmp_path}/secret"\n')
    (endpoint,) = settings.delivery.endpoints
    assert endpoint.secret.get_secret_value() == SECRET
    assert SECRET not in str(settings.shown())
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('secret_file = "/nonexistent"', "cannot be read"),
        (f'secret = "{SECRET}"\nsecret_file = "/x"', "give one of them"),
        ('secret = "whsec_short"', "delivery.endpoints[0]"),
        ("", "delivery.endpoints[0].secret: Field required"),
    ],
)
def test_a_secret_that_cannot_be_used_is_a_fault(tmp_path: Path, line: str, text: str) -> None:
    (fault,) = faults(tmp_path, f"{ENDPOINT}{line}\n")
    assert text in fault
    assert fault.startswith("delivery.endpoints[0]")


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASR_GATEWAY__ASR__PALATINE__TOKEN", "from-the-environment")
    monkeypatch.setenv("ASR_GATEWAY__SIP__MAX_CALLS", "7")
    settings = load(tmp_path, '[sip]\nmax_calls = 3\n[asr.palatine]\ntoken = "from-the-file"\nlanguage = "en"\n')
    assert settings.asr.palatine.token.get_secret_value() == "from-the-environment"
    assert settings.sip.max_calls == 7
    assert settings.asr.palatine.language == "en", "what the environment does not set stays as the file says"


@pytest.mark.parametrize("name", ["ASR_GATEWAY__SPI__MAX_CALLS", "ASR_GATEWAY__SIP__MAX_CALS"])
def test_an_unknown_name_in_the_environment_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "7")
    (fault,) = faults(tmp_path, "")
    assert name.split("__")[-1].lower() in fault or name in fault


def test_a_file_that_is_no_toml_or_not_there_is_one_fault(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, "[sip\n")
    assert "not TOML" in fault
    with pytest.raises(config.ConfigError, match="No such file"):
        config.load(tmp_path / "absent.toml")


def test_two_endpoints_need_two_names(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, f'{ENDPOINT}secret = "{SECRET}"\n{ENDPOINT}secret = "{SECRET}"\n')
    assert "share a name: crm" in fault
