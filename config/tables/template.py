"""空白台账: a workbook to fill in, with one worked row for each protocol, drop-downs and 填写说明.

In: `config/examples/register.toml`. Out: the workbook. The worked rows are a sound register: what they show is what is read.
"""

from __future__ import annotations

from pathlib import Path

from config.load import load_register
from config.register import Register
from config.tables.register_writers import export_register

EXAMPLE = Path(__file__).parents[1] / "examples/register.toml"


def example_register() -> Register:
    """The worked rows."""
    return load_register(EXAMPLE)


def write_template(path: Path) -> None:
    """Write the workbook. Errors: `ConfigError` for an ending that is not .xlsx."""
    export_register(example_register(), path)
