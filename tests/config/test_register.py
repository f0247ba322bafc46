"""The register: every wrong file has its message (tests/bad/register), a sound one survives its canonical JSON."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import load_register, parse_register, read_toml
from config.register import Register
from tests.builders import FIRST_HOUR, simple_register
from tests.collector.random_plant import register as random_register

BAD = Path(__file__).parents[1] / "bad/register"
EXAMPLE = Path(__file__).parents[2] / "config/examples/register.toml"


def parsed(text: str, tmp_path: Path) -> Register:
    """A register from its text."""
    path = tmp_path / "register.toml"
    path.write_text(text, encoding="utf-8")
    return load_register(path)


@pytest.mark.parametrize("path", sorted(BAD.glob("*.toml")), ids=lambda p: p.stem)
def test_a_wrong_register_is_refused_with_its_message(path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_register(path)
    expected = path.with_suffix(".txt").read_text(encoding="utf-8").strip()
    assert str(refused.value).replace(str(path), path.name) == expected


def test_every_wrong_register_has_a_message_and_every_message_a_register() -> None:
    assert {p.stem for p in BAD.glob("*.toml")} == {p.stem for p in BAD.glob("*.txt")}


def test_a_register_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: 应有此文件，实际没有 \(expected a file, found none\)"):
        load_register(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("which", ["example", "simple", "random 1", "random 2"])
def test_the_canonical_json_of_a_register_says_all_that_the_file_says(tmp_path: Path, which: str) -> None:
    texts = {
        "example": EXAMPLE.read_text(encoding="utf-8"),
        "simple": simple_register("A", "B"),
        "random 1": random_register(1, FIRST_HOUR),
        "random 2": random_register(2, FIRST_HOUR),
    }
    register = parsed(texts[which], tmp_path)
    raw = register.canonical_json()
    again = Register.model_validate_json(raw)
    assert again == register
    assert again.canonical_json() == raw
    assert raw.isascii()
    assert b": " not in raw


def test_defaults_written_out_and_left_out_are_the_same_register(tmp_path: Path) -> None:
    short = parsed(simple_register("A"), tmp_path)
    long = parsed(
        simple_register("A").replace("interval_s = 60", "interval_s = 60\nproduction = true\nnc = false"), tmp_path
    )
    assert short.sha256 == long.sha256


def test_comments_and_order_of_tables_do_not_change_the_register_but_any_value_does(tmp_path: Path) -> None:
    text = simple_register("A")
    register = parsed(text, tmp_path)
    assert parsed("# 备注\n" + text, tmp_path).sha256 == register.sha256
    assert parsed(text.replace("interval_s = 60", "interval_s = 61"), tmp_path).sha256 != register.sha256
    finer = parsed(text.replace("high = 100", "high = 100.5"), tmp_path)
    assert finer.sha256 != register.sha256
    assert b'"high":"100.5"' in finer.canonical_json()


def test_service_begins_and_ends_at_midnight_in_the_plant(tmp_path: Path) -> None:
    text = simple_register("A").replace(
        "in_service_from = 2026-01-01", "in_service_from = 2026-01-02\nretired_at = 2026-01-03"
    )
    register = parsed(text, tmp_path)
    start, end = register.in_service_us(register.device["A"])
    assert start == 1_767_283_200_000_000  # 2026-01-01T16:00:00Z
    assert end - start == 86_400_000_000
    assert register.device["A"].retired_at == date(2026, 1, 3)


def test_the_example_shows_every_table_and_is_sound() -> None:
    body = read_toml(EXAMPLE)
    register = parse_register(body, str(EXAMPLE))
    assert {d.connection.protocol for d in register.devices if d.connection} == {"opcua", "modbus", "mqtt"}
