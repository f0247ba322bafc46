"""plantproof.toml: every wrong file has its message (tests/bad/settings), the written one shows every default."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import load_settings, parse_settings
from config.settings import RecordsTable, Settings, settings_text

BAD = Path(__file__).parents[1] / "bad/settings"


@pytest.mark.parametrize("path", sorted(BAD.glob("*.toml")), ids=lambda p: p.stem)
def test_wrong_settings_are_refused_with_their_message(path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings(path)
    expected = path.with_suffix(".txt").read_text(encoding="utf-8").strip()
    assert str(refused.value).replace(str(path), path.name) == expected


def test_every_wrong_file_has_a_message_and_every_message_a_file() -> None:
    assert {p.stem for p in BAD.glob("*.toml")} == {p.stem for p in BAD.glob("*.txt")}


def test_the_settings_that_init_writes_show_every_default() -> None:
    text = settings_text("兰州某厂", "91620100MA0000000X", "新区", Path("plantproof-data"))
    written = parse_settings(text, "plantproof.toml")
    defaults = Settings.model_validate({"plant": tomllib.loads(text)["plant"]})
    assert written == defaults
    shown = tomllib.loads(text)
    for name, field in Settings.model_fields.items():
        if name != "records":  # off until its comment signs are taken away
            table = field.annotation
            assert table is not None
            assert set(shown[name]) == set(table.model_fields), name


def test_the_records_table_that_init_writes_works_once_its_comment_signs_are_taken_away() -> None:
    text = settings_text("兰州某厂", "91620100MA0000000X", "新区", Path("plantproof-data"))
    head, _, table = text.partition("# [records]")
    live = parse_settings(head + "[records]" + table.replace("\n# ", "\n"), "plantproof.toml").records
    assert live is not None
    assert live.mqtt is not None
    assert set(RecordsTable.model_fields) == {"watch", "poll_s", "gather_s", "mqtt"} == live.model_fields_set
    defaults = RecordsTable()
    assert (live.poll_s, live.gather_s) == (defaults.poll_s, defaults.gather_s)


@pytest.mark.parametrize("name", ['"引号"厂', "反\\斜杠", "单'引号", "井号 # 厂", "制表\t符"])
def test_a_name_with_signs_of_its_own_survives_the_settings_file(name: str) -> None:
    text = settings_text(name, "91620100MA0000000X", name, Path("d"))
    assert parse_settings(text, "plantproof.toml").plant.name == name
