"""The settings: TOML file, environment, secrets from files; every fault found at once, with its path.

Every setting may also come from the environment: ``ASR_GATEWAY__ASR__PALATINE__TOKEN`` is ``asr.palatine.token``. A
secret ``x`` may be given as ``x_file``, the path of a file that holds it. Unknown settings are faults.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.asr.settings import Asr
from gateway.calls.settings import Calls
from gateway.delivery.settings import Delivery
from gateway.media.settings import Media
from gateway.sip.settings import Sip
from gateway.telemetry.settings import Telemetry
from gateway.transcripts.settings import Transcripts
from gateway.web.settings import Web

ENV_PREFIX = "ASR_GATEWAY__"


class ConfigError(Exception):
    """The configuration cannot be used.

    Attributes:
        faults: One line each: the path of the setting and what is wrong with it.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, case_sensitive=False
    )

    sip: Sip = Sip()
    media: Media = Media()
    calls: Calls = Calls()
    asr: Asr = Asr()
    transcripts: Transcripts = Transcripts()
    delivery: Delivery = Delivery()
    telemetry: Telemetry = Telemetry()
    web: Web = Web()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (the base class names these parameters)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file, whose tables come in as arguments."""
        return env_settings, init_settings

    def shown(self) -> dict[str, Any]:
        """Returns the effective settings as plain values, secrets masked."""
        return self.model_dump(mode="json")


def _unknown_environment() -> list[str]:
    sections = {name.upper() for name in Settings.model_fields}
    return [
        f"{name}: no section {name.removeprefix(ENV_PREFIX).split('__')[0].lower()!r}; "
        f"the sections are {', '.join(sorted(Settings.model_fields))}"
        for name in os.environ
        if name.upper().startswith(ENV_PREFIX) and name.upper().removeprefix(ENV_PREFIX).split("__")[0] not in sections
    ]


def load(path: Path | None) -> Settings:
    """Reads the configuration.

    Args:
        path: The TOML file; None for defaults and environment alone.

    Returns:
        The settings.

    Raises:
        ConfigError: With all faults at once.
    """
    tables: dict[str, Any] = {}
    if path is not None:
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError([f"{path}: {error.strerror}"]) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError([f"{path}: not TOML: {error}"]) from error
    faults = _unknown_environment()
    try:
        settings = Settings(**tables)
    except ValidationError as error:
        faults += [_fault(item["loc"], item["msg"], item["type"]) for item in error.errors()]
    if faults:
        raise ConfigError(faults)
    return settings


def _fault(location: tuple[int | str, ...], text: str, kind: str) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    if kind == "extra_forbidden":
        text = "no such setting"
    return f"{path}: {text.removeprefix('Value error, ')}"
