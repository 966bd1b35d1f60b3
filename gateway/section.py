"""What every table of the settings has in common."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator


class Section(BaseModel):
    """A table of the file. A secret may be given in place or, as ``NAME_file``, in a file of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        for name, field in cls.model_fields.items():
            path = values.pop(f"{name}_file", None) if field.annotation in (SecretStr, SecretStr | None) else None
            if path is None:
                continue
            if values.get(name):
                raise ValueError(f"{name} and {name}_file are both set; give one of them")
            try:
                values[name] = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, TypeError, UnicodeDecodeError) as error:
                raise ValueError(f"{name}_file cannot be read: {error}") from error
        return values


def websocket_url(value: str) -> str:
    """Checks a WebSocket address.

    Raises:
        ValueError: It is none.
    """
    if not re.match(r"wss?://[^/\s]+", value):
        raise ValueError(f"{value!r} is not a ws:// or wss:// URL")
    return value
