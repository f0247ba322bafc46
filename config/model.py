"""What every model of a written file shares: frozen, unknown keys refused; ids and names as a person writes them.

In: nothing. Out: the base model and the text types of the register (docs/format/register.md).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=120, strip_whitespace=True)]


class Model(BaseModel):
    """A frozen table of a file; a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
