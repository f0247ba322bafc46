"""Paths into decoded bodies: every step of the register's grammar, and nothing found where nothing stands."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.paths import ABSENT, compile_path
from config.points import PATH

BODY: dict[str, Any] = {
    "a": {"b-c": [1, None, {"d": 2}]},
    "主轴 温度": 3,
    "items": [{"name": "speed", "value": 5}, {"name": 7, "value": 6}, {"on": True, "value": 8}, 9],
    "turn": ("x", "y"),
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", BODY),
        ("$.a.b-c[0]", 1),
        ("$.a.b-c[1]", None),
        ("$.a.b-c[2].d", 2),
        ("$['主轴 温度']", 3),
        ("$.items[?name=speed].value", 5),
        ("$.items[?name=7].value", 6),
        ("$.items[?on=true].value", 8),
        ("$.items[0][?name=speed].value", 5),
        ("$.turn[1]", "y"),
        ("$.a.b-c[3]", ABSENT),
        ("$.a.x", ABSENT),
        ("$.a[0]", ABSENT),
        ("$[0]", ABSENT),
        ("$.items.name", ABSENT),
        ("$.items[?name=load]", ABSENT),
        ("$.items[0][?name=load]", ABSENT),
        ("$.turn[1].x", ABSENT),
    ],
)
def test_a_path_leads_to_what_stands_there_or_nowhere(path: str, expected: object) -> None:
    assert re.match(PATH, path)
    assert compile_path(path)(BODY) == expected


KEYS = st.text(st.characters(codec="utf-8", exclude_characters="'"), min_size=1, max_size=8)


@given(
    st.recursive(
        st.integers() | st.text() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    )
)
def test_every_path_into_a_body_finds_what_stands_there(body: object) -> None:
    def walk(value: object, path: str) -> None:
        assert compile_path(path)(body) == value
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}['{key}']")
                if re.fullmatch(r"""[^\s.\[\]'"?=]+""", key):
                    walk(inner, f"{path}.{key}")
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                walk(inner, f"{path}[{i}]")
            assert compile_path(f"{path}[{len(value)}]")(body) is ABSENT

    walk(body, "$")
