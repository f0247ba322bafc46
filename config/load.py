"""From bytes a person wrote to models: `Settings` from TOML, `Register` from xlsx, CSV, a folder of CSVs or TOML; or every problem.

Refuses: what is not UTF-8, not TOML, has unknown keys, wrong types or dangling references (`ConfigError`).
A message names file and key path, in sheets file, sheet and cell; what was expected and what was found.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from config.errors import ConfigError, Problem
from config.register import Register
from config.register_check import check_register
from config.settings import Settings
from config.tables.corrections import Parsed
from config.wording import findings_of, key_path, told

M = TypeVar("M", bound=BaseModel)


def load_settings(path: Path) -> Settings:
    """`plantproof.toml` -> `Settings`. Errors: `ConfigError`."""
    return _model(Settings, read_toml(path), str(path))


def parse_settings(text: str, file: str) -> Settings:
    """The text of a settings file -> `Settings`. Errors: `ConfigError`."""
    return _model(Settings, _toml(text, file), file)


def load_register(path: Path, base: Register | None = None) -> Register:
    """A register file of any of the forms -> `Register`. Errors: `ConfigError` with every problem."""
    parsed = parse_register_file(path, base)
    if parsed.register is None:
        raise ConfigError(list(parsed.problems))
    return parsed.register


def parse_register_file(path: Path, base: Register | None = None) -> Parsed:
    """A register file by its ending, with what was taken in another form. A single CSV is the sheet 设备 upon `base`. Raises nothing."""
    try:
        if path.suffix.lower() == ".toml":
            return Parsed(parse_register(read_toml(path), str(path)), ())
        from config.tables.register_rows import parse_sheets  # noqa: PLC0415  (sheets are not read by every process)
        from config.tables.workbook import read_workbook  # noqa: PLC0415

        return parse_sheets(read_workbook(path), str(path), base)
    except ConfigError as err:
        return Parsed(None, tuple(err.problems))


def parse_register(body: dict[str, Any], file: str) -> Register:
    """A register's tables already read -> `Register`, its references checked."""
    register, findings = check_register(body)
    if register is None:
        raise ConfigError([Problem(file, key_path(f.loc), told(f), f.fix) for f in findings])
    return register


def read_toml(path: Path) -> dict[str, Any]:
    """The file as a table. Errors: `ConfigError` for a missing or unreadable file, bytes that are not TOML."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError([Problem(str(path), "", "应有此文件，实际没有 (expected a file, found none)")]) from None
    except OSError as err:
        raise ConfigError([Problem(str(path), "", f"读不了此文件: {err.strerror} (expected a readable file)")]) from err
    except UnicodeDecodeError as err:
        raise ConfigError(
            [
                Problem(
                    str(path),
                    f"byte {err.start}",
                    "应为 UTF-8 文本，实为别的字节 (expected UTF-8 text, found other bytes)",
                    "另存为 UTF-8 (save as UTF-8)",
                )
            ]
        ) from err
    return _toml(text, str(path))


def _toml(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ConfigError([Problem(file, "", f"应为 TOML，读不出来: {err} (expected TOML)")]) from err


def _model(kind: type[M], body: dict[str, Any], file: str) -> M:
    try:
        return kind.model_validate(body)
    except ValidationError as err:
        found = findings_of(kind, list(err.errors()))
        raise ConfigError([Problem(file, key_path(f.loc), f.message, f.fix) for f in found]) from err
