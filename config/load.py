"""From bytes a person wrote to models: TOML in, `Register` or `Settings` out, or every problem at once.

Refuses: what is not UTF-8, not TOML, has unknown keys, wrong types or dangling references (`ConfigError`).
A message names file and key path, what was expected and what was found.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from config.errors import ConfigError, Problem
from config.register import Register, cross_check
from config.settings import Settings

M = TypeVar("M", bound=BaseModel)


def load_settings(path: Path) -> Settings:
    """`plantproof.toml` -> `Settings`. Errors: `ConfigError`."""
    return _model(Settings, read_toml(path), str(path))


def parse_settings(text: str, file: str) -> Settings:
    """The text of a settings file -> `Settings`. Errors: `ConfigError`."""
    return _model(Settings, _toml(text, file), file)


def load_register(path: Path) -> Register:
    """A register file (TOML) -> `Register`. Errors: `ConfigError` with every problem."""
    return parse_register(read_toml(path), str(path))


def parse_register(body: dict[str, Any], file: str) -> Register:
    """A register already read -> `Register`, its references checked."""
    register = _model(Register, body, file)
    problems = [Problem(file, where, message, fix) for where, message, fix in cross_check(register)]
    if problems:
        raise ConfigError(problems)
    return register


def read_toml(path: Path) -> dict[str, Any]:
    """The file as a table. Errors: `ConfigError` for a missing or unreadable file, bytes that are not TOML."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError([Problem(str(path), "", "expected a file, found none")]) from None
    except OSError as err:
        raise ConfigError([Problem(str(path), "", f"expected a readable file, found {err.strerror}")]) from err
    except UnicodeDecodeError as err:
        raise ConfigError(
            [
                Problem(
                    str(path),
                    f"byte {err.start}",
                    "expected UTF-8 text, found other bytes",
                    "另存为 UTF-8 (save as UTF-8)",
                )
            ]
        ) from err
    return _toml(text, str(path))


def _toml(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ConfigError([Problem(file, "", f"expected TOML, found: {err}")]) from err


def _model(kind: type[M], body: dict[str, Any], file: str) -> M:
    try:
        return kind.model_validate(body)
    except ValidationError as err:
        raise ConfigError([_problem(kind, e, file) for e in err.errors()]) from err


def _problem(kind: type[BaseModel], error: Any, file: str) -> Problem:
    where = _key_path(error["loc"])
    found = error.get("input")
    shown = f", found {found!r}" if isinstance(found, str | int | float | bool) else ""
    if error["type"] == "extra_forbidden":
        known = sorted(_keys(kind))
        near = difflib.get_close_matches(str(error["loc"][-1]), known, 1)
        return Problem(
            file,
            where,
            "unknown key",
            f"您是不是要写 {near[0]}? (did you mean {near[0]}?)" if near else "删去或改正 (remove or correct it)",
        )
    if error["type"] == "missing":
        return Problem(file, where, "expected a value, found none")
    if error["type"] == "value_error":
        return Problem(file, where, str(error["ctx"]["error"]))
    message = str(error["msg"])
    return Problem(file, where, f"{message[0].lower()}{message[1:]}{shown}")


def _key_path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        if part in ("opcua", "modbus", "mqtt"):  # pydantic names the union's branch; the file does not
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def _keys(kind: type[BaseModel]) -> set[str]:
    """Every key name reachable from a model: what a mistyped key may have meant."""
    names: set[str] = set()
    todo: list[Any] = [kind]
    seen: set[Any] = set()
    while todo:
        model = todo.pop()
        if model in seen:
            continue
        seen.add(model)
        if isinstance(model, type) and issubclass(model, BaseModel):
            for name, field in model.model_fields.items():
                names.add(field.alias or name)
                todo.append(field.annotation)
        else:
            todo += list(getattr(model, "__args__", ()))
    return names
