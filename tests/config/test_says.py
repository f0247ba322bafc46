"""What people write into a cell they have nothing for says nothing."""

from __future__ import annotations

import pytest

from config.model import says


@pytest.mark.parametrize("text", ["", " ", "\u3000", "无", " 无 ", "/", "-", "——", "N/A", "None", "暂无", "待补"])
def test_a_dash_a_blank_or_none_says_nothing(text: str) -> None:
    assert not says(text)


@pytest.mark.parametrize("text", ["FANUC 0i-MF", "无锡数控 W2", "S7-1500", "0"])
def test_make_and_model_say_something(text: str) -> None:
    assert says(text)
