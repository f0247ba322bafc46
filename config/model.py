"""What every model of a written file shares: frozen, unknown keys refused; ids and names as a person writes them.

In: nothing. Out: the base model, the text types of the register (docs/format/register.md), what counts as nothing said, and the error
a rule of a model raises.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
# what people write into a cell they have nothing for
NOTHING_SAID = frozenset("无 没有 暂无 未填 不详 未知 待补 待定 空 / \\ - -- — —— n/a na none null".split())
Name = Annotated[str, StringConstraints(min_length=1, max_length=120, strip_whitespace=True)]


def says(text: str) -> bool:
    """The text says something: it is not blank, and not a word or mark that stands for nothing."""
    word = text.strip().casefold()
    return word != "" and word not in NOTHING_SAID


class Model(BaseModel):
    """A frozen table of a file; a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Wrong(ValueError):
    """A rule of a model that what was written breaks. `key`: where it stands within the model, empty for the whole; `fix`: what to do.

    others: keys the rule looks at besides; where one of them could not be read, the rule says nothing.
    """

    def __init__(self, key: str, message: str, fix: str = "", others: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.key, self.message, self.fix, self.others = key, message, fix, others
