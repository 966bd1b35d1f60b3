"""The README's table of settings, made from the settings themselves.

``python -m tests.config_table`` writes it into the README; a test says when that is due.
"""

from __future__ import annotations

import inspect
import json
import re
import typing
from pathlib import Path

from pydantic import BaseModel, SecretStr

from gateway.config import Settings

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"


def table() -> str:
    """Returns the whole table as Markdown."""
    rows = ["| setting | default | what it is |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        rows += _rows(name, field.annotation, field.default)
    return "\n".join(rows)


def _rows(path: str, section: type[BaseModel], defaults: BaseModel | None) -> list[str]:
    texts = _texts(section)
    rows, below = [], []
    for name, field in section.model_fields.items():
        default = getattr(defaults, name) if defaults is not None else field.default
        inner = _section(field.annotation)
        if inner is not None:
            listed = typing.get_origin(field.annotation) is list
            below += _rows(f"{path}.{name}[]" if listed else f"{path}.{name}", inner, None if listed else default)
            if not listed:
                continue
        rows.append(f"| `{path}.{name}` | {_shown(default)} | {texts[name]} |")
    return rows + below


def _section(annotation: object) -> type[BaseModel] | None:
    for part in (annotation, *typing.get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _texts(section: type[BaseModel]) -> dict[str, str]:
    """Returns what its docstring says of each setting, and the docstrings of the sections that it extends."""
    inherited = [base for base in section.__bases__ if issubclass(base, BaseModel) and base is not BaseModel]
    of_bases = {name: text for base in inherited for name, text in _texts(base).items()}
    lines = inspect.cleandoc(section.__doc__ or "").partition("Attributes:\n")[2]
    joined = re.sub(r"\n {8,}", " ", lines)
    return of_bases | {
        match[1]: match[2].replace("``", "`").replace("|", "\\|")
        for match in re.finditer(r"^ {4}(\w+): (.*)$", joined, re.M)
    }


def _shown(default: object) -> str:
    if isinstance(default, SecretStr) or default is None or default == "":
        return "none"
    if type(default).__name__ == "PydanticUndefinedType":
        return "required"
    if isinstance(default, list) and default and isinstance(default[0], BaseModel):
        return ", ".join(str(item.name) for item in default)
    return f"`{json.dumps(default, default=str, ensure_ascii=False)}`"


def inserted(text: str) -> str:
    """Returns a README with the table of now."""
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    README.write_text(inserted(README.read_text(encoding="utf-8")), encoding="utf-8")
